import math

import pytest
from scipy.stats import beta, binom, binomtest, norm

from certification.clopper_pearson import binomial_p_value, interval, predict, rejects, tail
from certification.errors import InvalidParameter


@pytest.mark.parametrize(
    ("s", "n", "z"), [(100, 100, 1.500), (1000, 1000, 2.463), (990, 1000, 1.978), (60, 100, -0.148)]
)
def test_bound_known_from_elsewhere(s, n, z):
    """The lower bound is the largest p that is rejected; scipy's beta quantile is the same."""
    bound = beta.ppf(0.001, s, n - s + 1)
    assert norm.ppf(bound) == pytest.approx(z, abs=6e-4)
    assert rejects(s, n, 1 - bound + 1e-9, 0.001)
    assert not rejects(s, n, 1 - bound - 1e-9, 0.001)


@pytest.mark.parametrize(("s", "n", "q"), [(0, 10, 0.5), (7, 10, 0.3), (100, 100, 1e-9)])
def test_tail_is_the_binomial_one(s, n, q):
    assert tail(s, n, q) == pytest.approx(binom.sf(s - 1, n, 1 - q), rel=1e-9)


def test_nothing_is_rejected_beyond_one():
    assert not rejects(10**6, 10**6, 0.0, 0.5)
    assert not rejects(10**6, 10**6, -1e-9, 0.5)
    assert not rejects(0, 10, 0.9, 0.5)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (0, 7), (5, 5), (9, 1), (60, 40), (999, 1)])
def test_p_value_is_two_sided(a, b):
    expected = binomtest(a, a + b).pvalue if a + b else 1.0
    assert binomial_p_value(a, b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("counts", "abstentions", "label"),
    [
        ({}, 0, None),
        ({}, 100, None),
        ({"a": 10}, 0, None),  # 2^-9 > 0.001
        ({"a": 11}, 0, "a"),  # 2^-10
        ({"a": 50, "b": 50}, 0, None),
        ({"b": 30, "a": 70}, 0, "a"),
        ({"a": 60, "b": 40}, 0, None),
        ({"a": 60, "b": 20, "c": 20}, 0, "a"),
        ({"a": 60, "b": 1}, 40, None),  # abstentions compete
        ({"a": 40}, 60, None),
        ({"a": 70}, 30, "a"),
    ],
)
def test_predict(counts, abstentions, label):
    assert predict(counts, 0.001, abstentions) == label


def test_predict_keeps_its_error():
    """Two labels at ½ each: whatever it returns is no better than the other."""
    alpha, n = 0.01, 60
    wrong = sum(binom.pmf(k, n, 0.5) for k in range(n + 1) if predict({"a": k, "b": n - k}, alpha))
    assert 0.1 * alpha < wrong <= alpha


@pytest.mark.parametrize("alpha", [0.0, -0.1, 0.51, math.nan, math.inf, True, 1e-310])
def test_alpha_out_of_range(alpha):
    with pytest.raises(InvalidParameter):
        predict({"a": 1}, alpha)


@pytest.mark.parametrize(("s", "n"), [(0, 10), (10, 10), (3, 10), (271, 500), (1, 1), (0, 1)])
def test_interval_is_the_two_sided_one(s, n):
    expected = binomtest(s, n).proportion_ci(0.95, method="exact")
    assert interval(s, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_interval_of_nothing_is_everything():
    assert interval(0, 0) == (0.0, 1.0)


def test_what_rounding_may_have_decided_is_not_rejected():
    level = tail(60, 100, 0.5)
    assert not rejects(60, 100, 0.5, level)
    assert rejects(60, 100, 0.5, level * (1 + 1e-8))
