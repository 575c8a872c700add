"""The confidence process: a certified radius that is valid whenever one stops.

Every label has a pointer into the grid of radii, below its first point to begin with. After
every vote the pointer of the label that holds more than half of the votes moves up while the
next null "p ≤ p_j" is rejected; it never moves back. If two labels ever hold a pointer, the
result is an abstention. The probability that some label is ever certified for a radius that
its true probability does not give is at most α (see :mod:`certification.martingale`).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from certification import clopper_pearson
from certification.clopper_pearson import check_alpha
from certification.errors import InvalidParameter
from certification.martingale import MARGIN, NEVER, STEPS, level_of, null, threshold, z_of

_MOST_VOTES = 10**9


@dataclass(frozen=True, slots=True)
class Pointer:
    """How far a label has come.

    Attributes:
        j: index of the last null rejected.
        n: votes seen at the look that rejected it.
        s: the label's votes at that look.
        how: the test that rejected it.
    """

    j: int
    n: int
    s: int
    how: Literal["mixture", "milestone"]


class ConfidenceProcess:
    """Certifies a label and a radius from votes, looking after every single one.

    Args:
        alpha: total error probability, in (0, ½].
        prior_label: the provider's answer to the clean image, None if it abstained.
        milestone: the one n at which Clopper-Pearson looks with half of each level, fixed
            before vote 0; the mixture then has the other half. None for no such look.
        margin: added to every null; bounds the total variation between the noise that was
            drawn and the Gaussian one, per image.

    Raises:
        InvalidParameter: if an argument is out of range.
    """

    def __init__(
        self,
        alpha: float = 0.001,
        prior_label: str | None = None,
        milestone: int | None = None,
        *,
        margin: float = MARGIN,
    ) -> None:
        check_alpha(alpha)
        if milestone is not None and (not _is_int(milestone) or milestone < 1):
            raise InvalidParameter("milestone must be a whole number of votes, 1 or more")
        if not (math.isfinite(margin) and margin >= 0.0):
            raise InvalidParameter("margin must be a finite number, 0 or greater")
        self.alpha, self.prior_label = alpha, prior_label
        self.milestone, self.margin = milestone, margin
        self._n = 0
        self._abstentions = 0
        self._counts: dict[str, int] = {}
        self._leader: str | None = None
        self._pointers: dict[str, Pointer] = {}
        # A label needs no test before it has this many votes (Null.successes_missing).
        self._due: dict[str, int] = {}

    def update(self, votes: Iterable[str | None]) -> None:
        """Take the next votes in index order; the same as taking them one by one.

        Args:
            votes: labels, None for an abstention.

        Raises:
            InvalidParameter: at a vote that is neither; the votes before it have been taken.
        """
        if isinstance(votes, str):
            raise InvalidParameter("update takes a list of votes, not one label")
        counts, due = self._counts, self._due
        for vote in votes:
            if vote is None:
                self._abstentions += 1
                self._n += 1
            elif isinstance(vote, str):
                self._n += 1
                count = counts[vote] = counts.get(vote, 0) + 1
                if vote != self._leader and count > self.leader_count:
                    self._leader = vote
                # A vote for anything else only lowers this label's martingale.
                if 2 * count > self._n and count >= due.get(vote, 0):
                    self._advance(vote)
            else:
                raise InvalidParameter("a vote is a label or None")
            if self._n == self.milestone and 2 * self.leader_count > self._n:
                self._advance(self._leader)

    def _advance(self, label: str | None) -> None:
        """Move the pointer of the majority label up while the next null is rejected."""
        assert label is not None  # noqa: S101  (a majority has a label)
        n, s = self._n, self._counts[label]
        level = self.level(label)
        wanted = self.threshold(label)
        last = self._pointers.get(label)
        for j in range(0 if last is None else last.j + 1, STEPS + 1):
            hypothesis = null(j, self.margin)
            if hypothesis is None:
                break
            log_m = float(hypothesis.log_m(s, n - s))
            if log_m >= wanted:
                self._pointers[label] = Pointer(j, n, s, "mixture")
            elif n == self.milestone and clopper_pearson.rejects(s, n, hypothesis.q, level / 2.0):
                self._pointers[label] = Pointer(j, n, s, "milestone")
            else:
                self._due[label] = s + hypothesis.successes_missing(log_m, wanted)
                break

    def level(self, label: str | None) -> float:
        """Return the label's share of alpha, both halves of it where there is a milestone."""
        named = self.prior_label is not None
        return level_of(self.alpha, named=named and label == self.prior_label, prior_named=named)

    def threshold(self, label: str | None) -> float:
        """Return what the label's log M must reach for a rejection by the mixture."""
        level = self.level(label)
        return threshold(level if self.milestone is None else level / 2.0)

    def unmoved(self, j: int) -> int:
        """Return k ≥ 1 such that no label's pointer can be moved to j within k − 1 votes.

        Args:
            j: a grid index that no pointer has reached.
        """
        hypothesis, s = null(j, self.margin), self.leader_count
        if hypothesis is None:
            return NEVER
        # At a given n log M grows with S, so the leader's bounds that of every label; and the
        # named label's threshold is the lowest.
        log_m, wanted = float(hypothesis.log_m(s, self._n - s)), self.threshold(self.prior_label)
        votes = hypothesis.successes_missing(log_m, wanted)
        left = -1 if self.milestone is None else self.milestone - self._n
        return min(votes, left) if left > 0 else votes

    def expected(self, j: int, within: int) -> int:
        """Return after how many further votes at the present rate the leader will reach j.

        Args:
            j: a grid index that no pointer has reached.
            within: the most votes to consider, ≥ 1.

        Returns:
            A number from 1 to `within`; `within` also where that is not enough.
        """
        hypothesis, s, rate = null(j, self.margin), self.leader_count, self.rate
        if hypothesis is None:
            return within
        label = self._leader or self.prior_label
        left = 0 if self.milestone is None else self.milestone - self._n
        if 0 < left < within and clopper_pearson.rejects(
            s + rate * left, self._n + left, hypothesis.q, self.level(label) / 2.0
        ):
            within = left
        return hypothesis.votes_missing(s, self._n - s, rate, self.threshold(label), within)

    def idle(self) -> int:
        """Return k ≥ 1 such that the certified label's pointer cannot move within k − 1 votes."""
        label = self.label
        votes = 1 if label is None else self._due.get(label, 0) - self._counts[label]
        left = -1 if self.milestone is None else self.milestone - self._n
        return max(1, min(votes, left) if left > 0 else votes)

    @property
    def n(self) -> int:
        """Votes seen, abstentions among them."""
        return self._n

    @property
    def counts(self) -> Mapping[str, int]:
        """Votes of each label, without the abstentions; a live read-only view."""
        return MappingProxyType(self._counts)

    @property
    def abstentions(self) -> int:
        """Votes for no label."""
        return self._abstentions

    @property
    def leader(self) -> str | None:
        """The label with the most votes, of equals the first to get there; None without votes."""
        return self._leader

    @property
    def leader_count(self) -> int:
        """Votes of the leader."""
        return 0 if self._leader is None else self._counts[self._leader]

    @property
    def rate(self) -> float:
        """The leader's smoothed share of the votes, (S + 1) / (n + 1); 1 before the first."""
        return (self.leader_count + 1) / (self._n + 1)

    @property
    def conflict(self) -> bool:
        """Whether two labels hold a pointer, which makes the result an abstention for good."""
        return len(self._pointers) > 1

    @property
    def certified(self) -> Pointer | None:
        """The certified label's pointer and the look that set it, None without such a label."""
        return None if self.label is None else self._pointers[self.label]

    @property
    def label(self) -> str | None:
        """The certified label, whose true probability is above Φ(z); None if there is none."""
        return next(iter(self._pointers)) if len(self._pointers) == 1 else None

    @property
    def pointer(self) -> int | None:
        """Grid index of the certified radius; 0 certifies p > ½, a label with radius 0."""
        return None if self.certified is None else self.certified.j

    @property
    def look(self) -> tuple[int, int] | None:
        """Votes n* and the label's votes S* at the look that set the pointer."""
        return None if self.certified is None else (self.certified.n, self.certified.s)

    @property
    def how(self) -> Literal["mixture", "milestone"] | None:
        """The test that set the pointer."""
        return None if self.certified is None else self.certified.how

    @property
    def z(self) -> float:
        """Certified radius in units of sigma, 0.0 if there is no label."""
        return 0.0 if self.certified is None else z_of(self.certified.j)

    def __repr__(self) -> str:
        return f"ConfidenceProcess(label={self.label!r}, z={self.z}, n={self.n})"


def recheck(
    pointer: int,
    n: int,
    s: int,
    alpha: float,
    named: bool,
    prior_named: bool,
    margin: float,
    milestone: int | None = None,
) -> bool:
    """Tell whether a certificate's radius follows from the look that set it.

    Args:
        pointer: grid index j that is claimed.
        n: votes at the look, n*.
        s: the certified label's votes at it, S*.
        alpha: total error probability of the certificate.
        named: whether the certified label is the named one.
        prior_named: whether a label was named at all.
        margin: what was added to every null.
        milestone: as fixed before vote 0.

    Returns:
        True if (n, s) rejects "p ≤ p_pointer + margin" at the label's level. False if it does
        not, and for numbers out of range: a document that claims them proves nothing.
    """
    try:
        process = ConfidenceProcess(alpha, "" if prior_named else None, milestone, margin=margin)
    except (InvalidParameter, TypeError):
        return False
    if not (_is_int(pointer) and _is_int(n) and _is_int(s) and 0 <= pointer <= STEPS):
        return False
    hypothesis = null(pointer, margin)
    if (named and not prior_named) or hypothesis is None:
        return False
    if not n < 2 * s <= 2 * n <= 2 * _MOST_VOTES:
        return False
    label = "" if named else None
    if float(hypothesis.log_m(s, n - s)) >= process.threshold(label):
        return True
    return n == milestone and clopper_pearson.rejects(
        s, n, hypothesis.q, process.level(label) / 2.0
    )


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
