import math
import random

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certification.errors import InvalidParameter
from certification.martingale import (
    STEPS,
    Null,
    index_for,
    level_of,
    mirrored_null,
    null,
    threshold,
    z_of,
)

GRID = st.integers(0, STEPS)
VOTES = st.integers(0, 3000)


def log_integral(b, a, x):
    """Log of ∫_0^x t^(b−1) (1−t)^(a−1) dt by its hypergeometric series, in mpmath."""
    term = total = mp.mpf(1)
    k = 0
    while True:
        factor = (a + b + k) / (b + 1 + k) * x
        term *= factor
        total += term
        k += 1
        if factor < 1 and term < total * mp.mpf(10) ** -30:
            return b * mp.log(x) + a * mp.log1p(-x) - mp.log(b) + mp.log(total)


def exact_log_m(hypothesis: Null, s: int, f: int) -> float:
    with mp.workdps(40):
        q = mp.mpf(hypothesis.q)
        p = 1 - q
        logs = []
        for a0, b0 in ((1.0, 1.0), *zip(hypothesis.a[1:], hypothesis.b[1:], strict=True)):
            a, b = mp.mpf(float(a0)), mp.mpf(float(b0))
            logs.append(log_integral(b + f, a + s, q) - log_integral(b, a, q))
        top = max(logs)
        mean = top + mp.log(sum(mp.exp(v - top) for v in logs) / 3)
        return float(mean - s * mp.log(p) - f * mp.log(q))


def cases():
    rng = random.Random(0)
    for _ in range(60):
        n, j = int(10 ** rng.uniform(0, 4)), rng.choice([0, 1, 20, 50, 200, 400, 600, 1000, STEPS])
        q = null(j).q
        f = min(n, int(n * q * rng.uniform(0.2, 1.5))) if rng.random() < 0.7 else rng.randint(0, n)
        yield j, n - f, f
    yield from ((0, 500_500, 499_500), (100, 90_000, 30_000), (800, 1_000_000, 0))


@pytest.mark.parametrize(("j", "s", "f"), list(cases()))
def test_log_m_agrees_with_multiple_precision(j, s, f):
    got, exact = float(null(j).log_m(s, f)), exact_log_m(null(j), s, f)
    if math.isinf(got):  # underflow: only where no rejection is near
        assert got < 0
        assert exact <= 0
    else:
        assert got == pytest.approx(exact, rel=1e-13, abs=2e-8)


def test_underflow_only_hides_what_is_far_from_a_rejection():
    got = null(0).log_m([500_000, 1_000_000, 0], [1_000_000, 1_000_000, 1_000_000])
    assert not np.isnan(got).any()
    assert (got <= 0).all()
    assert math.isinf(got[2])


@settings(deadline=None)
@given(GRID, VOTES, VOTES)
def test_fair_game_under_the_null(j, s, f):
    """E[M after the next vote] = M when the null holds with equality: a martingale."""
    h = null(j)
    now, hit, miss = h.log_m(s, f), h.log_m(s + 1, f), h.log_m(s, f + 1)
    if math.isinf(now) or math.isinf(miss):
        return
    assert np.logaddexp(hit + h.log_p, miss + h.log_q) == pytest.approx(now, abs=1e-7)


@settings(deadline=None)
@given(GRID, VOTES, VOTES)
def test_what_one_vote_can_do(j, s, f):
    """What the skipping of looks rests on."""
    h = null(j)
    now, hit, miss, instead = h.log_m([s, s + 1, s, s + 1], [f, f, f + 1, max(f - 1, 0)])
    if math.isinf(now):
        assert hit <= -h.log_p
        return
    assert hit - now <= -h.log_p + 1e-8
    assert miss - now <= 1e-8
    assert instead >= now - 1e-8


def test_starts_at_one():
    assert null(0).log_m(0, 0) == pytest.approx(0.0, abs=1e-14)
    assert null(STEPS).log_m(0, 0) == pytest.approx(0.0, abs=1e-12)


@settings(deadline=None)
@given(GRID, st.integers(0, 500), st.integers(0, 500), st.floats(1.0, 20.0))
def test_successes_missing_is_never_too_many(j, s, f, wanted):
    h = null(j)
    now = float(h.log_m(s, f))
    if now >= wanted:
        return
    k = h.successes_missing(now, wanted)
    assert k >= 1
    if 1 < k < 10**6:
        assert h.log_m(s + k - 1, f) < wanted


def test_votes_missing_finds_the_first_crossing():
    h, wanted = null(100), threshold(0.0009)
    brute = next(k for k in range(1, 1000) if h.log_m(10 + 0.9 * k, 2 + 0.1 * k) >= wanted)
    assert h.votes_missing(10, 2, 0.9, wanted, 10_000) == brute
    assert h.votes_missing(10, 2, 0.9, wanted, brute - 3) == brute - 3
    assert h.votes_missing(10, 2, 0.5, wanted, 777) == 777


def test_array_equals_scalars():
    s, f = np.arange(200), np.arange(200) // 7
    one_by_one = [float(null(30).log_m(a, b)) for a, b in zip(s, f, strict=True)]
    np.testing.assert_allclose(null(30).log_m(s, f), one_by_one, rtol=0, atol=1e-11)


def test_mirror_swaps_the_sides():
    h = mirrored_null(100)
    assert h.q == pytest.approx(1 - null(100).q)
    assert math.exp(h.log_p) == pytest.approx(null(100).q)
    assert float(mirrored_null(0, 0.0).log_m(3, 40)) == float(null(0, 0.0).log_m(3, 40))


def test_grid():
    assert z_of(271) == 1.355  # 0.005 · 271 is another number
    assert null(0, 0.0).q == 0.5
    assert null(0).q == 0.5 - 1e-11
    assert null(STEPS) is not None
    assert null(STEPS, 1e-9) is None  # margin beyond q: can never be rejected
    assert null(0, 0.5) is None


@pytest.mark.parametrize(
    ("radius", "sigma", "j"),
    [
        (0.0, 0.25, 0),
        (0.5, 1.0, 100),
        (0.501, 1.0, 101),  # off the grid: the next point
        (0.25, 0.5, 100),
        (0.07, 0.7, 20),  # 0.7 · 0.1 < 0.07 in floating point
        (0.3, 0.1, 600),
        (1.5, 0.25, 1200),
        (1e-12, 1.0, 1),
    ],
)
def test_index_for(radius, sigma, j):
    assert index_for(radius, sigma) == j


@pytest.mark.parametrize(
    ("radius", "sigma"),
    [(-0.1, 1.0), (math.nan, 1.0), (math.inf, 1.0), (1.0, 0.0), (1.0, math.nan), (6.001, 1.0)],
)
def test_index_for_refuses(radius, sigma):
    with pytest.raises(InvalidParameter):
        index_for(radius, sigma)


def test_levels():
    assert level_of(0.001, named=True, prior_named=True) == pytest.approx(0.0009)
    assert level_of(0.001, named=False, prior_named=True) == pytest.approx(0.0001)
    assert level_of(0.001, named=False, prior_named=False) == pytest.approx(0.0005)
