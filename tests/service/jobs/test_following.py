"""When the store counts as away."""

from types import SimpleNamespace

import pytest

from service.jobs import following
from service.jobs.following import MOST_PATIENCE, PATIENCE, Patience


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(following, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_a_store_that_is_slow_is_waited_for_longer(clock):
    patience = Patience()
    assert patience.left() == PATIENCE
    clock.now += PATIENCE - 1
    assert (patience.left(), patience.ended) == (1, False)
    patience.answered()  # that took nearly all of it
    clock.now += 2 * PATIENCE - 3
    assert (patience.left(), patience.ended) == (1, False)


def test_a_store_that_is_away_is_told_so_again_and_again_and_not_for_longer_than_the_most(clock):
    patience = Patience()
    clock.now += PATIENCE
    assert (patience.left(), patience.ended) == (PATIENCE, True)
    clock.now += 3600
    patience.answered()
    assert (patience.left(), patience.ended) == (MOST_PATIENCE, False)
    patience.answered()
    assert patience.left() == PATIENCE
