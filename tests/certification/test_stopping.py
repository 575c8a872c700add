import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, norm

from certification.confidence import ConfidenceProcess
from certification.errors import InvalidParameter
from certification.expected_votes import boundaries
from certification.martingale import index_for, level_of
from certification.stopping import (
    GoodEnough,
    Hopeless,
    StopRule,
    TargetReached,
    VotesSpent,
    first_stop,
    votes_needed,
)
from certification.walk import walk
from tests.certification.test_confidence import PROCESSES, vote_sequences

PRECEDENCE = ["target_reached", "hopeless", "good_enough", "votes_spent"]


def after(votes, alpha=0.001, prior_label="it", **options):
    process = ConfidenceProcess(alpha, prior_label, **options)
    process.update(votes)
    return process


def naive_stop(process, votes, rules):
    """Ask every rule after every vote."""
    for taken, vote in enumerate([*votes, "end"]):
        holding = [rule.reason for rule in rules if rule(process)]
        if holding:
            return taken, min(holding, key=PRECEDENCE.index)
        if taken < len(votes):
            process.update([vote])
    return len(votes), None


RULES = st.lists(
    st.one_of(
        st.builds(TargetReached, st.sampled_from([0.0, 0.1, 0.5, 0.7013, 1.0]), st.just(1.0)),
        st.builds(Hopeless, st.sampled_from([None, 0.0, 0.5, 1.0, 3.0]), st.just(1.0)),
        st.builds(GoodEnough, st.integers(1, 300), st.sampled_from([0.2, 0.5, 0.9, 1.0])),
        st.builds(VotesSpent, st.integers(1, 250)),
    ),
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(PROCESSES, vote_sequences(), RULES, st.integers(0, 30))
def test_first_stop_is_asking_after_every_vote(options, votes, rules, begun):
    one, two = ConfidenceProcess(**options), ConfidenceProcess(**options)
    one.update(votes[:begun])
    two.update(votes[:begun])
    got = first_stop(one, votes[begun:], rules)
    assert got == naive_stop(two, votes[begun:], rules)
    assert one.n == two.n
    assert (one.label, one.z, one.look) == (two.label, two.z, two.look)


@settings(deadline=None)
@given(PROCESSES, vote_sequences(), RULES)
def test_planning_changes_nothing_and_keeps_its_bounds(options, votes, rules):
    process = ConfidenceProcess(**options)
    process.update(votes)
    before = (dict(process.counts), process.n, process.label, process.z)
    needed = votes_needed(process, rules, horizon=5000)
    assert 1 <= needed <= 5000
    for rule in rules:
        if isinstance(rule, VotesSpent) and not rule(process):
            assert needed <= rule.max_votes - process.n
    assert before == (dict(process.counts), process.n, process.label, process.z)


def test_a_conflict_is_hopeless():
    votes = ["a"] * 20 + ["b"] * 200
    process = ConfidenceProcess(0.5)
    taken, reason = first_stop(process, votes, [Hopeless(), VotesSpent(1000)])
    assert reason == "hopeless"
    assert process.conflict
    again = ConfidenceProcess(0.5)
    again.update(votes[: taken - 1])
    assert not again.conflict
    assert votes_needed(process, [Hopeless()]) == 1


@pytest.mark.parametrize(
    ("target", "sigma", "reached", "not_reached"),
    [
        (0.5, 1.0, 28, 27),
        (0.125, 0.25, 28, 27),
        (1.0, 1.0, 56, 55),
        (0.5201, 1.0, 29, 28),  # off the grid: 28 votes give z = 0.52
    ],
)
def test_target(target, sigma, reached, not_reached):
    rule = TargetReached(target, sigma)
    assert rule(after(["it"] * reached))
    assert not rule(after(["it"] * not_reached))
    assert sigma * after(["it"] * reached).z >= target


def test_target_zero_needs_a_label():
    assert not TargetReached(0.0)(ConfidenceProcess())
    assert TargetReached(0.0)(after(["it"] * 15))


def test_hopeless_looks_at_whoever_leads():
    rule = Hopeless(0.5)
    assert rule(after([f"other {i}" for i in range(20)]))
    assert rule(after([None] * 20))
    assert not rule(after(["else"] * 20))  # another label than the named one may reach it
    assert not rule(ConfidenceProcess())
    assert not rule(after(["it"] * 28))
    assert not Hopeless()(after(["it"] * 28 + [None] * 500))  # certified: nothing to give up
    assert Hopeless(1.0)(after(["it"] * 28 + [None] * 500))
    assert Hopeless(5.99)(after([], margin=1e-3))  # such a null can never be rejected


@pytest.mark.parametrize("target", [0.5, 1.0])
def test_giving_up_wrongly_is_rare(target):
    """A label that deserves the target by a hair is given up with probability ≤ 0.01, exactly."""
    level = level_of(0.001, named=True, prior_named=True)
    upper, lower = boundaries(index_for(target), level, 4000)
    p = norm.cdf(target + 1e-6)
    given_up = walk(p, 1 - p, np.full_like(upper, 10**9), lower)
    assert 0.003 < given_up.down + given_up.lost <= 0.01


def radius_of_the_whole_budget(s, n, max_votes, level):
    rate = s / n
    return norm.ppf(beta.ppf(level, rate * max_votes, (1 - rate) * max_votes + 1))


@pytest.mark.parametrize("x", [0.5, 0.8, 0.9, 1.0])
@pytest.mark.parametrize(("s", "n"), [(100, 100), (55, 60), (400, 500), (900, 1600)])
@pytest.mark.parametrize("max_votes", [100, 1000, 100_000])
def test_good_enough_is_its_definition(x, s, n, max_votes):
    process = after(["no"] * (n - s) + ["it"] * s)
    cp = radius_of_the_whole_budget(s, n, max_votes, 0.0009)
    assert GoodEnough(max_votes, x)(process) == (process.z > 0 and cp > 0 and process.z >= x * cp)


def test_good_enough_never_at_zero():
    assert not GoodEnough(10)(ConfidenceProcess())
    zero = after([None, "it"] * 1000 + ["it"] * 200)
    assert (zero.label, zero.z) == ("it", 0.0)
    assert not GoodEnough(10)(zero)
    lost = after(["it"] * 100 + [None] * 200)
    assert lost.z > 0
    assert not GoodEnough(1000)(lost)  # the budget would give nothing at the present rate


@pytest.mark.parametrize("order", [1, -1])
def test_precedence(order):
    every = [TargetReached(0.5), Hopeless(2.0), GoodEnough(28, 0.1), VotesSpent(28)]
    votes = ["it"] * 28 + [None] * 400
    process = after(votes)
    for i, rule in enumerate(every):
        assert rule.reason == PRECEDENCE[i]
    holding = [rule for rule in every if rule(process)][::order]
    assert {r.reason for r in holding} == {"target_reached", "hopeless", "votes_spent"}
    assert first_stop(process, ["it"], holding) == (0, "target_reached")
    assert first_stop(process, ["it"], [r for r in holding if r.rank]) == (0, "hopeless")
    assert first_stop(after(["it"] * 28), [], every[2:][::order]) == (0, "good_enough")


def test_a_rule_of_another_make_comes_last():
    class Always(StopRule):
        reason = "always"

        def __call__(self, process):
            return process.n >= 28

        def not_before(self, process):
            return 1

        def expected(self, process, within):
            return min(within, max(1, 28 - process.n))

    rules = [Always(), TargetReached(0.5)]
    assert first_stop(after([]), ["it"] * 50, rules) == (28, "target_reached")
    assert first_stop(after([]), ["it"] * 50, rules[:1]) == (28, "always")
    assert votes_needed(after([]), rules[:1]) == 28


def test_votes_are_taken_from_an_iterator_and_no_further():
    queue = iter(["it"] * 50)
    assert first_stop(after([]), queue, [TargetReached(0.5)]) == (28, "target_reached")
    assert len(list(queue)) == 22
    assert first_stop(after([]), ["it"] * 50, []) == (50, None)
    assert first_stop(after([]), [], [VotesSpent(3)]) == (0, None)
    with pytest.raises(InvalidParameter):
        first_stop(after([]), "it", [])


@pytest.mark.parametrize(
    ("options", "rules", "needed"),
    [
        ({}, [TargetReached(0.5), Hopeless(0.5), VotesSpent(10_000)], 28),
        ({}, [TargetReached(1.0)], 56),
        ({}, [TargetReached(0.5), VotesSpent(10)], 10),
        ({"milestone": 100}, [TargetReached(1.44)], 100),
        ({"milestone": 100}, [TargetReached(0.5)], 30),
        ({}, [], 1_000_000),
    ],
)
def test_plan_before_the_first_vote(options, rules, needed):
    assert votes_needed(after([], **options), rules) == needed


def test_plan_follows_the_rate():
    rules = [TargetReached(0.5), Hopeless(0.5), VotesSpent(10_000)]
    assert votes_needed(after(["it"] * 20), rules) == 8
    assert votes_needed(after(["it"] * 27), rules) == 1
    good, poor = after(["no"] * 2 + ["it"] * 18), after(["no"] * 4 + ["it"] * 16)
    assert 8 < votes_needed(good, rules) < votes_needed(poor, rules)
    assert votes_needed(after([None] * 6), rules) < 10  # soon hopeless
    reached = after(["it"] * 28)
    planned = votes_needed(reached, [GoodEnough(1000)])
    taken, _ = first_stop(reached, ["it"] * 1000, [GoodEnough(1000)])
    assert planned == taken > 100


def test_planning_and_stopping_are_quick():
    rules = [TargetReached(2.0), Hopeless(2.0), GoodEnough(100_000), VotesSpent(100_000)]
    process = after(["no"] * 30 + ["it"] * 970)
    votes_needed(process, rules)  # fills the tables
    begun = time.process_time()
    for _ in range(20):
        votes_needed(process, rules)
    assert time.process_time() - begun < 20 * 0.01  # 0.5 ms each on a free core
    votes = ["it" if hit else "no" for hit in np.random.default_rng(1).random(20_000) < 0.6]
    begun = time.process_time()
    taken, _ = first_stop(after([]), votes, [Hopeless(), GoodEnough(100_000), VotesSpent(100_000)])
    assert time.process_time() - begun < 3.0
    assert taken > 1000


@pytest.mark.parametrize(
    ("rule", "described"),
    [
        (TargetReached(0.5, 0.25), {"rule": "target_reached", "target": 0.5, "sigma": 0.25}),
        (Hopeless(), {"rule": "hopeless", "target": None, "sigma": 1.0}),
        (GoodEnough(1000), {"rule": "good_enough", "max_votes": 1000, "x": 0.9}),
        (VotesSpent(1000), {"rule": "votes_spent", "max_votes": 1000}),
    ],
)
def test_rules_describe_themselves(rule, described):
    assert rule.describe() == described
    assert eval(repr(rule)) == rule  # noqa: S307


@pytest.mark.parametrize(
    "make",
    [
        lambda: TargetReached(6.01),
        lambda: TargetReached(-0.1),
        lambda: TargetReached(0.5, 0.0),
        lambda: Hopeless(math.nan),
        lambda: Hopeless(2.0, 0.25),
        lambda: GoodEnough(0),
        lambda: GoodEnough(100, 0.0),
        lambda: GoodEnough(100, 1.1),
        lambda: GoodEnough(100, math.nan),
        lambda: VotesSpent(0),
        lambda: VotesSpent(10.0),
        lambda: VotesSpent(True),
    ],
)
def test_refuses_numbers_out_of_range(make):
    with pytest.raises(InvalidParameter):
        make()
