"""What the charts of a report have in common: size, axes, words.

Colours are classes, so that a chart follows the page it stands in, light or dark; one that
stands alone brings them along.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from service.jobs.results.report_style import CHART_CSS
from service.picture_text import clean, number, shorten, within

WIDTH, HALF, HEIGHT = 760.0, 480.0, 300.0  # HALF where two stand side by side
LEFT, RIGHT, TOP, BOTTOM = 62.0, 24.0, 28.0, 46.0  # of the plot, from the chart's sides
SIZE = 12.0  # of its letters
COLOURS = 7


@dataclass(frozen=True)
class Axis:
    """From values to places.

    Attributes:
        high: value at `end`; at `start` it is 0.
        start: place.
        end: place.
    """

    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        return self.start + (self.end - self.start) * value / self.high


def across(high: float, wide: float) -> Axis:
    """Return the axis from left to right of a chart, from 0."""
    return Axis(high, LEFT, wide - RIGHT)


def upwards(high: float) -> Axis:
    """Return the axis from the bottom to the top, from 0."""
    return Axis(high, HEIGHT - BOTTOM, TOP)


def text(x: float, y: float, content: str, kind: str = "") -> str:
    """Write a line.

    Args:
        x: place of what `kind` says: middle, "start" or "end".
        y: the baseline.
        content: any text.
        kind: classes.
    """
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{number(x)}" y="{number(y)}"{named}>{escape(content)}</text>'


def box(x: float, y: float, wide: float, high: float, kind: str, told: str = "") -> str:
    """Draw a rectangle that says `told` to whoever points at it."""
    title = f"<title>{escape(told)}</title>" if told else ""
    return (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(wide)}" height="{number(high)}" '
        f'class="{kind}">{title}</rect>'
    )


def grid(axis: Axis, ticks: Iterable[tuple[float, str]], wide: float, named: str) -> list[str]:
    """Draw lines from left to right, each with its value, and what the values are."""
    drawn, right = [text(LEFT, 14, named, "start name")], number(wide - RIGHT)
    for value, said in ticks:
        y = axis(value)
        drawn.append(f'<path d="M{number(LEFT)} {number(y)}H{right}" class="grid"/>')
        drawn.append(text(LEFT - 8, y + 4, said, "end"))
    return drawn


def below(axis: Axis, ticks: Iterable[tuple[float, str]], named: str) -> list[str]:
    """Write the values of the axis from left to right, and what it is."""
    y = HEIGHT - BOTTOM
    drawn = [f'<path d="M{number(axis.start)} {number(y)}H{number(axis.end)}" class="axis"/>']
    for value, said in ticks:
        x = number(axis(value))
        drawn.append(f'<path d="M{x} {number(y)}v4" class="axis"/>')
        drawn.append(text(axis(value), y + 17, said))
    drawn.append(text((axis.start + axis.end) / 2, HEIGHT - 8, named, "name"))
    return drawn


def steps(high: float, most: int = 6) -> list[float]:
    """Return round values from 0 to at least `high`, at most `most` steps."""
    rough = (high or 1.0) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(part * power for part in (1, 2, 2.5, 5, 10) if part * power >= rough * (1 - 1e-9))
    return [round(k * step, 12) for k in range(math.ceil(high / step - 1e-9) + 1)] or [0.0, step]


def short(said: object, room: float) -> str:
    """Return a text from outside, cleaned, no wider than its room."""
    return shorten(clean(said), within(room, SIZE))


def chart(drawn: Sequence[str], told: str, wide: float, high: float = HEIGHT) -> str:
    """Return a chart to stand in a page.

    Args:
        drawn: elements.
        told: what it shows, for those who do not see it.
        wide: of all of it.
        high: of all of it.
    """
    return (
        f'<svg viewBox="0 0 {number(wide)} {number(high)}" role="img" class="chart">'
        f"<title>{escape(told)}</title>{''.join(drawn)}</svg>"
    )


def alone(svg: str) -> str:
    """Return a chart as a document of its own."""
    opened = '<svg xmlns="http://www.w3.org/2000/svg" '
    head, _, rest = svg.replace("<svg ", opened, 1).partition(">")
    paper = '<rect width="100%" height="100%" class="paper"/>'
    title, _, drawn = rest.partition("</title>")
    return f"{head}>{title}</title><style>{CHART_CSS}</style>{paper}{drawn}\n"
