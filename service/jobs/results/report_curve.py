"""The chart of certified accuracy: one curve with its band, or several to compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from service.jobs.results.curve import Curve, Share
from service.jobs.results.report_svg import (
    COLOURS,
    HEIGHT,
    LEFT,
    RIGHT,
    WIDTH,
    Axis,
    across,
    below,
    chart,
    grid,
    short,
    steps,
    text,
    upwards,
)
from service.picture_text import number

LEAST = 0.1  # the axis shows at least radii up to this
LEAST_LENGTH = 0.5  # of a piece of the curve; shorter ones are not seen
ENTRY = 18.0  # height of a line of the legend
PERCENTS = tuple((percent / 100, f"{percent} %") for percent in range(0, 101, 20))


@dataclass(frozen=True)
class Line:
    """A curve and what it is called.

    Attributes:
        name: any text.
        curve: what is drawn.
    """

    name: str
    curve: Curve


class Piece(NamedTuple):
    """A piece of a curve, in places of the chart."""

    start: float
    end: float
    share: Share


def curve_chart(lines: Sequence[Line], named: str) -> str:
    """Draw the share of pictures over the radius.

    Args:
        lines: one or more; from two on a legend says which is which.
        named: what the curves are.
    """
    marks = steps(max(LEAST, *(line.curve.longest * 1.02 for line in lines)), 8)
    x, y = across(marks[-1], WIDTH), upwards(1)
    drawn = grid(y, PERCENTS, WIDTH, named.lower())
    bands, curves = [], []
    for place, line in enumerate(lines):
        if line.curve.total:
            pieces = _pieces(line.curve, x)
            kind = f"c{place % COLOURS} d{place % 4}"
            bands.append(f'<path d="{_band(pieces, y)}" class="band c{place % COLOURS}"/>')
            curves.append(f'<path d="{_path(pieces, y)}" class="curve {kind}"/>')
    drawn += bands + curves
    drawn += below(x, [(mark, f"{mark:g}") for mark in marks], "L2 radius r")
    height = HEIGHT
    if len(lines) > 1:
        for place, line in enumerate(lines):
            drawn += _entry(place, line, HEIGHT + 14 + ENTRY * place)
        height += ENTRY * len(lines) + 6
    return chart(drawn, f"{named} over the L2 radius", WIDTH, height)


def _pieces(curve: Curve, x: Axis) -> list[Piece]:
    """Return the pieces of the curve to the end of the axis, those too short to be seen joined."""
    pieces: list[Piece] = []
    start = x(0)
    for step in curve.steps():
        if x(step.end) - start >= LEAST_LENGTH or step.end == 0.0:
            pieces.append(Piece(start, x(step.end), step.share))
            start = x(step.end)
    return [*pieces, Piece(start, x.end, Share.of(0, curve.total))]


def _path(pieces: Sequence[Piece], y: Axis) -> str:
    return f"M{number(pieces[0].start)} {number(y(pieces[0].share.value))}" + "".join(
        f"V{number(y(piece.share.value))}H{number(piece.end)}" for piece in pieces
    )


def _band(pieces: Sequence[Piece], y: Axis) -> str:
    path = f"M{number(pieces[0].start)} {number(y(pieces[0].share.high))}"
    for piece in pieces:
        path += f"V{number(y(piece.share.high))}H{number(piece.end)}"
    for piece in reversed(pieces):
        path += f"V{number(y(piece.share.low))}H{number(piece.start)}"
    return path + "Z"


def _entry(place: int, line: Line, at: float) -> list[str]:
    kind = f"curve c{place % COLOURS} d{place % 4}"
    return [
        f'<path d="M{number(LEFT)} {number(at - 4)}h30" class="{kind}"/>',
        text(LEFT + 40, at, short(line.name, WIDTH - LEFT - RIGHT - 40), "start name"),
    ]
