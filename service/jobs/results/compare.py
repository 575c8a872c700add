"""Two or more jobs beside one another, and picture by picture where they have the same ones."""

import itertools
from array import array
from collections.abc import AsyncIterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from certification.clopper_pearson import binomial_p_value
from service.jobs.results.curve import AT, JUDGED, NOT_CERTIFIED, Curve, certified_radius
from service.jobs.rows import Row

_DIGITS = 64  # of a SHA-256
_NO_CONTENT = b" " * _DIGITS


class Side:
    """One of the jobs: of each judged picture a radius and what it is called by its content.

    Args:
        name: of the job.

    Attributes:
        name: as given.
        left_out: pictures that are not judged.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.left_out = 0
        self._digests = bytearray()
        self._radii, self._right = array("d"), array("d")

    @classmethod
    async def of(cls, name: str, rows: AsyncIterable[Row]) -> "Side":
        """Go through the rows of a job."""
        side = cls(name)
        async for row in rows:
            side.add(row)
        return side

    def add(self, row: Row) -> None:
        """Take in one picture."""
        if row.state not in JUDGED:
            self.left_out += 1
            return
        radius = certified_radius(row)
        self._radii.append(radius)
        known = radius if row.correct else NOT_CERTIFIED
        self._right.append(np.nan if row.truth is None else known)
        self._digests += row.sha256.encode("ascii", "replace").ljust(_DIGITS)[:_DIGITS]

    @property
    def truths(self) -> int:
        """How many judged pictures have a known truth."""
        return int(np.count_nonzero(~np.isnan(np.array(self._right))))

    def curve(self, *, accuracy: bool) -> Curve:
        """Return certified accuracy over the pictures with a truth, or the share certified."""
        if not accuracy:
            return Curve(np.array(self._radii))
        right = np.array(self._right)
        return Curve(right[~np.isnan(right)])

    def by_content(self, *, accuracy: bool) -> tuple[NDArray[np.bytes_], NDArray[np.float64]]:
        """Return SHA-256s, sorted, and radii; of equal pictures the first one's."""
        digests = np.frombuffer(bytes(self._digests), f"S{_DIGITS}")
        radii = np.array(self._right if accuracy else self._radii)
        usable = (digests != _NO_CONTENT) & ~np.isnan(radii)
        found, places = np.unique(digests[usable], return_index=True)
        return found, radii[usable][places]


@dataclass(frozen=True)
class Difference:
    """How two jobs differ at one radius, over the pictures that both have.

    Attributes:
        radius: L2.
        both: pictures that both certify.
        only_first: that the first certifies and the second does not.
        only_second: the other way round.
        neither: that none certifies.
    """

    radius: float
    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def p_value(self) -> float:
        """McNemar's exact test of "they certify equally many", two-sided."""
        return binomial_p_value(self.only_first, self.only_second)

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "radius": self.radius,
            "both": self.both,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "neither": self.neither,
            "p_value": self.p_value,
        }


@dataclass(frozen=True)
class Pair:
    """Two jobs over the pictures that both have.

    Attributes:
        first: a job.
        second: another one.
        common: pictures, told apart by their SHA-256.
        differences: at each radius of AT; none without common pictures.
    """

    first: Side
    second: Side
    common: int
    differences: tuple[Difference, ...]


class Comparison:
    """Jobs beside one another.

    Args:
        sides: two or more.

    Attributes:
        sides: as given.
        accuracy: whether it is about right labels, which takes truths in every job; else about
            certified ones, right or wrong.
        curves: one for each side.
    """

    def __init__(self, sides: Sequence[Side]) -> None:
        self.sides = tuple(sides)
        self.accuracy = all(side.truths for side in sides)
        self.curves = tuple(side.curve(accuracy=self.accuracy) for side in sides)

    @property
    def named(self) -> str:
        """What is compared."""
        return "Certified accuracy" if self.accuracy else "Share certified"

    def pairs(self) -> Iterator[Pair]:
        """Yield each two of the jobs."""
        for first, second in itertools.combinations(self.sides, 2):
            yield self._pair(first, second)

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "measure": "certified_accuracy" if self.accuracy else "share_certified",
            "jobs": [
                {
                    "name": side.name,
                    "pictures": curve.total,
                    "left_out": side.left_out,
                    "certified": {f"{r:g}": curve.at(r).describe() for r in AT},
                }
                for side, curve in zip(self.sides, self.curves, strict=True)
            ],
            "pairs": [
                {
                    "first": pair.first.name,
                    "second": pair.second.name,
                    "common": pair.common,
                    "differences": [difference.describe() for difference in pair.differences],
                }
                for pair in self.pairs()
            ],
        }

    def _pair(self, first: Side, second: Side) -> Pair:
        names, radii = first.by_content(accuracy=self.accuracy)
        others, other_radii = second.by_content(accuracy=self.accuracy)
        common, here, there = np.intersect1d(names, others, assume_unique=True, return_indices=True)
        differences = [_difference(r, radii[here] >= r, other_radii[there] >= r) for r in AT]
        return Pair(first, second, len(common), tuple(differences if len(common) else ()))


def _difference(radius: float, one: NDArray[np.bool_], other: NDArray[np.bool_]) -> Difference:
    return Difference(
        radius,
        both=int(np.count_nonzero(one & other)),
        only_first=int(np.count_nonzero(one & ~other)),
        only_second=int(np.count_nonzero(~one & other)),
        neither=int(np.count_nonzero(~one & ~other)),
    )
