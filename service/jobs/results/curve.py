"""Certified accuracy over the radius: the curve that the field compares methods by.

At radius r it is the share of pictures whose certified label is right with a radius of at least
r. The band is Clopper and Pearson's at each radius by itself, 95 %: how far the accuracy on all
pictures of the kind may be from that on these, if these were drawn at random.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from certification.clopper_pearson import interval
from service.jobs.rows import Row, State

BAND = 0.05
NOT_CERTIFIED = -1.0

AT = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The radii that papers give."""

JUDGED: tuple[State, ...] = ("done", "failed", "unpaid")
"""Pictures in these states count; a job that is stopped early says nothing about the others."""


@dataclass(frozen=True)
class Share:
    """A share of pictures with its band.

    Attributes:
        count: how many.
        total: of how many.
        low: lower limit, 0 to 1.
        high: upper limit, 0 to 1.
    """

    count: int
    total: int
    low: float
    high: float

    @classmethod
    def of(cls, count: int, total: int) -> "Share":
        """Compute the band."""
        return cls(count, total, *interval(count, total, BAND))

    @property
    def value(self) -> float:
        """The share, 0 to 1; 0 of no pictures."""
        return self.count / self.total if self.total else 0.0

    def describe(self) -> dict[str, float | int]:
        """Return JSON values."""
        return {
            "share": self.value,
            "low": self.low,
            "high": self.high,
            "count": self.count,
            "total": self.total,
        }


@dataclass(frozen=True)
class Step:
    """A piece of the curve over which nothing changes.

    Attributes:
        start: the share holds for radii above this (the first piece: from 0 on).
        end: and up to this, which belongs to it.
        count: pictures with a radius of at least `end`.
        total: all pictures.
    """

    start: float
    end: float
    count: int
    total: int

    @property
    def share(self) -> Share:
        """The share over this piece, with its band."""
        return Share.of(self.count, self.total)


class Curve:
    """Certified accuracy of some pictures.

    Args:
        radii: of each picture, NOT_CERTIFIED where it counts at no radius.

    Attributes:
        total: pictures.
        longest: the largest radius; 0.0 if none is certified.
    """

    def __init__(self, radii: NDArray[np.float64]) -> None:
        self.total = len(radii)
        self._ends, counts = np.unique(radii[radii >= 0], return_counts=True)
        self._counts = counts[::-1].cumsum()[::-1]  # pictures with at least this radius
        self.longest = float(self._ends[-1]) if len(self._ends) else 0.0

    def at(self, radius: float) -> Share:
        """Return the share of pictures that are certified for a radius."""
        place = int(np.searchsorted(self._ends, radius, side="left"))
        count = int(self._counts[place]) if place < len(self._counts) else 0
        return Share.of(count, self.total)

    def steps(self) -> Iterator[Step]:
        """Yield the pieces from radius 0 to the longest; none if nothing is certified."""
        start = 0.0
        for end, count in zip(self._ends.tolist(), self._counts.tolist(), strict=True):
            yield Step(start, end, count, self.total)
            start = end


def certified_radius(row: Row) -> float:
    """Return the radius of a picture with a certified label, right or wrong; NOT_CERTIFIED else."""
    if row.state != "done" or row.abstained or row.radius is None:
        return NOT_CERTIFIED
    return row.radius
