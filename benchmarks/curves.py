"""Draws certified-accuracy curves as SVG, without a plotting library."""

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#1a7f37", "#0969da", "#bc4c00", "#8250df", "#57606a")
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 620, 360, 60, 40, 20, 50


def draw_curves(curves: Mapping[str, Sequence[float]], title: str) -> str:
    """Draw, for each name, the share of radii that are at least r, as r grows.

    Args:
        curves: name → radius of each picture; below 0 for a picture that counts nowhere.
        title: stands above.

    Returns:
        An SVG document.
    """
    longest = max([0.1, *(r for radii in curves.values() for r in radii)]) * 1.05

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
    for row, ((name, radii), colour) in enumerate(zip(curves.items(), COLOURS, strict=False)):
        ordered, count = sorted(r for r in radii if r >= 0), len(radii)
        path = f"M{x(0):.1f} {y(len(ordered) / count):.1f}"
        for rank, radius in enumerate(ordered):
            left = len(ordered) - rank
            path += f"L{x(radius):.1f} {y(left / count):.1f}V{y((left - 1) / count):.1f}"
        parts.append(f'<path d="{path}" class="curve" stroke="{colour}"/>')
        at = TOP + 16 + 18 * row
        parts.append(f'<path d="M{WIDTH - 170} {at - 4}h22" class="curve" stroke="{colour}"/>')
        parts.append(f'<text x="{WIDTH - 140}" y="{at}" class="start">{escape(name)}</text>')
    style = (
        "text{font-family:sans-serif;font-size:12px;fill:#24292f;text-anchor:middle}"
        ".title{font-size:14px;font-weight:600}.end{text-anchor:end}.start{text-anchor:start}"
        ".grid{stroke:#d0d7de}.curve{fill:none;stroke-width:2}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}"><style>{style}</style>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )
