"""The error of the process, exact by dynamic programming (see benchmarks/false_coverage.py)."""

import itertools

import numpy as np
import pytest

from benchmarks.false_coverage import ALPHA, boundary, clopper_pearson_boundary
from certification.confidence import ConfidenceProcess
from certification.martingale import level_of, null
from certification.walk import mixture_boundary, walk, with_milestone

VOTES = 5000
GRID = [0, 25, 256, 400]  # true p = Φ(z_j) = 0.5, 0.550, 0.900, 0.977
LEVELS = {
    "named": level_of(ALPHA, named=True, prior_named=True),
    "other": level_of(ALPHA, named=False, prior_named=True),
    "none named": level_of(ALPHA, named=False, prior_named=False),
}


def at_null(j):
    q = null(j, 0.0).q
    return 1.0 - q, q


@pytest.mark.parametrize("j", GRID)
@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_a_true_null_is_rejected_within_its_level(j, level):
    p, q = at_null(j)
    result = walk(p, q, mixture_boundary(p, q, level, VOTES))
    assert 0.5 * level < result.up + result.lost <= level
    assert result.lost < 1e-15


@pytest.mark.parametrize("j", GRID)
@pytest.mark.parametrize("milestone", [100, 1000])
def test_the_milestone_costs_no_more(j, milestone):
    p, q = at_null(j)
    half = LEVELS["named"] / 2
    mixture = mixture_boundary(p, q, half, VOTES)
    upper = with_milestone(mixture, milestone, q, half)
    with_look, without = walk(p, q, upper), walk(p, q, mixture)
    if (j, milestone) != (400, 100):  # 100 of 100 reject nothing there
        assert upper[milestone] < mixture[milestone]
        assert without.up < with_look.up
    assert with_look.up + with_look.lost <= 2 * half


def test_far_out_on_the_grid():
    """p = 0.999: the first rejection is possible after 7,000 votes only."""
    p, q = at_null(618)
    result = walk(p, q, mixture_boundary(p, q, LEVELS["named"], 30_000))
    assert 0.2 * LEVELS["named"] < result.up + result.lost <= LEVELS["named"]


def test_two_labels_at_one_half_together():
    """Named and other at ½ each: one chain, two boundaries. Their errors add up to α at most."""
    named = mixture_boundary(0.5, 0.5, LEVELS["named"], VOTES)
    other = mixture_boundary(0.5, 0.5, LEVELS["other"], VOTES)
    result = walk(0.5, 0.5, named, np.arange(VOTES + 1) - other)
    assert result.up > 5 * result.down > 0
    assert 0.5 * ALPHA < result.up + result.down + result.lost <= ALPHA
    same = mixture_boundary(0.5, 0.5, LEVELS["none named"], VOTES)
    result = walk(0.5, 0.5, same, np.arange(VOTES + 1) - same)
    assert result.up == pytest.approx(result.down)
    assert 0.5 * ALPHA < result.up + result.down + result.lost <= ALPHA


@pytest.mark.parametrize(
    "shares", [(0.5, 0.3, 0.2), (0.49, 0.49, 0.02), (0.45,) + (0.05,) * 11, (0.3, 0.5, 0.2)]
)
@pytest.mark.parametrize("prior_named", [True, False])
def test_labels_without_a_majority_together(shares, prior_named):
    """Each label of true p ≤ ½ costs at most 2·p·(its level), so all of them at most α."""
    total, errors = 0.0, {}
    for i, p in enumerate(shares):
        level = level_of(ALPHA, named=prior_named and i == 0, prior_named=prior_named)
        if (p, level) not in errors:
            half = level / 2
            looks = with_milestone(mixture_boundary(0.5, 0.5, half, VOTES), 100, 0.5, half)
            plain = walk(p, 1 - p, mixture_boundary(0.5, 0.5, level, VOTES))
            milestone = walk(p, 1 - p, looks)
            errors[p, level] = max(plain.up + plain.lost, milestone.up + milestone.lost)
        assert errors[p, level] <= 2 * p * level
        total += errors[p, level]
    assert 0 < total <= ALPHA


def test_a_majority_and_its_rivals_together():
    """The label at p > ½ on its own grid point, the others on z = 0."""
    p, q = at_null(25)
    top = walk(p, q, mixture_boundary(p, q, LEVELS["named"], VOTES))
    rest = walk(q, p, mixture_boundary(0.5, 0.5, LEVELS["other"], VOTES))
    assert top.up + top.lost + rest.up + rest.lost <= ALPHA


@pytest.mark.parametrize(("p", "at_least"), [(0.5, 0.02), (0.55, 0.02), (0.9, 0.015)])
def test_clopper_pearson_after_every_vote_is_wrong(p, at_least):
    """What this is all for, and proof that the computation can see a broken bound."""
    result = walk(p, 1 - p, clopper_pearson_boundary(1 - p, ALPHA, VOTES))
    assert result.up > at_least > 10 * ALPHA
    # At one n, fixed beforehand, the same test is right.
    once = np.full(VOTES + 1, VOTES + 1)
    once[1000] = clopper_pearson_boundary(1 - p, ALPHA, 1000)[1000]
    assert 0.5 * ALPHA < walk(p, 1 - p, once).up <= ALPHA


@pytest.mark.parametrize("j", [0, 60])
def test_boundary_is_the_smallest_s_that_the_process_rejects_at(j):
    p, q = at_null(j)
    level = 0.2
    found = mixture_boundary(p, q, level, 60)
    hypothesis = null(j, 0.0)
    for n in range(1, 61):
        rejected = [
            s
            for s in range(n + 1)
            if 2 * s > n and hypothesis.log_m(s, n - s) >= np.log(1 / level) + 1e-6
        ]
        assert found[n] == min(rejected, default=n + 1) or (not rejected and found[n] > n)
        if rejected:
            assert rejected == list(range(found[n], n + 1))


@pytest.mark.parametrize("milestone", [None, 7])
@pytest.mark.parametrize("prior_label", ["a", None])
def test_equals_the_process_itself_on_every_sequence(milestone, prior_label):
    """All 2^11 sequences of two labels through the process, at a level high enough to be hit."""
    alpha, n_max = 0.5, 11
    hits = 0
    for votes in itertools.product("ab", repeat=n_max):
        process = ConfidenceProcess(alpha, prior_label, milestone, margin=0.0)
        process.update(votes)
        hits += process.label is not None or process.conflict
    prior_named = prior_label is not None
    edges = []
    for named in (prior_named, False):
        level = level_of(alpha, named=named, prior_named=prior_named)
        if milestone is None:
            edges.append(mixture_boundary(0.5, 0.5, level, n_max))
        else:
            upper = mixture_boundary(0.5, 0.5, level / 2, n_max)
            edges.append(with_milestone(upper, milestone, 0.5, level / 2))
    result = walk(0.5, 0.5, edges[0], np.arange(n_max + 1) - edges[1])
    assert hits > 0
    assert hits / 2**n_max == pytest.approx(result.up + result.down, abs=1e-12)
    assert result.up + result.down <= alpha


def test_walk_and_boundary_by_hand():
    upper = boundary(lambda s, n: s >= 2, 4, majority=False)
    assert upper.tolist() == [1, 2, 2, 2, 2]
    result = walk(0.5, 0.5, upper, np.array([-1, -1, 0, 0, 0]))
    assert result.up == pytest.approx(1 - 0.25 - 0.125 * 1)  # stays at 1 of 2, 3, 4 votes
    assert result.down == pytest.approx(0.25)
    assert result.alive.tolist() == [1, 1, 0.5, 0.25, 0.125]
