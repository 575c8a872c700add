"""How many votes a run will take, as far as the vote rate of its leading label says it.

A run ends at the first n at which one of its stop rules holds. With a target radius, or with no
"good enough" rule, that is where the number of successes leaves the strip between two boundaries,
so the distribution of n is exact by dynamic programming (`certification.walk`). "Good enough"
looks at the pointer, which remembers, so it is simulated (`certification.simulated_votes`).

The votes that are not for the leading label are taken to be spread thinly over many labels, so
that no other one leads. Where few rivals share them, a picture whose leader has less than half
of the votes may take a little longer until it is given up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from certification import simulated_votes
from certification.errors import InvalidParameter
from certification.martingale import MARGIN, index_for, level_of, mirrored_null, null
from certification.options import Options
from certification.stopping import HOPELESS
from certification.walk import Boundary, mixture_boundary, smallest, walk, with_milestone

EXACT = 5000  # votes up to which every n is looked at, further out only every hundredth
GROWTH = 1.01
RUNS = 200  # simulated runs, where there is no exact way


@dataclass(frozen=True)
class Rate:
    """How a picture's votes fall.

    Attributes:
        share: probability that a vote is for its leading label, in [0, 1].
        named: whether that is the label of the clean picture, which has the larger level.

    Raises:
        InvalidParameter: if the share is out of range.
    """

    share: float
    named: bool = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:  # also refuses NaN
            raise InvalidParameter("a vote rate must be a number from 0 to 1")


@dataclass(frozen=True)
class VoteCount:
    """The distribution of the number of votes at which a run ends.

    Attributes:
        looks: numbers of votes, rising, int64 (k,).
        stops: by stop reason, the probability of ending there, float64 (k,) each; all of them
            add up to 1.
        reached: probability that the target radius is reached; without one, that a label is
            certified at all.
        exact: False where it comes from a simulation.
    """

    looks: NDArray[np.int64]
    stops: Mapping[str, NDArray[np.float64]]
    reached: float
    exact: bool

    @property
    def at(self) -> NDArray[np.float64]:
        """Probability of ending at each look, for whatever reason, float64 (k,)."""
        total: NDArray[np.float64] = np.array(list(self.stops.values())).sum(axis=0)
        return total

    @property
    def mean(self) -> float:
        """Mean number of votes."""
        return float(self.looks @ self.at)

    @property
    def outcomes(self) -> dict[str, float]:
        """Probability of each stop reason."""
        return {reason: float(stops.sum()) for reason, stops in self.stops.items()}

    def quantile(self, share: float) -> int:
        """Return the smallest number of votes within which this share of the runs ends.

        Args:
            share: in [0, 1].
        """
        reached = np.cumsum(self.at) >= share - 1e-12
        return int(self.looks[np.argmax(reached)] if reached.any() else self.looks[-1])


def expected_votes(rate: Rate | float, options: Options) -> VoteCount:
    """Return how many votes a run takes; see :func:`vote_counts`.

    Args:
        rate: of the picture; a number stands for that of the named label.
        options: of the run.

    Raises:
        InvalidParameter: if the rate is out of range.
    """
    (found,) = vote_counts([rate if isinstance(rate, Rate) else Rate(rate)], options)
    return found


def vote_counts(rates: Sequence[Rate], options: Options, runs: int = RUNS) -> list[VoteCount]:
    """Return how many votes runs with these rates take.

    Exact up to 5,000 votes where it is not simulated; a run that goes on for longer is looked at
    every hundredth of its votes only, so it may seem to end up to 3 % later than it does.

    Args:
        rates: one a run.
        options: sigma, alpha, target radius, good enough, votes and milestone count.
        runs: simulated runs for each rate, with fixed seeds, where there is no exact way.
    """
    if options.target_radius is None and options.good_enough is not None:
        return _simulated(rates, options, runs)
    target, level = options.target_radius, options.alpha
    index = 0 if target is None else index_for(target, options.sigma)
    return [
        _exact(r, index, target is None, level, options.max_votes, options.milestone) for r in rates
    ]


def looks_until(max_votes: int, milestone: int | None = None) -> Boundary:
    """Return the numbers of votes that are looked at, from 0 to `max_votes`."""
    looks = list(range(min(max_votes, EXACT) + 1))
    while looks[-1] < max_votes:
        looks.append(min(max_votes, math.ceil(looks[-1] * GROWTH)))
    if milestone is not None and milestone <= max_votes:
        looks = sorted({*looks, milestone})
    return np.array(looks, np.int64)


@lru_cache(maxsize=64)
def boundaries(
    index: int, level: float, n_max: int, milestone: int | None = None
) -> tuple[Boundary, Boundary]:
    """Return where a run ends: at S ≥ the first, target reached; at S ≤ the second, hopeless.

    Args:
        index: grid index of the target, 0 for any certificate at all.
        level: error level of the label, both halves of it where there is a milestone.
        n_max: last n.
        milestone: n of the one Clopper-Pearson look, if any.

    Returns:
        For every look of :func:`looks_until`, int64 (k,).

    Raises:
        InvalidParameter: if no votes reach that target.
    """
    looks = looks_until(n_max, milestone)
    straight, mirrored = null(index, MARGIN), mirrored_null(index, MARGIN)
    if straight is None or mirrored is None:
        raise InvalidParameter("no votes reach that target", "target_radius")
    failures = smallest(lambda f, n: mirrored.log_m(f, n - f) >= HOPELESS, looks)
    mixed = level if milestone is None else level / 2.0
    upper = mixture_boundary(1.0 - straight.q, straight.q, mixed, n_max, looks)
    if milestone is not None and milestone <= n_max:
        upper = with_milestone(upper, milestone, straight.q, level / 2.0, looks)
    return upper, looks - failures


@lru_cache(maxsize=4096)
def _exact(
    rate: Rate, index: int, anything: bool, alpha: float, max_votes: int, milestone: int | None
) -> VoteCount:
    level = level_of(alpha, named=rate.named, prior_named=True)
    looks = looks_until(max_votes, milestone)
    upper, lower = boundaries(index, level, max_votes, milestone)
    found = walk(rate.share, 1.0 - rate.share, upper, lower, looks)
    spent = np.zeros(looks.size)
    spent[-1] = found.alive[-1] + found.lost
    if anything:  # once a label is certified, only the budget ends the run
        spent[-1] += found.up
        stops = {"hopeless": found.downs, "votes_spent": spent}
    else:
        stops = {"target_reached": found.ups, "hopeless": found.downs, "votes_spent": spent}
    return VoteCount(looks, stops, found.up, exact=True)


def _simulated(rates: Sequence[Rate], options: Options, runs: int) -> list[VoteCount]:
    shares = np.repeat([rate.share for rate in rates], runs)
    named = np.repeat([rate.named for rate in rates], runs)
    found = simulated_votes.simulate(shares, named, options)
    counts = []
    for i in range(len(rates)):
        own = slice(i * runs, (i + 1) * runs)
        looks, place = np.unique(found.votes[own], return_inverse=True)
        stops = {
            reason: np.bincount(place[found.reasons[own] == k], minlength=looks.size) / runs
            for k, reason in enumerate(simulated_votes.REASONS)
        }
        reached = float(found.certified[own].mean())
        counts.append(VoteCount(looks, stops, reached, exact=False))
    return counts
