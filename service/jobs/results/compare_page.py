"""Jobs beside one another as a picture, a page and a table for the terminal."""

from html import escape

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from service.jobs.results import report_tables as tables
from service.jobs.results.compare import Comparison, Pair
from service.jobs.results.curve import AT
from service.jobs.results.report import page
from service.jobs.results.report_curve import Line, curve_chart
from service.jobs.results.report_svg import alone
from service.jobs.results.report_words import counted, told
from service.terminal import cell

_BAND = "Bands: 95 % at each radius (Clopper–Pearson)."
_TEST = (
    "p: McNemar's exact test of whether both certify equally many of these pictures; each by "
    "itself, so with many radii and jobs a small one comes up by chance now and then."
)


def comparison_svg(comparison: Comparison) -> str:
    """Draw the curves of all jobs in one picture that stands alone."""
    return alone(_chart(comparison))


def comparison_page(comparison: Comparison) -> str:
    """Write a page with the curves, the shares, and the differences picture by picture."""
    curves = [
        (side.name, curve) for side, curve in zip(comparison.sides, comparison.curves, strict=True)
    ]
    body = [
        f"<h1>{comparison.named} of {len(comparison.sides)} jobs</h1>",
        f'<figure class="wide">{_chart(comparison)}<figcaption>{escape(_about(comparison))}'
        f"</figcaption></figure>{tables.shares(curves, 'job')}",
        *map(_pair, comparison.pairs()),
    ]
    return page(f"{comparison.named} of {len(comparison.sides)} jobs", "".join(body))


def comparison_table(comparison: Comparison) -> RenderableType:
    """Lay out the same for a terminal."""
    table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left")
    table.add_column(comparison.named, overflow="fold")
    for radius in AT:
        table.add_column(f"r = {radius:g}", justify="right")
    for side, curve in zip(comparison.sides, comparison.curves, strict=True):
        found = [curve.at(radius) for radius in AT]
        values = [Text(f"{100 * one.value:.1f} %" if one.total else "–") for one in found]
        bands = [f"{100 * one.low:.1f}–{100 * one.high:.1f}" for one in found]
        table.add_row(cell(side.name), *values)
        table.add_row(Text(f"  {counted(curve.total, 'picture')}", style="dim"), *map(_dim, bands))
    return Group(table, *map(_differences, comparison.pairs()))


def _chart(comparison: Comparison) -> str:
    lines = [
        Line(f"{side.name}, {counted(curve.total, 'picture')}", curve)
        for side, curve in zip(comparison.sides, comparison.curves, strict=True)
    ]
    return curve_chart(lines, comparison.named)


def _about(comparison: Comparison) -> str:
    what = (
        "Share of pictures whose certified label is the true one, with a radius of at least r."
        if comparison.accuracy
        else "Share of pictures that are certified with a radius of at least r, right or wrong: "
        "not every job has true labels."
    )
    left_out = [
        f"{side.name}: {counted(side.left_out, 'picture')} left out, not judged yet."
        for side in comparison.sides
        if side.left_out
    ]
    return " ".join([what, *left_out, _BAND])


def _pair(pair: Pair) -> str:
    title = f"<h2>{told(pair.first.name)} and {told(pair.second.name)}</h2>"
    if not pair.common:
        return f"<section>{title}<p>They have no picture in common.</p></section>"
    return (
        f'<section>{title}<p class="soft">{counted(pair.common, "picture")} in common. {_TEST}</p>'
        f"{tables.differences(pair.differences, pair.first.name, pair.second.name)}</section>"
    )


def _differences(pair: Pair) -> RenderableType:
    head = Text.assemble(
        "\n", cell(pair.first.name), " and ", cell(pair.second.name), ": ", _common(pair)
    )
    if not pair.common:
        return head
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("", "both", "only the first", "only the second", "neither", "p"):
        table.add_column(name, justify="right")
    for one in pair.differences:
        counts = (one.both, one.only_first, one.only_second, one.neither)
        p_value = f"{one.p_value:.2g}"
        table.add_row(f"r = {one.radius:g}", *(f"{count:,}" for count in counts), p_value)
    return Group(head, table)


def _common(pair: Pair) -> str:
    return f"{counted(pair.common, 'picture')} in common" if pair.common else "no common pictures"


def _dim(text: str) -> Text:
    return Text(text, style="dim")
