import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certification.clopper_pearson import rejects
from certification.confidence import ConfidenceProcess, recheck
from certification.errors import InvalidParameter
from certification.martingale import STEPS, null, threshold

NAMED = {"prior_label": "it"}


@pytest.mark.parametrize(
    ("s", "f", "options", "z"),
    [
        (100, 0, NAMED, 1.355),
        (95, 5, NAMED, 0.870),
        (1000, 0, NAMED, 2.410),
        (990, 10, NAMED, 1.895),
        (900, 100, NAMED, 1.060),
        (600, 400, NAMED, 0.085),
        (9900, 100, NAMED, 2.170),
        (100, 0, {}, 1.315),
        (100, 0, NAMED | {"milestone": 100}, 1.445),
    ],
)
@pytest.mark.parametrize("spread", [False, True], ids=["abstentions", "other labels"])
def test_check_values(s, f, options, z, spread):
    process = ConfidenceProcess(0.001, **options)
    process.update([f"other {i % 10}" if spread and i >= 10 else None for i in range(f)])
    process.update(["it"] * s)
    assert (process.label, process.z) == ("it", z)  # to the last digit
    assert process.n == s + f
    assert process.abstentions == (min(f, 10) if spread else f)


class Reference:
    """The process as it is defined: every label, every vote, nothing skipped."""

    def __init__(self, alpha, prior_label, milestone, margin):
        self.levels = lambda c: (
            alpha / 2 if prior_label is None else alpha * (0.9 if c == prior_label else 0.1)
        )
        self.milestone, self.margin = milestone, margin
        self.n, self.counts, self.at = 0, {}, {}

    def vote(self, vote):
        self.n += 1
        if vote is not None:
            self.counts[vote] = self.counts.get(vote, 0) + 1
        for label, s in self.counts.items():
            if s > self.n / 2:
                self.look(label, s)

    def look(self, label, s):
        level = self.levels(label) / (1 if self.milestone is None else 2)
        j = self.at.get(label, (-1,))[0] + 1
        while j <= STEPS and (h := null(j, self.margin)) is not None:
            mixture = h.log_m(s, self.n - s) >= threshold(level)
            if not mixture and not (self.n == self.milestone and rejects(s, self.n, h.q, level)):
                break
            self.at[label] = (j, self.n, s, "mixture" if mixture else "milestone")
            j += 1


@st.composite
def vote_sequences(draw):
    """Stretches in which one vote prevails, so that the majority changes hands."""
    anything = ["a", "b", "c", None]
    votes, rng = [], np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for _ in range(draw(st.integers(1, 4))):
        favourite = draw(st.sampled_from(anything))
        share = draw(st.sampled_from([1.0, 0.9, 0.6]))
        hits = rng.random(draw(st.integers(1, 60))) < share
        votes += [favourite if hit else anything[rng.integers(4)] for hit in hits]
    return votes


PROCESSES = st.builds(
    dict,
    alpha=st.sampled_from([0.5, 0.1, 0.001]),
    prior_label=st.sampled_from([None, "a", "b"]),
    milestone=st.none() | st.integers(1, 120),
    margin=st.sampled_from([0.0, 1e-11, 1e-3]),
)


@settings(deadline=None)
@given(PROCESSES, vote_sequences(), st.data())
def test_equals_the_definition_however_the_votes_come(options, votes, data):
    reference = Reference(**options)
    for vote in votes:
        reference.vote(vote)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(votes)), max_size=5)))
    whole, single, pieces = (ConfidenceProcess(**options) for _ in range(3))
    whole.update(votes)
    for vote in votes:
        single.update([vote])
    for a, b in zip([0, *cuts], [*cuts, len(votes)], strict=True):
        pieces.update(iter(votes[a:b]))
    for process in (whole, single, pieces):
        assert process.conflict == (len(reference.at) > 1)
        if len(reference.at) == 1:
            ((label, (j, n, s, how)),) = reference.at.items()
            assert (process.label, process.pointer, process.look) == (label, j, (n, s))
            assert process.how == how
            assert process.z == j / 200
            assert recheck_of(process)
        else:
            assert (process.label, process.pointer, process.z) == (None, None, 0.0)
            assert process.look is None
            assert process.how is None
        assert dict(process.counts) == reference.counts
        assert process.n == len(votes) == sum(process.counts.values()) + process.abstentions


def recheck_of(process, **changes):
    n, s = process.look
    fields = {
        "pointer": process.pointer,
        "n": n,
        "s": s,
        "alpha": process.alpha,
        "named": process.label == process.prior_label,
        "prior_named": process.prior_label is not None,
        "margin": process.margin,
        "milestone": process.milestone,
    }
    return recheck(**(fields | changes))


@pytest.mark.parametrize("milestone", [None, 100])
def test_recheck_refuses_what_does_not_follow(milestone):
    process = ConfidenceProcess(0.001, "it", milestone)
    process.update(["it"] * 99 + ["else"] + ["it"] * 150)
    assert recheck_of(process)
    lies = [
        {"pointer": process.pointer + 1},
        {"pointer": -1},
        {"pointer": STEPS + 1},
        {"pointer": float(process.pointer)},
        {"pointer": True},
        {"n": process.look[0] + 40},
        {"s": process.look[1] - 2},
        {"s": process.look[0] + 1},
        {"s": -1},
        {"n": 10**400, "s": 10**400},
        {"n": str(process.n)},
        {"alpha": 1e-5},
        {"alpha": 0.6},
        {"alpha": 0.0},
        {"alpha": "0.001"},
        {"alpha": None},
        {"alpha": math.nan},
        {"named": False},
        {"prior_named": False},
        {"margin": 0.02},
        {"margin": 0.5},
        {"margin": -1.0},
        {"margin": math.nan},
        {"milestone": 50},
        {"milestone": 0},
        {"milestone": 1.5},
    ]
    for lie in lies:
        if milestone is None or lie != {"milestone": 50}:
            assert not recheck_of(process, **lie), lie


def test_recheck_of_a_milestone_look_needs_the_milestone():
    process = ConfidenceProcess(0.001, "it", 100)
    process.update(["it"] * 100)
    assert process.how == "milestone"
    assert recheck_of(process)
    assert not recheck_of(process, milestone=None)
    assert not recheck_of(process, milestone=101)
    assert not recheck(0, 10, 5, 0.5, True, True, 0.0)  # half of the votes is no majority


def test_radius_zero_is_not_no_label():
    process = ConfidenceProcess(0.001, "it")
    process.update(["it"] * 9)
    assert (process.label, process.z, process.pointer) == (None, 0.0, None)
    while process.label is None:
        process.update(["it"])
    weak = ConfidenceProcess(0.001, "it")
    weak.update([None, "it"] * 1000 + ["it"] * 200)
    assert (weak.label, weak.z, weak.pointer) == ("it", 0.0, 0)


def test_two_pointers_make_an_abstention_for_good():
    process = ConfidenceProcess(0.5)
    process.update(["a"] * 20)
    assert (process.label, process.leader) == ("a", "a")
    before = process.z
    process.update(["b"] * 19)
    assert (process.label, process.z) == ("a", before)  # the pointer never moves back
    process.update(["b"] * 100)
    assert process.conflict
    assert (process.label, process.z, process.pointer, process.look) == (None, 0.0, None, None)
    process.update(["a"] * 1000)
    assert process.label is None
    assert process.leader == "a"


def test_only_a_majority_is_tested():
    process = ConfidenceProcess(0.5, "a")
    process.update([None, "a"] * 5000)
    assert process.label is None


def test_unnamed_labels_share_a_smaller_level():
    process = ConfidenceProcess(0.001, "it")
    assert process.level("it") == pytest.approx(0.0009)
    assert process.level("else") == process.level(None) == pytest.approx(0.0001)
    assert ConfidenceProcess(0.001).level("it") == pytest.approx(0.0005)
    process.update(["else"] * 100)
    assert (process.label, process.z) == ("else", 1.22)


def test_margin_costs_radius_only_where_it_is_felt():
    z = {}
    for margin in (0.0, 1e-11, 1e-6, 1e-3, 0.4):
        process = ConfidenceProcess(0.001, "it", margin=margin)
        process.update(["it"] * 10_000)
        z[margin] = process.z
    assert z[0.0] == z[1e-11] == z[1e-6] > z[1e-3] > z[0.4] > 0


def test_leader_is_the_first_to_get_there():
    process = ConfidenceProcess()
    assert (process.leader, process.leader_count, process.rate) == (None, 0, 1.0)
    process.update(["a", "b"])
    assert process.leader == "a"
    process.update(["b", None, "a"])
    assert (process.leader, process.leader_count) == ("b", 2)
    assert process.rate == 3 / 6


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0.0},
        {"alpha": 0.500001},
        {"alpha": math.nan},
        {"alpha": True},
        {"milestone": 0},
        {"milestone": 1.0},
        {"milestone": True},
        {"margin": -1e-12},
        {"margin": math.inf},
    ],
)
def test_refuses_arguments_out_of_range(options):
    with pytest.raises(InvalidParameter):
        ConfidenceProcess(**options)


@pytest.mark.parametrize("votes", ["it", [1], ["it", 0.5], [b"it"]])
def test_refuses_what_is_no_vote(votes):
    with pytest.raises(InvalidParameter):
        ConfidenceProcess().update(votes)


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_twenty_thousand_single_looks_are_quick(share):
    votes = ["it" if hit else "no" for hit in np.random.default_rng(0).random(20_000) < share]
    process, begun = ConfidenceProcess(0.001, "it"), time.process_time()
    for vote in votes:
        process.update([vote])
    assert time.process_time() - begun < 2.0  # 0.03 to 0.15 s on a free core


def test_a_million_votes():
    process = ConfidenceProcess(0.001, "it")
    process.update([None] * 100_000)
    process.update(["it"] * 900_000)
    assert process.label == "it"
    assert 1.26 <= process.z < 1.2816  # Φ⁻¹(0.9)
