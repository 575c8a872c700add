"""Sums of counts are whole numbers: nothing is rounded but each alpha, and that upwards."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.billionths import NANO, nano
from service.usage.counts import ALPHA_UNIT, NAMES, Counts, written

numbers = st.integers(0, 10**12)
counts = st.builds(Counts, **dict.fromkeys(NAMES, numbers))
alphas = st.floats(1e-15, 0.5, exclude_min=True)


@given(st.lists(counts, max_size=6))
def test_a_sum_is_that_of_each_count_and_can_be_taken_back(some):
    total = sum(some, Counts())
    for name in NAMES:
        assert getattr(total, name) == sum(getattr(one, name) for one in some)
    for one in some:
        total += -one
    assert not total
    assert total.changes() == {}


@given(st.lists(alphas, min_size=1, max_size=50))
def test_the_sum_of_alphas_is_never_below_the_exact_one(some):
    proofs = [{"alpha": alpha, "abstained": True} for alpha in some]
    total = sum((Counts.of_certificate(proof, cached=False) for proof in proofs), Counts())
    exact = sum(Fraction(repr(alpha)) for alpha in some)
    assert exact <= Fraction(total.alpha, ALPHA_UNIT) < exact + Fraction(len(some), ALPHA_UNIT)
    assert total.certificates == total.abstained == len(some)


@given(st.integers(0, 10**15))
def test_money_is_counted_in_whole_billionths(amount):
    assert nano(amount / NANO) == amount


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        (5, "5.00"),
        (0.1, "0.10"),
        (1234567.125, "1,234,567.125"),
        (1e-9, "0.000000001"),
        (0, "0.00"),
    ],
)
def test_money_for_people(dollars, text):
    assert written(dollars) == text


def test_what_a_certificate_counts_as():
    held = {"alpha": 0.001, "abstained": False, "radius": 0.2}
    assert Counts.of_certificate(held, cached=True) == Counts(
        certificates=1, certified=1, cached=1, alpha=ALPHA_UNIT // 1000
    )
    zero = Counts.of_certificate(held | {"radius": 0.0}, cached=False)
    assert (zero.certified, zero.abstained) == (1, 0)  # a label is certain, of this picture alone


def test_what_is_told():
    told = Counts(certificates=3, alpha=ALPHA_UNIT // 500, calls=7, spent=5, reserved=2).describe()
    assert (told["certificates"], told["expected_false_at_most"], told["calls"]) == (3, 0.002, 7)
    assert (told["cost"], told["cost_at_most"]) == (3e-9, 5e-9)
    assert {*told} == {*NAMES} - {"alpha", "spent", "reserved"} | {
        "expected_false_at_most",
        "cost",
        "cost_at_most",
    }
