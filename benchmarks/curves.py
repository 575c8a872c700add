"""Draws certified-accuracy curves as SVG, without a plotting library."""

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#1a7f37", "#0969da", "#bc4c00", "#8250df", "#57606a", "#bf3989", "#9a6700")
DASHES = ("", "7 4", "2 3", "9 3 2 3")
DIAMOND = "M0 -5L5 0L0 5L-5 0Z"
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 620, 360, 60, 40, 20, 50


def draw_curves(
    curves: Mapping[str, Sequence[float]],
    title: str,
    *,
    styles: Mapping[str, tuple[int, int]] | None = None,
    points: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> str:
    """Draw, for each name, the share of radii that are at least r, as r grows.

    Args:
        curves: name → radius of each picture; below 0 for a picture that counts nowhere.
        title: stands above.
        styles: name → number of its colour and of its dashes; without, each has a colour.
        points: name → (radius, share) of figures to compare with, drawn as diamonds.

    Returns:
        An SVG document.
    """
    marks, styles = points or {}, styles or {}
    known = [r for row in marks.values() for r, _ in row]
    longest = max([0.1, *known, *(r for radii in curves.values() for r in radii)]) * 1.05

    def x(radius: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * radius / longest

    def y(share: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)

    parts = [f'<text x="{WIDTH / 2}" y="22" class="title">{escape(title)}</text>']
    for percent in range(0, 101, 20):
        at = y(percent / 100)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" class="end">{percent} %</text>')
    step = next(s for s in (0.05, 0.1, 0.25, 0.5, 1.0, 2.0) if longest / s <= 8)
    parts += [
        f'<text x="{x(k * step):.1f}" y="{HEIGHT - 28}">{k * step:g}</text>'
        for k in range(int(longest / step) + 1)
    ]
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}">L2 radius</text>')
    for row, (name, radii) in enumerate(curves.items()):
        colour, dash = styles.get(name, (row, 0))
        pen = f'class="curve" stroke="{COLOURS[colour % len(COLOURS)]}"'
        pen += f' stroke-dasharray="{DASHES[dash]}"' if dash else ""
        ordered, count = sorted(r for r in radii if r >= 0), len(radii)
        path = f"M{x(0):.1f} {y(len(ordered) / count):.1f}"
        for rank, radius in enumerate(ordered):
            left = len(ordered) - rank
            path += f"L{x(radius):.1f} {y(left / count):.1f}V{y((left - 1) / count):.1f}"
        parts.append(f'<path d="{path}" {pen}/>')
        parts += _entry(row, f'<path d="M0 0h26" {pen}/>', name)
    for row, (name, figures) in enumerate(marks.items(), len(curves)):
        diamond = f'<path d="{DIAMOND}" class="mark{row - len(curves)}"/>'
        parts += [
            f'<g transform="translate({x(r):.1f} {y(s):.1f})">{diamond}</g>' for r, s in figures
        ]
        parts += _entry(row, f'<g transform="translate(13 0)">{diamond}</g>', name)
    style = (
        "text{font-family:sans-serif;font-size:12px;fill:#24292f;text-anchor:middle}"
        ".title{font-size:14px;font-weight:600}.end{text-anchor:end}.start{text-anchor:start}"
        ".grid{stroke:#d0d7de}.curve{fill:none;stroke-width:2}"
        ".mark0{fill:#24292f}.mark1{fill:#ffffff;stroke:#24292f}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}"><style>{style}</style>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _entry(row: int, drawn: str, name: str) -> list[str]:
    """Draw a line of the legend."""
    at = TOP + 16 + 18 * row
    return [
        f'<g transform="translate({WIDTH - 186} {at - 4})">{drawn}</g>',
        f'<text x="{WIDTH - 152}" y="{at}" class="start">{escape(name)}</text>',
    ]
