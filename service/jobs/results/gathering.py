"""What a page about a job needs to know, gathered in one pass over the rows.

Of each picture some numbers stay, 40 bytes; whole rows only of the few that are shown.
"""

from array import array
from collections import Counter
from collections.abc import AsyncIterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.jobs.results.curve import JUDGED, NOT_CERTIFIED, Curve, certified_radius
from service.jobs.results.few import Few
from service.jobs.rows import Row, State

SHOWN = 12  # pictures in each table
MOST_KINDS = 20  # stop reasons and problems that are told apart
OTHERS = "others"

Numbers = NDArray[np.float64]


@dataclass
class Gathered:
    """A job in numbers.

    Attributes:
        counts: pictures by state.
        certified: pictures with a certified label.
        abstained: pictures whose certificate certifies nothing.
        correct: pictures whose certified label is the true one.
        wrong: pictures whose certified label is not.
        truths: judged pictures whose truth is known.
        votes: of all certificates.
        abstentions: votes without a label.
        calls: to the provider.
        retries: calls that asked again.
        images: pictures sent.
        cost: US dollars.
        seconds: of work.
        stop_reasons: how often each was.
        problems: how often each title was.
        best: the largest radii; rightly certified where truths are known.
        worst: certified wrongly, the largest radius first, then the smallest radii.
        failed: the first ones.
    """

    counts: Counter[State] = field(default_factory=Counter)
    certified: int = 0
    abstained: int = 0
    correct: int = 0
    wrong: int = 0
    truths: int = 0
    votes: int = 0
    abstentions: int = 0
    calls: int = 0
    retries: int = 0
    images: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    stop_reasons: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    best: Few = field(default_factory=lambda: Few(SHOWN))
    worst: Few = field(default_factory=lambda: Few(2 * SHOWN))
    failed: Few = field(default_factory=lambda: Few(SHOWN))
    _right: "array[float]" = field(default_factory=lambda: array("d"))
    _any: "array[float]" = field(default_factory=lambda: array("d"))
    _radii: "array[float]" = field(default_factory=lambda: array("d"))
    _wrong_radii: "array[float]" = field(default_factory=lambda: array("d"))
    _votes: "array[float]" = field(default_factory=lambda: array("d"))
    _costs: "array[float]" = field(default_factory=lambda: array("d"))

    @classmethod
    async def of(cls, rows: AsyncIterable[Row]) -> "Gathered":
        """Go through the rows of a job."""
        gathered = cls()
        async for row in rows:
            gathered.add(row)
        return gathered

    def add(self, row: Row) -> None:
        """Count one picture."""
        self.counts[row.state] += 1
        self.calls += row.calls
        self.retries += row.retries
        self.images += row.images
        self.cost += row.cost
        self.seconds += row.seconds
        if row.calls:
            self._costs.append(row.cost)
        if row.state in JUDGED:
            self._judge(row)
        if row.state == "done":
            self._count_done(row)
        if row.state == "failed":
            _count(self.problems, str((row.problem or {}).get("title", "no reason was given")))
            self.failed.offer((-row.number,), row)

    @property
    def pictures(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    @property
    def judged(self) -> int:
        """How many the job is through with: those with a certificate, failed and unpaid ones."""
        return len(self._any)

    @property
    def left_out(self) -> int:
        """How many are not judged: waiting, being worked at, or cancelled."""
        return self.pictures - self.judged

    @property
    def accuracy(self) -> Curve | None:
        """Certified accuracy over the pictures whose truth is known; None if there are none."""
        return Curve(_numbers(self._right)) if self._right else None

    @property
    def share_certified(self) -> Curve:
        """Share of all judged pictures that is certified, whatever the label."""
        return Curve(_numbers(self._any))

    def reach(self, radius: float) -> int:
        """Return how many pictures are certified for a radius, whatever the label."""
        return self.share_certified.at(radius * (1 - 1e-9)).count  # radii are rounded down

    @property
    def radii(self) -> Numbers:
        """Radii of the certified pictures, but for those whose label is wrong."""
        return _numbers(self._radii)

    @property
    def wrong_radii(self) -> Numbers:
        """Radii of those whose certified label is wrong."""
        return _numbers(self._wrong_radii)

    @property
    def votes_each(self) -> Numbers:
        """Votes of each certificate."""
        return _numbers(self._votes)

    @property
    def costs_each(self) -> Numbers:
        """US dollars for each picture that calls were made for."""
        return _numbers(self._costs)

    def shown_worst(self) -> list[Row]:
        """Return the worst that are not among the best, as in a small job they would be."""
        best = {row.number for row in self.best.rows()}
        return [row for row in self.worst.rows() if row.number not in best][:SHOWN]

    def _judge(self, row: Row) -> None:
        radius = certified_radius(row)
        self._any.append(radius)
        if row.truth is not None:
            self.truths += 1
            self._right.append(radius if row.correct else NOT_CERTIFIED)

    def _count_done(self, row: Row) -> None:
        radius = certified_radius(row)
        certified, wrong = radius >= 0, row.truth is not None and not row.correct
        self.votes += row.n
        self.abstentions += row.abstentions
        self._votes.append(row.n)
        _count(self.stop_reasons, row.stop_reason or "not told")
        if not certified:
            self.abstained += 1
            # Worse than any radius; the fewer votes it took to see, the worse.
            self.worst.offer((0, 1.0, -row.n, -row.number), row)
            return
        self.certified += 1
        if wrong:
            self.wrong += 1
            self._wrong_radii.append(radius)
            self.worst.offer((1, radius, -row.n, -row.number), row)
            return
        self.correct += bool(row.correct)
        self._radii.append(radius)
        self.best.offer((radius, -row.n, -row.number), row)
        self.worst.offer((0, -radius, -row.n, -row.number), row)


def _count(counter: Counter[str], kind: str) -> None:
    counter[kind if kind in counter or len(counter) < MOST_KINDS else OTHERS] += 1


def _numbers(values: "array[float]") -> Numbers:
    return np.array(values, np.float64)  # a copy: a view would forbid to add more
