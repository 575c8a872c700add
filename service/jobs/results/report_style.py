"""How the pages about jobs look: light and dark, on screens and on paper; and what they may do."""

import base64
import hashlib

_LIGHT = (
    "--paper:#fff;--card:#f6f8f7;--ink:#1c2321;--soft:#59635f;--rule:#d5dbd8;"
    "--good:#1f7a54;--bad:#b4410e;--none:#8a948f;"
    "--c0:#1f7a54;--c1:#2563b0;--c2:#b4570b;--c3:#7a4fb5;--c4:#b23a77;--c5:#57606a;--c6:#8a6d00"
)
_DARK = (
    "--paper:#141a18;--card:#1d2522;--ink:#e4eae7;--soft:#a3aeaa;--rule:#3a4541;"
    "--good:#4fc08d;--bad:#f08a5b;--none:#808b86;"
    "--c0:#4fc08d;--c1:#6ea8f0;--c2:#f0a04b;--c3:#b595ea;--c4:#ea82b4;--c5:#a9b3bd;--c6:#d6b84a"
)
_COLOURS = (
    f":root{{color-scheme:light dark;{_LIGHT}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
    f"@media print{{:root{{color-scheme:light;{_LIGHT}}}}}"
)
_FONT = "'Helvetica Neue',Helvetica,Arial,'Liberation Sans','DejaVu Sans',sans-serif"
_CHART = (
    f"svg text{{font:12px {_FONT};fill:var(--soft);text-anchor:middle}}"
    "svg .start{text-anchor:start}svg .end{text-anchor:end}svg .name{fill:var(--ink)}"
    ".paper{fill:var(--paper)}"
    ".grid{stroke:var(--rule);fill:none}.axis{stroke:var(--soft);fill:none}"
    ".curve{fill:none;stroke-width:2}.band{opacity:.22;stroke:none}"
    + "".join(f".curve.c{k}{{stroke:var(--c{k})}}.band.c{k}{{fill:var(--c{k})}}" for k in range(7))
    + ".d1{stroke-dasharray:8 4}.d2{stroke-dasharray:2 3}.d3{stroke-dasharray:10 3 2 3}"
    ".good{fill:var(--good)}.bad{fill:var(--bad)}.none{fill:var(--none)}"
)
CHART_CSS = _COLOURS + _CHART

PAGE_CSS = (
    CHART_CSS
    + f"*{{box-sizing:border-box}}body{{margin:0;background:var(--paper);color:var(--ink);"
    f"font:15px/1.45 {_FONT}}}"
    "main{max-width:1060px;margin:0 auto;padding:28px 20px 48px}"
    "h1{font-size:26px;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:18px;margin:34px 0 8px}"
    "p{margin:6px 0}.soft,figcaption{color:var(--soft)}figcaption{font-size:13px;margin-top:6px}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(138px,1fr));gap:10px;"
    "margin:18px 0 0}.tile{background:var(--card);border-radius:8px;padding:10px 12px}"
    ".tile b{display:block;font-size:21px;font-weight:600}.tile span{color:var(--soft);"
    "font-size:13px}"
    ".tile small{display:block;color:var(--soft);font-size:12px}"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(430px,100%),1fr));"
    "gap:18px 24px}.charts h2{margin-top:16px}"
    "figure{margin:0;break-inside:avoid}.chart{width:100%;height:auto;display:block}"
    ".wide .chart{max-width:860px}"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}"
    "th,td{text-align:left;padding:5px 12px 5px 0;border-bottom:1px solid var(--rule);"
    "vertical-align:middle;overflow-wrap:anywhere;min-width:84px}th{color:var(--soft);font-weight:500}"
    "tr{break-inside:avoid}thead{display:table-header-group}"
    "td.n,th.n{min-width:0;text-align:right;white-space:nowrap;overflow-wrap:normal}td.k{color:var(--soft);"
    "width:190px}"
    "td.t{width:64px;min-width:64px}"
    "td.t img{display:block;width:56px;height:56px;object-fit:contain}"
    "code{font:12px Menlo,Consolas,'Liberation Mono','DejaVu Sans Mono',monospace}"
    "td.c{white-space:nowrap}td.name{min-width:120px}.yes{color:var(--good)}.no{color:var(--bad)}"
    "@media print{@page{size:A4;margin:14mm}body{font-size:11px}main{max-width:none;padding:0}"
    "h1{font-size:20px}h2{font-size:14px;margin-top:18px;break-after:avoid}table{font-size:10px}"
    "th,td{min-width:56px}td.t{width:46px;min-width:46px}"
    ".scroll{overflow:visible}.charts{grid-template-columns:1fr 1fr}.tile b{font-size:16px}"
    ".tile,.chart{print-color-adjust:exact;-webkit-print-color-adjust:exact}"
    "figcaption{font-size:10px}td.c code{font-size:8px}"
    "td.t img{width:40px;height:40px}td.k{width:130px}}"
)

_HASH = base64.b64encode(hashlib.sha256(PAGE_CSS.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
"""Content-Security-Policy of a page: its own style and pictures, no script, no network.

Most of what a page says comes from strangers: nothing in it may run, whatever was missed.
"""
