"""The grid of radii and the test martingale of each null hypothesis on it.

A null says "the true probability of this label is at most p". Given S successes and F
failures, the martingale is the ratio of a mixture over [p, 1] to the null,

    M = ⅓ Σ_(a,b) ∫_p^1 θ^S (1−θ)^F π_ab(dθ) / (p^S q^F),        q = 1 − p,

with π_ab the Beta(a, b) density cut to [p, 1]: (1, 1) for votes far above p, (8p, 8q) and
(128p, 128q) for votes close to it. Under any true probability ≤ p it is a non-negative
supermartingale that starts at 1, so by Ville's inequality (J. Ville, "Étude critique de la
notion de collectif", 1939; Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform Chernoff bounds
via nonnegative supermartingales", Probability Surveys 2020) P(M ever reaches 1/a) ≤ a, however
often one looks and whenever one stops.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaln, ndtr

from certification.errors import InvalidParameter

PER_UNIT = 200
"""Grid points per unit of z: z_j = j / 200. Dividing keeps every radius rounded correctly."""
STEPS = 1200
"""Last grid index: z = 6."""
GUARD = 1e-6
"""Added to every threshold on log M; far above its rounding error (2e-9 at a million votes)."""
MARGIN = 1e-11
"""Default margin added to every null, for the total variation of the noise table."""

_TINY = 1e-290  # well above where the incomplete beta function loses digits
NEVER = 1 << 62
"""A number of votes that no run reaches."""


@dataclass(frozen=True, slots=True, eq=False)
class Null:
    """The hypothesis "the true probability is at most p", with the constants of its martingale.

    Attributes:
        q: 1 − p, in (0, 1).
        log_p: log p, below 0.
        log_q: log q, below 0.
        a: first parameters of the mixture's three Beta densities, float64 (3,).
        b: their second parameters, float64 (3,).
        norm: log of each density's mass on [p, 1] before it was cut, plus log 3, float64 (3,).
    """

    q: float
    log_p: float
    log_q: float
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    norm: NDArray[np.float64]

    @classmethod
    def of(cls, p: float, q: float) -> "Null":
        """Build the null from p and q = 1 − p, both given since either may be tiny.

        Args:
            p: the hypothesis, in (0, 1).
            q: its complement, in (0, 1).
        """
        a = np.array([1.0, 8.0 * p, 128.0 * p])
        b = np.array([1.0, 8.0 * q, 128.0 * q])
        norm = betaln(b, a) + np.log(betainc(b, a, q)) + math.log(3.0)
        log_p = math.log1p(-q) if q <= 0.5 else math.log(p)
        log_q = math.log1p(-p) if p <= 0.5 else math.log(q)
        return cls(q, log_p, log_q, a, b, norm)

    def log_m(self, s: ArrayLike, f: ArrayLike) -> NDArray[np.float64]:
        """Return log M after `s` successes and `f` failures.

        Where one of the three integrals is too small for floating point the result is −inf.
        That needs F/n far above q, and wherever F/n ≥ q the true log M is at most 0 (the
        integrand θ^S (1−θ)^F falls from θ = p on): no rejection is lost.

        Args:
            s: successes, ≥ 0, any shape; fractions are allowed (used for planning).
            f: failures, ≥ 0, same shape.

        Returns:
            float64 of the shape of `s`; −inf as said, else within 1e-7 up to a million votes.
        """
        s = np.asarray(s, dtype=np.float64)
        f = np.asarray(f, dtype=np.float64)
        a, b = self.a + s[..., None], self.b + f[..., None]
        mass = betainc(b, a, self.q)
        with np.errstate(divide="ignore"):
            log_w = betaln(b, a) + np.log(mass) - self.norm
        mixture = np.logaddexp.reduce(log_w, axis=-1) - s * self.log_p - f * self.log_q
        exact: NDArray[np.float64] = np.where(mass.min(axis=-1) < _TINY, -np.inf, mixture)
        return exact

    def successes_missing(self, log_m: float, wanted: float) -> int:
        """Return how many further successes it takes at least until log M reaches `wanted`.

        A vote multiplies M by E[θ]/p or E[1−θ]/q, where θ follows the mixture's posterior on
        [p, 1]: a success by at most 1/p, a failure by at most 1.

        Args:
            log_m: log M now, below `wanted`.
            wanted: the threshold on log M.

        Returns:
            A number ≥ 1: with fewer successes, and any number of failures, it stays below.
        """
        upper = 0.0 if math.isinf(log_m) else log_m  # see log_m
        return max(1, math.ceil(min(NEVER, (wanted - upper - GUARD) / -self.log_p)))

    def votes_missing(self, s: int, f: int, rate: float, wanted: float, within: int) -> int:
        """Return after how many further votes log M reaches `wanted` if a share succeeds.

        Args:
            s: successes so far.
            f: failures so far.
            rate: share of successes from now on, in [0, 1].
            wanted: the threshold on log M.
            within: the most votes to consider, ≥ 1.

        Returns:
            The number of votes, 1 … `within`; `within` also where that is not enough.
        """

        def above(k: int) -> bool:
            return float(self.log_m(s + rate * k, f + (1.0 - rate) * k)) >= wanted

        ks = np.unique(np.geomspace(1, within, 32).astype(np.int64))
        hits = np.flatnonzero(self.log_m(s + rate * ks, f + (1.0 - rate) * ks) >= wanted)
        if not hits.size:
            return within
        low, high = int(ks[hits[0] - 1]) if hits[0] else 0, int(ks[hits[0]])
        return low + 1 + bisect_left(range(low + 1, high), True, key=above)

    def mirrored(self) -> "Null":
        """Return the null "the true probability of a failure is at most q" (swap s and f)."""
        return Null.of(self.q, 1.0 - self.q)


def z_of(j: int) -> float:
    """Return the radius of grid point j in units of sigma."""
    return j / PER_UNIT


@lru_cache(maxsize=16 * (STEPS + 1))
def null(j: int, margin: float = MARGIN) -> Null | None:
    """Return the null p_j + margin with p_j = Φ(z_j), made on first use.

    Args:
        j: grid index, 0 … 1200.
        margin: added to p_j, ≥ 0.

    Returns:
        The null, or None if p_j + margin ≥ 1: such a null can never be rejected.
    """
    q = float(ndtr(-z_of(j))) - margin
    return Null.of(1.0 - q, q) if q > 0.0 else None


@lru_cache(maxsize=4096)
def mirrored_null(j: int, margin: float = MARGIN) -> Null | None:
    """Return :func:`null` seen from the failures, for the test of hopelessness."""
    straight = null(j, margin)
    return None if straight is None else straight.mirrored()


@lru_cache(maxsize=1024)
def index_for(radius: float, sigma: float = 1.0) -> int:
    """Return the smallest grid index j with sigma · z_j ≥ radius, exact for the decimals given.

    Args:
        radius: wanted radius, ≥ 0, in the units of sigma.
        sigma: standard deviation of the noise, > 0.

    Raises:
        InvalidParameter: if a number is out of range, or the radius beyond the grid (6 sigma).
    """
    if not (math.isfinite(radius) and radius >= 0.0):
        raise InvalidParameter("the target radius must be a finite number, 0 or greater")
    if not (math.isfinite(sigma) and sigma > 0.0):
        raise InvalidParameter("sigma must be a finite number greater than 0")
    # As decimals, since 0.7 · 0.1 < 0.07 in floating point.
    j = math.ceil(Fraction(repr(float(radius))) * PER_UNIT / Fraction(repr(float(sigma))))
    if j > STEPS:
        raise InvalidParameter(
            "the target radius lies beyond 6 sigma: ask for less or raise sigma", "target_radius"
        )
    return j


def threshold(level: float) -> float:
    """Return what log M must reach for a rejection at an error level."""
    return math.log(1.0 / level) + GUARD


def level_of(alpha: float, *, named: bool, prior_named: bool) -> float:
    """Return a label's share of α.

    The label that the provider gave to the clean image gets 0.9 α; every other label, however
    many, 0.1 α; with no such label, α/2 each. The sum of the errors stays within α: a label of
    true p ≤ ½ reaches the threshold of "p ≤ ½" at level a ≤ ½ with probability at most
    a^log2(1/p) ≤ 2·p·a, since M^log2(1/p) is a supermartingale under p, and the p add up to 1.

    Args:
        alpha: total error, in (0, ½].
        named: whether this is the named label.
        prior_named: whether any label was named.
    """
    if not prior_named:
        return alpha / 2.0
    return 0.9 * alpha if named else 0.1 * alpha
