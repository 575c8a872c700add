"""When a test stops, exactly: the number of successes as a Markov chain between two boundaries.

A test is a boundary: it rejects at vote n as soon as S reaches it. Dynamic programming over S
gives the probability of stopping at each n. States too unlikely to matter are dropped, and
their mass is kept count of.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from certification import clopper_pearson
from certification.martingale import Null, threshold

Boundary = NDArray[np.int64]
NEGLIGIBLE = 1e-22


@dataclass(frozen=True)
class Walk:
    """What became of the chain.

    Attributes:
        ups: probability of reaching the upper boundary at each look, float64 (k,).
        downs: probability of reaching the lower one first, float64 (k,).
        lost: mass of the states that were dropped; all is exact to within it.
        alive: probability of having reached neither after each look, float64 (k,).
    """

    ups: NDArray[np.float64]
    downs: NDArray[np.float64]
    lost: float
    alive: NDArray[np.float64]

    @property
    def up(self) -> float:
        """Probability of having reached the upper boundary."""
        return float(self.ups.sum())

    @property
    def down(self) -> float:
        """Probability of having reached the lower boundary first."""
        return float(self.downs.sum())


def smallest(
    rejects: Callable[[Boundary, Boundary], NDArray[np.bool_]], looks: Boundary
) -> Boundary:
    """Return the smallest S at which a test rejects, for every look; n + 1 where none does.

    Args:
        rejects: the test, of arrays (s, n); once true it stays so as s grows.
        looks: numbers of votes, int64 (k,).

    Returns:
        int64 (k,).
    """
    low, high = np.zeros_like(looks), looks + 1
    while np.any(low < high):
        middle = np.minimum((low + high) // 2, looks)
        hit = rejects(middle, looks) & (low < high)
        high = np.where(hit, middle, high)
        low = np.where(hit | (low == high), low, middle + 1)
    return high


def mixture_boundary(
    p: float, q: float, level: float, n_max: int, looks: Boundary | None = None
) -> Boundary:
    """Return the boundary of the process's test of "the true probability is at most p".

    Args:
        p: the null.
        q: 1 − p.
        level: error level.
        n_max: last n.
        looks: numbers of votes; None for 0 … n_max.

    Returns:
        The smallest S that is rejected at each look, more than half of the votes as the
        process asks for; int64.
    """
    at = np.arange(n_max + 1) if looks is None else looks
    null, wanted = Null.of(p, q), threshold(level)
    found = smallest(lambda s, n: null.log_m(s, n - s) >= wanted, at)
    return np.maximum(found, at // 2 + 1)


def with_milestone(
    upper: Boundary, milestone: int, q: float, level: float, looks: Boundary | None = None
) -> Boundary:
    """Return a boundary with one Clopper-Pearson look of its own level at n = milestone."""
    lowered = upper.copy()
    s = milestone + 1
    while 2 * (s - 1) > milestone and clopper_pearson.rejects(s - 1, milestone, q, level):
        s -= 1
    at = milestone if looks is None else int(np.searchsorted(looks, milestone))
    lowered[at] = min(upper[at], s)
    return lowered


def walk(
    p: float,
    q: float,
    upper: Boundary,
    lower: Boundary | None = None,
    looks: Boundary | None = None,
) -> Walk:
    """Run the chain from S = 0 and stop it where it reaches a boundary.

    Args:
        p: probability of a success.
        q: 1 − p.
        upper: stops at S ≥ upper[i] at the i-th look, int64 (k,).
        lower: stops at S ≤ lower[i]; −1 where nothing stops.
        looks: numbers of votes, rising from 0; None for 0, 1, 2, ….
    """
    state, first = np.ones(1), 0  # state[i] is the probability of S = first + i
    lost, alive = 0.0, np.ones(upper.size)
    ups, downs = np.zeros(upper.size), np.zeros(upper.size)
    for i in range(1, upper.size):
        step = 1 if looks is None else int(looks[i] - looks[i - 1])
        if step == 1:
            grown = np.empty(state.size + 1)
            grown[:-1] = state * q
            grown[-1] = 0.0
            grown[1:] += state * p
            state = grown
        else:
            added, steps = _binomial(step, p, q)
            state, first = np.convolve(state, steps), first + added
        cut = int(upper[i]) - first
        if cut < state.size:
            ups[i] = state[max(cut, 0) :].sum()
            state = state[: max(cut, 0)]
        if lower is not None and lower[i] >= first:
            gone = int(lower[i]) - first + 1
            downs[i] = state[:gone].sum()
            state, first = state[gone:], first + gone
        if i % 32 == 0 or step > 1:
            keep = np.flatnonzero(state > NEGLIGIBLE)
            a, b = (int(keep[0]), int(keep[-1]) + 1) if keep.size else (0, 0)
            lost += float(state[:a].sum() + state[b:].sum())
            state, first = state[a:b], first + a
        if not state.size:
            alive[i:] = 0.0
            break
        alive[i] = state.sum()
    return Walk(ups, downs, lost, alive)


def _binomial(n: int, p: float, q: float) -> tuple[int, NDArray[np.float64]]:
    """Return the first number of successes that is not negligible, and the probabilities."""
    k = np.arange(n + 1.0)
    ways = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    mass = np.exp(ways + xlogy(k, p) + xlogy(n - k, q))
    keep = np.flatnonzero(mass > NEGLIGIBLE)
    first, last = int(keep[0]), int(keep[-1])
    return first, mass[first : last + 1] / mass.sum()
