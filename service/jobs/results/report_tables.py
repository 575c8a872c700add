"""The tables of a report: pictures with thumbnails, shares at some radii, the configuration."""

import base64
from collections.abc import Iterable, Mapping, Sequence

from service.jobs.results.compare import Difference
from service.jobs.results.curve import AT, Curve
from service.jobs.results.report_words import money, share, stopped, told
from service.jobs.rows import Row
from service.render import radius_words

LARGEST_THUMBNAIL = 1 << 16  # bytes
PNG = b"\x89PNG\r\n\x1a\n"

Thumbnails = Mapping[int, bytes]


def shares(curves: Sequence[tuple[str, Curve]], head: str) -> str:
    """Write the shares of some curves at the radii that papers give.

    Args:
        curves: name and curve.
        head: what the names are, HTML.
    """
    names = "".join(f'<th class="n">r = {radius:g}</th>' for radius in AT)
    lines = [
        f"<tr><td>{told(name)}</td>"
        + "".join(f'<td class="n">{share(curve.at(radius))}</td>' for radius in AT)
        + "</tr>"
        for name, curve in curves
    ]
    return _table(f"<tr><th>{head}</th>{names}</tr>", lines)


def differences(found: Sequence[Difference], first: str, second: str) -> str:
    """Write how two jobs differ over the same pictures."""
    heads = ("both", f"only {first}", f"only {second}", "neither", "p (McNemar, exact)")
    head = "".join(f'<th class="n">{told(name)}</th>' for name in heads)
    lines = [
        f"<tr><td>r = {one.radius:g}</td>"
        + "".join(
            f'<td class="n">{count:,}</td>'
            for count in (one.both, one.only_first, one.only_second, one.neither)
        )
        + f'<td class="n">{one.p_value:.2g}</td></tr>'
        for one in found
    ]
    return _table(f"<tr><th></th>{head}</tr>", lines)


def pictures(rows: Iterable[Row], thumbnails: Thumbnails) -> str:
    """Write pictures that have a certificate."""
    head = (
        '<tr><th></th><th>picture</th><th>certified label</th><th>true label</th><th class="n">'
        'radius</th><th class="n">votes</th><th class="n">cost</th><th>stopped</th>'
        "<th>certificate</th></tr>"
    )
    return _table(head, [_picture(row, thumbnails) for row in rows])


def failures(rows: Iterable[Row], thumbnails: Thumbnails) -> str:
    """Write pictures that failed, with the reasons."""
    head = '<tr><th></th><th>picture</th><th>reason</th><th class="n">calls</th></tr>'
    lines = [
        f"<tr>{_thumbnail(row, thumbnails)}{_name(row)}<td>{_reason(row)}</td>"
        f'<td class="n">{row.calls:,}</td></tr>'
        for row in rows
    ]
    return _table(head, lines)


def facts(entries: Iterable[tuple[str, str]]) -> str:
    """Write names and values; the values are HTML already."""
    lines = [f'<tr><td class="k">{told(name)}</td><td>{value}</td></tr>' for name, value in entries]
    return _table("", lines)


def counts(entries: Iterable[tuple[str, int]]) -> str:
    """Write how often something was, in one sentence."""
    return ", ".join(f"{told(name)} × {count:,}" for name, count in entries)


def _picture(row: Row, thumbnails: Thumbnails) -> str:
    if row.abstained or row.radius is None:
        label, radius = '<span class="soft">abstained</span>', "–"
    else:
        right = {True: ' class="yes"', False: ' class="no"', None: ""}[row.correct]
        label, radius = f"<span{right}>{told(row.label)}</span>", radius_words(row.radius)
    truth = "–" if row.truth is None else told(row.truth)
    return (
        f"<tr>{_thumbnail(row, thumbnails)}{_name(row)}<td>{label}</td><td>{truth}</td>"
        f'<td class="n">{radius}</td><td class="n">{row.n:,}</td><td class="n">{money(row.cost)}'
        f"</td><td>{told(stopped(row.stop_reason or ''))}</td>"
        f'<td class="c">{_certificate(row.certificate)}</td></tr>'
    )


def _certificate(name: str | None) -> str:
    """Write an id in two lines."""
    if name is None:
        return "–"
    half = (len(name) + 1) // 2
    return f"<code>{told(name[:half])}<br>{told(name[half:])}</code>" if half > 4 else told(name)


def _name(row: Row) -> str:
    return f'<td class="name">{told(row.name)}</td>'


def _reason(row: Row) -> str:
    problem = row.problem or {}
    title, detail = problem.get("title", "no reason was given"), problem.get("detail")
    return told(title) + (f'<br><span class="soft">{told(detail)}</span>' if detail else "")


def _thumbnail(row: Row, thumbnails: Thumbnails) -> str:
    png = thumbnails.get(row.number, b"")
    if not png.startswith(PNG) or len(png) > LARGEST_THUMBNAIL:
        return '<td class="t"></td>'
    data = base64.b64encode(png).decode("ascii")
    return f'<td class="t"><img alt="" src="data:image/png;base64,{data}"></td>'


def _table(head: str, lines: Sequence[str]) -> str:
    opened = f"<thead>{head}</thead>" if head else ""
    return f'<div class="scroll"><table>{opened}<tbody>{"".join(lines)}</tbody></table></div>'
