"""Certified accuracy is what one would count by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from certification.clopper_pearson import interval
from service.jobs.results.curve import NOT_CERTIFIED, Curve, Share, certified_radius
from service.jobs.rows import Row
from tests.service.jobs.rowmaking import abstained, failed, row


def test_a_small_curve_by_hand():
    curve = Curve(np.array([0.5, 0.0, NOT_CERTIFIED, 0.25, 0.25]))
    assert [curve.at(r).count for r in (0.0, 0.1, 0.25, 0.2501, 0.5, 0.6)] == [4, 3, 3, 1, 1, 0]
    assert [(s.start, s.end, s.share.count) for s in curve.steps()] == [
        (0.0, 0.0, 4),
        (0.0, 0.25, 3),
        (0.25, 0.5, 1),
    ]
    assert (curve.total, curve.longest) == (5, 0.5)
    assert curve.at(0.5) == Share(1, 5, *interval(1, 5, 0.05))
    assert curve.at(0.5).value == 0.2


@given(
    st.lists(st.one_of(st.just(NOT_CERTIFIED), st.integers(0, 20).map(lambda k: k / 20))),
    st.integers(0, 25).map(lambda k: k / 20),
)
def test_at_every_radius_it_counts(radii, r):
    curve = Curve(np.array(radii, float))
    assert curve.at(r).count == sum(radius >= r for radius in radii)
    for step in curve.steps():
        assert step.share == curve.at(step.end)


def test_of_nothing_it_says_nothing():
    empty = Curve(np.empty(0))
    assert (empty.total, empty.longest, list(empty.steps())) == (0, 0.0, [])
    assert empty.at(0.0) == Share(0, 0, 0.0, 1.0)
    assert empty.at(0.0).value == 0.0
    none = Curve(np.full(10, NOT_CERTIFIED))
    assert none.at(0.0).describe() == {
        "share": 0.0,
        "low": 0.0,
        "high": pytest.approx(0.3085, abs=1e-4),
        "count": 0,
        "total": 10,
    }


@pytest.mark.parametrize(
    ("of", "radius"),
    [
        (row(0, radius=0.0), 0.0),
        (row(0, radius=0.3, correct=False), 0.3),
        (abstained(0), NOT_CERTIFIED),
        (failed(0), NOT_CERTIFIED),
        (Row(0, "x", "", "waiting"), NOT_CERTIFIED),
        # About to be asked again: what it had does not count until it has its end again.
        (row(0, state="waiting", radius=0.3), NOT_CERTIFIED),
    ],
)
def test_what_is_certified(of, radius):
    assert certified_radius(of) == radius
