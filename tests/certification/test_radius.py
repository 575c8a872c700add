"""Radii are rounded down wherever they are printed or serialised."""

import json
import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certification.martingale import index_for
from certification.radius import floored, l2_radius, linf_radius, percent, show, written_up


def test_known_values():
    assert l2_radius(0.25, 254) == Fraction(127, 400)
    assert floored(l2_radius(0.25, 254)) == 0.3175
    assert show(0.799644, 1) == "0.7"
    assert show(0.799644, 2) == "0.79"
    assert show(0.799644) == "0.799"
    assert show(0.9999999) == "0.999"
    assert show(Fraction(1, 2)) == "0.500"


@given(st.decimals("0.0001", "2", places=4), st.integers(0, 1200))
def test_the_written_number_is_never_above_the_radius(sigma, pointer):
    exact = Fraction(sigma) * pointer / 200
    assert l2_radius(float(sigma), pointer) == exact
    written = Fraction(Decimal(json.dumps(floored(exact))))
    assert exact - Fraction(1, 10**6) < written <= exact
    for decimals in range(7):
        assert Fraction(Decimal(show(exact, decimals))) <= exact
        assert Fraction(Decimal(show(floored(exact), decimals))) <= exact


@given(st.fractions(0, 12), st.integers(1, 3 * 2048**2))
def test_linf_is_rounded_down(radius, dimension):
    written = Fraction(Decimal(json.dumps(linf_radius(radius, dimension))))
    assert written**2 * dimension <= radius**2
    assert math.isclose(written, math.sqrt(radius**2 / dimension), rel_tol=1e-9, abs_tol=1.1e-6)


@pytest.mark.parametrize("decimals", [0, 3, 6])
def test_show_writes_that_many_digits(decimals):
    text = show(Fraction(5, 8), decimals)
    assert len(text.partition(".")[2]) == decimals


@pytest.mark.parametrize(
    ("alpha", "words"),
    [
        (0.001, "99.9 %"),
        (0.05, "95 %"),
        (0.5, "50 %"),
        (1e-12, "99.9999999999 %"),
        (0.0123456, "98.76544 %"),
    ],
)
def test_confidence_is_never_rounded_up(alpha, words):
    assert percent(alpha) == words
    assert percent(1e-300) != "100 %"


@pytest.mark.parametrize(
    ("sigma", "target"),
    [(0.123456, 0.0006172), (1 / 3, 0.1616666), (0.25, 0.25), (50 / 255, 50 / 255), (0.1, 1e-9)],
)
def test_a_target_that_is_rounded_up_is_reached_by_what_is_written(sigma, target):
    wanted = written_up(target)
    assert target <= wanted < target + 1e-6
    assert floored(l2_radius(sigma, index_for(wanted, sigma))) >= target
    assert written_up(wanted) == wanted


def test_what_is_no_number_is_left_to_whoever_checks_it():
    assert written_up(math.inf) == math.inf
    assert math.isnan(written_up(math.nan))
