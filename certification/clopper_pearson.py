"""Tests for one n that was fixed beforehand.

Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the
binomial", Biometrika 1934: with S successes in n votes, "p ≤ p0" is rejected at level a iff
P(Bin(n, p0) ≥ S) ≤ a, which is I_p0(S, n − S + 1) ≤ a. It holds at one look only. Used after
every vote, its real error at a = 0.001 is 0.035 (p = 0.55) within 100,000 votes; hence it
serves the milestone, the good-enough rule and `predict`, whose n are fixed before the first vote.
"""

import math
from collections.abc import Mapping

from scipy.special import betainc, betaincc, betaincinv

from certification.errors import InvalidParameter

GUARD = 1e-9
"""Relative slack on a level, far above the rounding error of the incomplete beta function."""


def tail(s: float, n: float, q: float) -> float:
    """Return P(Bin(n, 1 − q) ≥ s).

    Args:
        s: successes, 0 … n; fractions are allowed (used for planning).
        n: votes.
        q: probability of a failure under the null, in (0, 1); 1 − q would lose digits.
    """
    return 1.0 if s <= 0.0 else float(betaincc(n - s + 1.0, s, q))


def rejects(s: float, n: float, q: float, level: float) -> bool:
    """Tell whether "p ≤ 1 − q" is rejected at `level` by the one look at n votes.

    Args:
        s: successes, 0 … n.
        n: votes, fixed beforehand.
        q: probability of a failure under the null; if not above 0, nothing is rejected.
        level: error level, in (0, 1).
    """
    return q > 0.0 and tail(s, n, q) <= level * (1.0 - GUARD)


def interval(s: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return limits between which a probability lies, with confidence 1 − alpha.

    Clopper and Pearson's two-sided interval, alpha/2 at each end. Nothing a certificate says
    rests on it: it tells how far the share of a sample may be from that of all pictures.

    Args:
        s: successes, 0 … n.
        n: trials; with none the limits are 0 and 1.
        alpha: error level, in (0, ½].
    """
    low = float(betaincinv(s, n - s + 1, alpha / 2)) if s else 0.0
    high = float(betaincinv(s + 1, n - s, 1 - alpha / 2)) if s < n else 1.0
    return low, high


def binomial_p_value(top: int, second: int) -> float:
    """Return the two-sided p-value of "both are equally likely", P ≤ 1.

    Args:
        top: votes of the one, ≥ 0.
        second: votes of the other, ≥ 0.
    """
    more, total = max(top, second), top + second
    if 2 * more == total:
        return 1.0
    return min(1.0, 2.0 * float(betainc(more, total - more + 1.0, 0.5)))


def predict(counts: Mapping[str, int], alpha: float, abstentions: int = 0) -> str | None:
    """Return the smoothed classifier's label, or None where the votes do not tell.

    Cohen, Rosenfeld and Kolter, "Certified adversarial robustness via randomized smoothing",
    ICML 2019, section 3.2.1, PREDICT: the two most frequent labels are told apart by a binomial
    test. A label that is not the most probable one comes back with probability at most alpha
    (their Proposition 1, after Hung and Fithian 2019), if n was fixed before the first vote.
    Abstentions compete like a label that cannot be returned.

    Args:
        counts: votes of each label at the fixed n.
        alpha: error level, in (0, ½].
        abstentions: votes for no label.

    Raises:
        InvalidParameter: if alpha is out of range.
    """
    check_alpha(alpha)
    best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:2]
    if not best:
        return None
    label, top = best[0]
    second = max(abstentions, best[1][1] if len(best) > 1 else 0)
    if top <= second:
        return None
    return label if binomial_p_value(top, second) <= alpha * (1.0 - GUARD) else None


def check_alpha(alpha: float) -> None:
    """Refuse an error level that the proofs do not cover.

    Raises:
        InvalidParameter: unless 0 < alpha ≤ ½ (and 1 / alpha is a number).
    """
    number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
    if not (number and math.isfinite(alpha) and 1e-300 <= alpha <= 0.5):
        raise InvalidParameter("alpha must be greater than 0 and at most 0.5", "alpha")
