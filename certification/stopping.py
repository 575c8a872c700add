"""When a run ends: rules that depend on the votes alone, and how many votes are still needed.

A run ends at the first n at which a rule holds, so that the result is a function of the vote
sequence and not of timing. Where several hold at the same n the reason is the first of: target
reached, hopeless, good enough, votes spent; a rule of another make comes after these, in the
order given.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, ClassVar

from scipy.special import betaincc, ndtr

from certification.confidence import ConfidenceProcess
from certification.errors import InvalidParameter
from certification.martingale import NEVER, STEPS, index_for, mirrored_null, threshold, z_of

HOPELESS = threshold(0.01)
"""What the mirrored martingale must reach. A wrong stop only loses a certificate: no α is spent."""


@dataclass(frozen=True)
class StopRule(ABC):
    """Tells from the votes whether a run ends here.

    Raises:
        InvalidParameter: when one is made with numbers out of range.
    """

    reason: ClassVar[str]
    rank: ClassVar[int] = 9

    @abstractmethod
    def __call__(self, process: ConfidenceProcess) -> bool:
        """Return whether the rule holds at the votes seen so far."""

    @abstractmethod
    def not_before(self, process: ConfidenceProcess) -> int:
        """Return k ≥ 1 such that the rule, if it does not hold now, cannot within k − 1 votes."""

    @abstractmethod
    def expected(self, process: ConfidenceProcess, within: int) -> int:
        """Return after how many votes it will hold at the present rate, from 1 to `within`."""

    def describe(self) -> dict[str, Any]:
        """Return the rule as a certificate gives it."""
        return {"rule": self.reason, **asdict(self)}


@dataclass(frozen=True)
class TargetReached(StopRule):
    """A label is certified for the wanted radius: sigma · z ≥ target.

    Attributes:
        target: wanted radius, 0 … 6 sigma; with sigma left at 1 it is in units of sigma.
        sigma: standard deviation of the noise, above 0.
    """

    target: float
    sigma: float = 1.0
    reason: ClassVar[str] = "target_reached"
    rank: ClassVar[int] = 0

    def __post_init__(self) -> None:
        _ = self.index

    @property
    def index(self) -> int:
        """The grid point that the pointer has to reach; the target may lie below it."""
        return index_for(self.target, self.sigma)

    def __call__(self, process: ConfidenceProcess) -> bool:
        """Tell whether the certified radius is at least the target."""
        return process.pointer is not None and process.pointer >= self.index

    def not_before(self, process: ConfidenceProcess) -> int:
        """Count the votes that the best luck would take."""
        return process.unmoved(self.index)

    def expected(self, process: ConfidenceProcess, within: int) -> int:
        """Count the votes at the present rate."""
        return process.expected(self.index, within)


@dataclass(frozen=True)
class Hopeless(StopRule):
    """No label can be expected to reach the target any more.

    The mirrored martingale rejects "the true probability is at least p_j" at 0.01, with j the
    grid point that the target needs, for the label with the most votes. For any other label it
    is larger still (at a given n it falls with S), so whichever label deserves the target, it
    is given up with probability at most 0.01. Without a target j is 0, and there is nothing to
    give up once a label is certified. After a conflict nothing can be certified any more.

    Attributes:
        target: wanted radius, 0 … 6 sigma; None to ask for any certificate at all.
        sigma: standard deviation of the noise, above 0.
    """

    target: float | None = None
    sigma: float = 1.0
    reason: ClassVar[str] = "hopeless"
    rank: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _ = self.index

    @property
    def index(self) -> int:
        """The grid point that is given up."""
        return index_for(self.target or 0.0, self.sigma)

    def __call__(self, process: ConfidenceProcess) -> bool:
        """Tell whether the target is out of reach; False while it is reached."""
        if process.pointer is not None and process.pointer >= self.index:
            return False
        against, s = mirrored_null(self.index, process.margin), process.leader_count
        if process.conflict or against is None:
            return True
        return float(against.log_m(process.n - s, s)) >= HOPELESS

    def not_before(self, process: ConfidenceProcess) -> int:
        """Count the votes against the leader that it would take, or a conflict."""
        against, s = mirrored_null(self.index, process.margin), process.leader_count
        if against is None:
            return 1
        votes = against.successes_missing(float(against.log_m(process.n - s, s)), HOPELESS)
        # A conflict needs a first pointer for a label other than the certified one (or, before
        # that, than the leader): it has at most n − s votes and needs more than half of them.
        if process.label is not None:
            conflict = 2 * process.counts[process.label] - process.n + 1
        else:
            conflict = max(2 * s - process.n + 1, process.unmoved(0))
        return max(1, min(votes, conflict))

    def expected(self, process: ConfidenceProcess, within: int) -> int:
        """Count the votes at the present rate."""
        against, s = mirrored_null(self.index, process.margin), process.leader_count
        if against is None or process.conflict:
            return 1
        return against.votes_missing(process.n - s, s, 1.0 - process.rate, HOPELESS, within)


@dataclass(frozen=True)
class GoodEnough(StopRule):
    """The radius is most of what the whole budget of votes would give.

    Holds if z ≥ x · z_CP with both above 0, and z_CP the radius that Clopper and Pearson's
    bound would give at the label's level for `max_votes` votes at the present vote rate. It
    takes no quantile: Φ(z/x) ≥ p_CP ⇔ I_Φ(z/x)(S', F' + 1) ≥ level.

    Attributes:
        max_votes: the budget, at least 1.
        x: the share, in (0, 1].
    """

    max_votes: int
    x: float = 0.9
    reason: ClassVar[str] = "good_enough"
    rank: ClassVar[int] = 2

    def __post_init__(self) -> None:
        _check_votes(self.max_votes)
        if not 0.0 < self.x <= 1.0:  # also refuses NaN
            raise InvalidParameter("good enough: x must be greater than 0 and at most 1")

    def __call__(self, process: ConfidenceProcess) -> bool:
        """Tell whether the rest of the budget would add little."""
        label = process.label
        if label is None or process.z <= 0.0:
            return False
        rate, level = process.counts[label] / process.n, process.level(label)
        return self._enough(process.z, rate, level) and not self._enough(0.0, rate, level)

    def _enough(self, z: float, rate: float, level: float) -> bool:
        s = rate * self.max_votes
        return bool(betaincc(self.max_votes - s + 1.0, s, ndtr(-z / self.x)) >= level)

    def not_before(self, process: ConfidenceProcess) -> int:
        """Count the votes until the radius can grow, or the vote rate fall far enough."""
        label, votes = process.label, process.idle()
        if label is None or process.z <= 0.0:
            return process.unmoved(1)
        s, level = process.counts[label], process.level(label)
        while votes > 1 and self._enough(process.z, s / (process.n + votes), level):
            votes //= 2
        return max(1, votes)

    def expected(self, process: ConfidenceProcess, within: int) -> int:
        """Count the votes at the present rate."""
        rate, level = process.rate, process.level(process.leader or process.prior_label)
        if self._enough(0.0, rate, level):
            return within
        grid = range(1, STEPS + 1)
        j = 1 + bisect_left(grid, True, key=lambda j: self._enough(z_of(j), rate, level))
        return within if j > STEPS else process.expected(j, within)


@dataclass(frozen=True)
class VotesSpent(StopRule):
    """The budget of votes is used up.

    Attributes:
        max_votes: the budget, at least 1.
    """

    max_votes: int
    reason: ClassVar[str] = "votes_spent"
    rank: ClassVar[int] = 3

    def __post_init__(self) -> None:
        _check_votes(self.max_votes)

    def __call__(self, process: ConfidenceProcess) -> bool:
        """Tell whether n has reached the budget."""
        return process.n >= self.max_votes

    def not_before(self, process: ConfidenceProcess) -> int:
        """Count the votes left."""
        return max(1, self.max_votes - process.n)

    def expected(self, process: ConfidenceProcess, within: int) -> int:
        """Count the votes left."""
        return min(within, self.not_before(process))


def first_stop(
    process: ConfidenceProcess, votes: Iterable[str | None], rules: Sequence[StopRule]
) -> tuple[int, str | None]:
    """Feed votes to the process up to the first n at which a rule holds, and no further.

    The result is that of asking every rule after every vote; a rule is asked only where it can
    hold at all.

    Args:
        process: takes the votes; may have seen some.
        votes: the next votes in index order.
        rules: stop rules in any order.

    Returns:
        How many votes were taken, and the reason: None if no rule holds up to the end;
        (0, reason) if one holds already.

    Raises:
        InvalidParameter: at a vote that is neither a label nor None.
    """
    if isinstance(votes, str):
        raise InvalidParameter("first_stop takes a list of votes, not one label")
    ranked, due = sorted(rules, key=lambda rule: rule.rank), [process.n] * len(rules)
    start, queue = process.n, iter(votes)
    while True:
        for i, rule in enumerate(ranked):
            if process.n >= due[i]:
                if rule(process):
                    return process.n - start, rule.reason
                due[i] = process.n + rule.not_before(process)
        step = min(due, default=NEVER) - process.n
        goal = process.n + step
        process.update(islice(queue, step))
        if process.n < goal:
            return process.n - start, None


def votes_needed(
    process: ConfidenceProcess, rules: Sequence[StopRule], *, horizon: int = 1_000_000
) -> int:
    """Return how many further votes the run is expected to take, for planning calls ahead.

    The vote rate is the leader's, (S + 1) / (n + 1): all successes before the first vote.

    Args:
        process: the votes so far; not changed.
        rules: stop rules in any order.
        horizon: the most to plan for, at least 1.

    Returns:
        A number from 1 to `horizon`.
    """
    needed = max(1, horizon)
    for rule in reversed(
        sorted(rules, key=lambda rule: rule.rank)
    ):  # the budget first: it bounds the others' search
        needed = rule.expected(process, needed)
    return needed


def _check_votes(max_votes: int) -> None:
    if isinstance(max_votes, bool) or not isinstance(max_votes, int) or max_votes < 1:
        raise InvalidParameter("max_votes must be a whole number, 1 or more")
