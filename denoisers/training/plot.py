"""Draws the log of a training as SVG, without a plotting library: loss above, metric below."""

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT = 720, 520, 64, 24
TOP, BOTTOM = (56, 292), (256, 472)  # of the upper and the lower part
MOST_POINTS = 600  # of a line; of longer logs means are drawn
STYLE = (
    "text{font-family:sans-serif;font-size:12px;fill:#24292f;text-anchor:middle}"
    ".title{font-size:14px;font-weight:600}.end{text-anchor:end}.start{text-anchor:start}"
    ".grid{stroke:#d0d7de}polyline{fill:none;stroke-width:2;stroke-linejoin:round}"
    ".faint{stroke-width:1;opacity:.35}.loss{stroke:#0969da}.metric{stroke:#1a7f37}"
    ".rate{stroke:#bc4c00;stroke-width:1;stroke-dasharray:4 3}"
)


def draw(rows: Sequence[Sequence[float]], metric: str, title: str) -> str:
    """Draw a log.

    Args:
        rows: step, loss, metric, learning rate, … as :func:`denoisers.training.log.read_log` gives.
        metric: what the third number is called.
        title: stands above.

    Returns:
        An SVG document. Faint lines are what was logged, strong ones are smoothed; the dashed one
        is the learning rate, on a scale of its own that begins at 0.
    """
    points = _thinned([[v if math.isfinite(v) else 0.0 for v in row[:4]] for row in rows])
    steps = [row[0] for row in points]
    longest = max([1.0, *steps])
    parts = [f'<text x="{WIDTH / 2}" y="22" class="title">{escape(title)}</text>']
    parts += _panel(0, "loss", [row[1] for row in points], steps, longest)
    parts += _panel(1, metric, [row[2] for row in points], steps, longest)
    rates = [row[3] for row in points]
    peak = max([0.0, *rates]) or 1.0
    parts.append(_line(0, "rate", steps, rates, longest, (0.0, 1.05 * peak)))
    names = f"loss, and the learning rate dashed (0 to {peak:.3g})"
    parts.append(f'<text x="{LEFT}" y="{TOP[0] - 6}" class="start">{names}</text>')
    above = TOP[1] - 6
    parts.append(f'<text x="{LEFT}" y="{above}" class="start">{escape(metric)}</text>')
    parts += [
        f'<text x="{_x(step, longest):.1f}" y="{BOTTOM[1] + 18}">{step:,.0f}</text>'
        for step in _ticks(0, longest)
    ]
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 10}">step</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}"><style>{STYLE}</style>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _panel(
    place: int, name: str, values: list[float], steps: list[float], longest: float
) -> list[str]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    parts = []
    for tick in _ticks(low, high):
        at = _y(place, tick, (low, high))
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" class="end">{tick:g}</text>')
    kind = "metric" if place else "loss"
    parts.append(_line(place, f"{kind} faint", steps, values, longest, (low, high)))
    parts.append(_line(place, kind, steps, _smoothed(values), longest, (low, high)))
    return parts


def _line(
    place: int,
    kind: str,
    steps: list[float],
    values: list[float],
    longest: float,
    scale: tuple[float, float],
) -> str:
    drawn = " ".join(
        f"{_x(step, longest):.1f},{_y(place, value, scale):.1f}"
        for step, value in zip(steps, values, strict=True)
    )
    return f'<polyline class="{kind}" points="{drawn}"/>'


def _x(step: float, longest: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * step / longest


def _y(place: int, value: float, scale: tuple[float, float]) -> float:
    top, bottom, (low, high) = TOP[place], BOTTOM[place], scale
    return bottom - (bottom - top) * (value - low) / (high - low)


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two others, about five."""
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _smoothed(values: list[float]) -> list[float]:
    """Return the mean of each value and its neighbours."""
    reach = len(values) // 30
    near = [values[max(0, k - reach) : k + reach + 1] for k in range(len(values))]
    return [sum(part) / len(part) for part in near]


def _thinned(rows: list[list[float]]) -> list[list[float]]:
    """Return at most `MOST_POINTS` rows: means of as many neighbours as that takes."""
    group = -(-len(rows) // MOST_POINTS) or 1
    parts = [rows[start : start + group] for start in range(0, len(rows), group)]
    return [[sum(column) / len(part) for column in zip(*part, strict=True)] for part in parts]
