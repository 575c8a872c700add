"""Many runs of the "good enough" rule at once, simulated: when do they end?

The pointer never moves back, so when such a run ends depends on its whole past. All runs advance
together, and are looked at after every vote up to 100 and every 1.5 % of their votes from there
on: a run may seem to end a little later than it does. One run of the real process takes longer
than hundreds of these together.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincc, betaln, ndtr

from certification import clopper_pearson
from certification.martingale import PER_UNIT, STEPS, level_of, mirrored_null, null, threshold
from certification.options import Options
from certification.stopping import HOPELESS

REASONS = ("hopeless", "good_enough", "votes_spent")
EVERY_VOTE, GROWTH = 100, 0.015
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Simulated:
    """How runs ended.

    Attributes:
        votes: at which each ended, int64 (runs,).
        reasons: why, an index into `REASONS`, int64 (runs,).
        certified: whether a label was certified, bool (runs,).
    """

    votes: Ints
    reasons: Ints
    certified: Bools


def simulate(shares: Floats, named: Bools, options: Options, seed: int = 0) -> Simulated:
    """Run with fixed seeds.

    Args:
        shares: probability that a vote is for the leading label, float64 (runs,).
        named: whether that is the named one, bool (runs,).
        options: alpha, good enough (not None), votes and milestone count; no target radius.
        seed: of the votes.
    """
    x = options.good_enough
    assert x is not None  # noqa: S101  the caller's choice
    rng = np.random.default_rng(seed)
    levels = np.where(named, *(_level(options.alpha, of_named) for of_named in (True, False)))
    halves = 1.0 if options.milestone is None else 2.0
    wanted = np.where(
        named, *(threshold(_level(options.alpha, of) / halves) for of in (True, False))
    )
    against = mirrored_null(0)
    assert against is not None  # noqa: S101  p = ½ can be rejected
    votes, reasons = np.zeros(shares.size, np.int64), np.full(shares.size, -1)
    pointers, s = np.full(shares.size, -1), np.zeros(shares.size, np.int64)
    going, n = np.arange(shares.size), 0
    while going.size:
        step = 1 if n < EVERY_VOTE else max(1, int(n * GROWTH))
        step = min(step, options.max_votes - n)
        if options.milestone is not None and n < options.milestone:
            step = min(step, options.milestone - n)
        n += step
        s[going] += rng.binomial(step, shares[going])
        own, mine = s[going], pointers[going]
        cp = levels[going] / 2.0 if n == options.milestone else None
        mine = pointers[going] = np.maximum(mine, _reached(own, n, wanted[going], cp))
        lost, won = np.flatnonzero(mine < 0), np.flatnonzero(mine > 0)
        given_up, enough = np.zeros(going.size, bool), np.zeros(going.size, bool)
        given_up[lost] = against.log_m(n - own[lost], own[lost]) >= HOPELESS
        budget, rates = options.max_votes, own[won] / n
        enough[won] = _good_enough(mine[won] / PER_UNIT, rates, levels[going[won]], budget, x)
        spent = np.full(going.size, n >= options.max_votes)
        ended = np.select([given_up, enough, spent], [0, 1, 2], -1)
        reasons[going], votes[going] = ended, n
        going = going[ended < 0]
    return Simulated(votes, reasons, pointers >= 0)


def _level(alpha: float, of_named: bool) -> float:
    return level_of(alpha, named=of_named, prior_named=True)


def _good_enough(z: Floats, rates: Floats, levels: Floats, budget: int, x: float) -> Bools:
    """Tell where `certification.stopping.GoodEnough` holds, of radii z above 0."""
    s = rates * budget
    reached = betaincc(budget - s + 1.0, s, ndtr(-z / x)) >= levels
    nothing = betaincc(budget - s + 1.0, s, 0.5) >= levels
    held: Bools = reached & ~nothing
    return held


def _reached(s: Ints, n: int, wanted: Floats, cp: Floats | None) -> Ints:
    """Return the last grid index that is rejected at this look, −1 if none is.

    Args:
        s: votes of the label, int64 (runs,).
        n: votes.
        wanted: threshold on log M, float64 (runs,).
        cp: level of the milestone's own look, if this is it.
    """
    kinds = np.stack([s, wanted, np.zeros(s.size) if cp is None else cp], axis=1)
    kinds, place = np.unique(kinds, axis=0, return_inverse=True)  # many runs stand at one S
    of_kind, wanted = kinds[:, 0], kinds[:, 1]
    # Where p_j is above S/n log M is at most 0 (see Null.log_m).
    low, high = np.full(of_kind.size, -1), np.searchsorted(-_nulls().q, -(n - of_kind) / n)
    high = np.where(2 * of_kind > n, np.minimum(high, STEPS), -1)
    while np.any(low < high):
        middle = (low + high + 1) // 2
        j = np.maximum(middle, 0)
        hit = _log_m(j, of_kind, n - of_kind) >= wanted
        if cp is not None:
            tail = betaincc(n - of_kind + 1.0, of_kind, _nulls().q[j])
            hit |= tail <= kinds[:, 2] * (1.0 - clopper_pearson.GUARD)
        hit &= low < high
        low, high = np.where(hit, middle, low), np.where(hit | (low == high), high, middle - 1)
    found: Ints = low[place.reshape(-1)]
    return found


@dataclass(frozen=True)
class _Nulls:
    """The constants of all nulls of the grid: :class:`certification.martingale.Null` as arrays."""

    q: Floats
    log_p: Floats
    log_q: Floats
    a: Floats
    b: Floats
    norm: Floats


@lru_cache(maxsize=1)
def _nulls() -> _Nulls:
    grid = [hypothesis for j in range(STEPS + 1) if (hypothesis := null(j)) is not None]
    assert len(grid) == STEPS + 1  # noqa: S101  the default margin lies below the last q
    names = ("q", "log_p", "log_q", "a", "b", "norm")
    return _Nulls(*(np.array([getattr(one, name) for one in grid]) for name in names))


def _log_m(j: Ints, s: Floats, f: Floats) -> Floats:
    """Return log M of the nulls j, as :meth:`certification.martingale.Null.log_m` does."""
    of = _nulls()
    a, b = of.a[j] + s[:, None], of.b[j] + f[:, None]
    mass = betainc(b, a, of.q[j, None])
    with np.errstate(divide="ignore"):
        log_w = betaln(b, a) + np.log(mass) - of.norm[j]
    mixture = np.logaddexp.reduce(log_w, axis=-1) - s * of.log_p[j] - f * of.log_q[j]
    exact: Floats = np.where(mass.min(axis=-1) < 1e-290, -math.inf, mixture)
    return exact
