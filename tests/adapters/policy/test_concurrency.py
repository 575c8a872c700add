"""Calls in flight: up to what the account takes, back down when it throttles."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from adapters.policy.concurrency import FIRST, Concurrency


def round_trip(concurrency: Concurrency, *, too_much: bool = False) -> None:
    numbers = []
    while concurrency.free:
        numbers.append(concurrency.begin())
    for number in numbers:
        concurrency.end(number, answered=not too_much, too_much=too_much)


def test_it_doubles_until_the_first_throttle_then_adds_one_each_round_trip():
    concurrency, flying, limits = Concurrency(1000), deque(), []

    def round_trip_with_refills():
        for _ in range(len(flying)):
            concurrency.end(flying.popleft(), answered=True, too_much=False)
            while concurrency.free:
                flying.append(concurrency.begin())
        limits.append(concurrency.limit)

    while concurrency.free:
        flying.append(concurrency.begin())
    for _ in range(3):
        round_trip_with_refills()
    assert limits == [2 * FIRST, 4 * FIRST, 8 * FIRST]
    concurrency.end(flying.popleft(), answered=False, too_much=True)
    assert concurrency.limit == int(0.7 * 8 * FIRST)
    round_trip_with_refills()  # more in flight than allowed now
    before = concurrency.limit
    for _ in range(3):
        round_trip_with_refills()
    assert before + 2 <= concurrency.limit <= before + 4


def test_one_round_trip_lowers_it_once():
    concurrency = Concurrency(100)
    concurrency._limit = 50.0
    round_trip(concurrency, too_much=True)
    assert concurrency.limit == 35
    round_trip(concurrency, too_much=True)
    assert concurrency.limit == 24


def test_one_at_a_time_is_always_allowed():
    concurrency = Concurrency(3)
    for _ in range(20):
        round_trip(concurrency, too_much=True)
    assert concurrency.limit == 1
    for _ in range(20):
        round_trip(concurrency)
    assert concurrency.limit == 3


def test_a_caller_that_does_not_use_it_up_does_not_raise_it():
    concurrency = Concurrency(32)
    for _ in range(100):
        concurrency.end(concurrency.begin(), answered=True, too_much=False)
    assert concurrency.limit == FIRST


@given(
    most=st.integers(1, 40),
    steps=st.lists(
        st.sampled_from(["begin", "answer", "throttle", "fail", "forget"]), max_size=200
    ),
)
def test_in_flight_stays_between_nothing_and_the_most(most, steps):
    concurrency, numbers = Concurrency(most), []
    for step in steps:
        if step == "begin" and concurrency.free:
            numbers.append(concurrency.begin())
        elif step == "forget" and numbers:
            numbers.pop()
            concurrency.forget()
        elif step != "begin" and numbers:
            number = numbers.pop(0)
            concurrency.end(number, answered=step == "answer", too_much=step == "throttle")
        assert concurrency.in_flight == len(numbers)
        assert 1 <= concurrency.limit <= most
