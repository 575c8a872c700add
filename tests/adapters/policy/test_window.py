"""The sliding window: never more than it allows, in order, and hardly less."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.policy.window import SAFETY, SlidingWindow, fitting_batch

RATES = st.one_of(st.floats(0.05, 200), st.integers(1, 200).map(float))
CALLS = st.lists(st.tuples(st.integers(1, 20), st.floats(0, 3), st.booleans()), max_size=60)


def most_in_window(slots, seconds: float) -> int:
    """Count (end − seconds, end] at every start; a rounding error apart."""
    return max(
        (
            sum(other.units for other in slots if end - seconds + 1e-6 < other.at <= end)
            for end in [slot.at for slot in slots]
        ),
        default=0,
    )


@given(rate=RATES, largest=st.integers(1, 20), calls=CALLS)
def test_no_window_holds_more_and_calls_keep_their_order(rate, largest, calls):
    window, now, slots = SlidingWindow(rate, largest), 0.0, []
    for units, pause, given_back in calls:
        now += pause
        slot = window.reserve(min(units, largest), now)
        assert slot.at >= now
        assert not slots or slot.at >= slots[-1].at
        if given_back:
            window.give_back(slot)
            window.give_back(slot)  # once more does no harm
        else:
            slots.append(slot)
    assert most_in_window(slots, window.seconds) <= window.units


@given(rate=RATES, largest=st.integers(1, 20), calls=CALLS)
def test_calls_that_start_late_are_counted_where_they_start(rate, largest, calls):
    """One at a time is given a place and starts, as the gate does it."""
    window, now, slots = SlidingWindow(rate, largest), 0.0, []
    for units, late, _ in calls:
        slot = window.reserve(min(units, largest), now)
        now = slot.at + late
        window.started(slot, now)
        slots.append(slot)
    assert most_in_window(slots, window.seconds) <= window.units


@given(rate=st.integers(1, 300))
def test_no_second_holds_more_than_the_rate(rate):
    window = SlidingWindow(rate, 1)
    assert window.units <= rate
    assert window.seconds >= 1.0
    assert window.units / window.seconds <= SAFETY * rate * (1 + 1e-9)


@settings(deadline=None, max_examples=60)
@given(rate=st.integers(1, 300), largest=st.integers(1, 128))
def test_nine_tenths_of_what_is_allowed_are_used(rate, largest):
    batch = fitting_batch(rate, largest)
    assert 1 <= batch <= largest
    window, now, calls = SlidingWindow(rate, batch), 0.0, 0
    while now < 4 * window.seconds - 1e-6:  # as the gate does: the next one once this one starts
        now = window.reserve(batch, now).at
        calls += 1
    assert (calls - 1) * batch / now >= 0.9 * SAFETY * rate


@pytest.mark.parametrize(
    ("rate", "largest", "units", "seconds"),
    [
        (20, 1, 20, 1 / SAFETY),
        (30, 15, 30, 1 / SAFETY),
        (2, 1, 2, 1 / SAFETY),
        (1.5, 1, 1, 1 / SAFETY),  # two within a second would be more than it allows
        (20 / 60, 1, 1, 3.0 / SAFETY),
        (5, 16, 16, 16 / 4.75),
    ],
)
def test_the_window_of_a_rate(rate, largest, units, seconds):
    window = SlidingWindow(rate, largest)
    assert window.units == units
    assert window.seconds == pytest.approx(seconds)


def test_a_place_given_back_is_free_again():
    window = SlidingWindow(1, 1)
    window.reserve(1, 0.0)
    second = window.reserve(1, 0.0)
    assert second.at == pytest.approx(1 / SAFETY)
    window.give_back(second)
    assert window.reserve(1, 0.0).at == pytest.approx(1 / SAFETY)


def test_places_stay_when_the_figures_change():
    window = SlidingWindow(20, 1)
    for _ in range(19):
        window.reserve(1, 0.0)
    window.resize(2, 1)
    assert window.reserve(1, 0.0).at == pytest.approx(17 / 19 + window.seconds)


@pytest.mark.parametrize(("rate", "batch"), [(10, 1), (20, 1), (50, 16), (200, 1)])
def test_calls_that_are_late_on_their_way_do_not_meet_the_next_ones(rate, batch):
    window = SlidingWindow(rate, batch)
    starts = [window.reserve(batch, 0.0).at for _ in range(4 * rate // batch)]
    arrivals = [at + (0.05 if at < 1 else 0.0) for at in starts]
    for first in arrivals:
        assert sum(batch for at in arrivals if first <= at < first + 1) <= rate


@pytest.mark.parametrize(
    ("rate", "largest", "batch"),
    [(30, 16, 15), (50, 16, 16), (12, 4, 4), (5, 3, 1), (0.5, 16, 1), (1000, 16, 16)],
)
def test_batches_that_fill_a_second(rate, largest, batch):
    assert fitting_batch(rate, largest) == batch
