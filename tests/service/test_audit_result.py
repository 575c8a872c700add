"""What follows from an audit."""

import pytest
from scipy.stats import beta, binom

from service.audit_result import upper_bound


@pytest.mark.parametrize(("differing", "asked"), [(0, 1), (0, 50), (3, 50), (49, 50), (500, 1000)])
def test_the_bound_is_that_of_clopper_and_pearson(differing, asked):
    bound = upper_bound(differing, asked)
    exact = beta.ppf(0.95, differing + 1, asked - differing)
    assert exact <= bound <= exact + 2e-6
    assert binom.cdf(differing, asked, bound) <= 0.05


def test_nothing_bounds_what_differs_throughout():
    assert upper_bound(7, 7) == 1.0
