"""The breaker: opens after ten failures, one trial a pause, closed by a success."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.policy.breaker import FAILURES, FIRST_PAUSE, WORTH_WAITING, Breaker, State


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        assert breaker.lets_through(now)
        breaker.failed(now)
    return breaker


def test_it_opens_after_ten_failures_in_a_row():
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker.failed(0.0)
    breaker.succeeded()
    for _ in range(FAILURES - 1):
        breaker.failed(0.0)
    assert breaker.lets_through(0.0)
    assert not opened().lets_through(FIRST_PAUSE - 0.01)


def test_pauses_double_up_to_a_minute():
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(8):
        pauses.append(breaker.until - now)
        now = breaker.until
        assert breaker.lets_through(now)
        assert breaker.begin()
        assert not breaker.lets_through(now + 1000)  # the trial is under way
        breaker.failed(now, trial=True)
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    breaker.begin()
    breaker.succeeded()
    assert breaker.state is State.CLOSED
    for _ in range(FAILURES):
        breaker.failed(now)
    assert breaker.until == now + FIRST_PAUSE


def test_a_call_that_began_before_it_opened_does_not_end_the_trial():
    breaker = opened()
    breaker.begin()
    breaker.failed(3.0)
    assert breaker.state is State.TRYING
    breaker.succeeded()  # but if it was answered, the provider is there
    assert breaker.state is State.CLOSED


def test_a_trial_that_was_not_made_is_made_by_the_next_call():
    breaker = opened()
    assert breaker.begin()
    breaker.unused()
    assert breaker.lets_through(FIRST_PAUSE)
    assert breaker.begin()


def test_it_is_waited_for_from_the_moment_that_it_opened():
    breaker = Breaker()
    breaker.failed(0.0)
    for _ in range(FAILURES):
        breaker.failed(1000.0)  # nobody called in between
    assert breaker.worth_waiting(1001.0)
    assert not breaker.worth_waiting(1000.0 + WORTH_WAITING)
    assert breaker.down_for(1001.0) == 1001.0
    breaker.begin()
    assert breaker.worth_waiting(5000.0)  # the trial may well succeed


@pytest.mark.parametrize("failures", [1, 3])
@given(steps=st.lists(st.sampled_from(["call", "fail", "succeed", "drop", "time"]), max_size=80))
def test_there_is_at_most_one_trial(failures, steps):
    breaker, now = Breaker(failures), 0.0
    calls: list[bool] = []  # in flight: is it the trial
    for step in steps:
        if step == "time":
            now += 1.5
        elif step == "call" and breaker.lets_through(now):
            calls.append(breaker.begin())
        elif step != "call" and calls:
            trial = calls.pop(0)
            if step == "fail":
                breaker.failed(now, trial=trial)
            elif step == "succeed":
                breaker.succeeded()
            elif trial:
                breaker.unused()
        if breaker.state is State.TRYING:
            assert any(calls)
            assert not breaker.lets_through(now + 1e6)
