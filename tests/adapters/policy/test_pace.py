"""The pace: learnt from throttles, and not slowed by one now and then."""

import math

from hypothesis import given
from hypothesis import strategies as st

from adapters.policy.pace import SHRINK, SLOWEST, UNIT, Pace


def throttled_out(answers: int = 20) -> Pace:
    """Return the pace of a provider that answered so many calls in a second, then no more."""
    pace = Pace()
    for i in range(answers):
        pace.start(i / answers)
        pace.answered(i / answers)
    while not pace.throttled(0.99):
        pass
    return pace


def test_no_pace_is_kept_before_the_first_throttle():
    pace = Pace()
    for _ in range(1000):
        assert pace.due(5.0) <= 5.0
        pace.start(5.0)
        pace.answered(5.0)
    assert pace.rate(5.0) == math.inf


def test_a_throttle_now_and_then_is_no_reason_to_slow_down():
    pace = Pace()
    for i in range(2000):
        assert not (pace.throttled(i / 100) if i % 12 == 0 else pace.answered(i / 100))
    assert pace.rate(20.0) == math.inf


def test_it_falls_then_comes_back_and_goes_beyond():
    pace = throttled_out(20)
    rates = [pace.rate(0.99 + seconds) / 20 for seconds in (0, UNIT * 0.3 ** (1 / 3), 2 * UNIT)]
    assert rates[0] == SHRINK or math.isclose(rates[0], SHRINK)
    assert math.isclose(rates[1], 1.0)
    assert rates[2] > 3


def test_calls_are_spread_evenly_and_a_late_one_holds_up_none():
    pace = throttled_out(20)
    now, starts = 2.0, []
    while now < 4.0:
        now = max(now, pace.due(now))
        late = 0.02 if len(starts) % 5 == 0 else 0.0
        pace.start(now + late)
        starts.append(now + late)
    assert len(starts) >= 2.0 * SHRINK * 20 - 1
    assert max(sum(t <= s < t + 1.0 for s in starts) for t in starts) <= 20


def test_a_second_is_slowed_down_for_once():
    pace = throttled_out(20)
    before = pace.rate(1.5)
    for _ in range(50):
        pace.throttled(1.5)
    assert pace.rate(1.5) == before


@given(st.lists(st.tuples(st.sampled_from(["start", "answer", "throttle"]), st.floats(0, 20))))
def test_calls_go_on_whatever_happens(steps):
    pace, now = Pace(), 0.0
    for step, pause in steps:
        now += pause
        if step == "start":
            now = max(now, pace.due(now))
            pace.start(now)
        elif step == "answer":
            pace.answered(now)
        else:
            pace.throttled(now)
        assert pace.rate(now) >= SLOWEST
        assert pace.due(now) <= now + 1 / SLOWEST + 1e-6
