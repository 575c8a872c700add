"""Whoever watches is told what the engine does, and cannot disturb it."""

import contextlib
from collections import Counter

import pytest

from certification.certify import certify
from certification.errors import ProviderFailed
from certification.options import Options
from certification.patience import Patience
from certification.protocols import Retry
from certification.watching import (
    NO_SPAN,
    NOBODY,
    Called,
    Cleaned,
    Retried,
    Reused,
    Voted,
    Watchers,
)
from tests.certification.worlds import Clip, World, grey, half_space, machine, refuse_above


class Diary:
    """Keeps all that it is told."""

    def __init__(self):
        self.events, self.spans, self.open = [], [], 0

    @contextlib.contextmanager
    def span(self, name, **attributes):
        entry = (name, attributes)
        self.spans.append(entry)
        self.open += 1
        try:
            yield attributes.update
        finally:
            self.open -= 1

    def tell(self, event):
        self.events.append(event)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


class Broken:
    """Fails at everything."""

    def __init__(self, at):
        self._at = at

    def span(self, name, **attributes):
        if self._at == "span":
            raise ValueError(name)
        return self

    def __enter__(self):
        if self._at == "enter":
            raise ValueError("enter")
        return self._note

    def __exit__(self, *error):
        if self._at == "exit":
            raise ValueError("exit")

    def _note(self, **attributes):
        raise ValueError("note")

    def tell(self, event):
        raise ValueError("tell")


async def run(world, place, **options):
    place.patience = Patience(attempts=6, first_wait=0.0001, longest_wait=0.001)
    return await certify(
        place,
        grey(),
        Options(**{"sigma": 0.1, "max_votes": 100, "good_enough": None, **options}),
        denoiser=Clip(),
        classifier=world,
    )


def watched(*watchers):
    place = machine()
    place.watcher = Watchers(*watchers)
    return place


async def test_the_counts_are_those_of_the_certificate():
    diary = Diary()
    place = watched(diary)
    throttled = {3: Retry("slow down", throttled=True), 5: Retry("away"), 6: Retry("away")}
    world = World(refuse_above(0.1), fail=throttled.get, price=0.001)
    document = await run(world, place)
    bill, votes = document["accounting"], diary.of(Voted)
    calls, results = diary.of(Called), Counter(call.result for call in diary.of(Called))
    assert len(calls) == bill["calls"] == len(world.calls)
    assert sum(call.images for call in calls) == bill["images"]
    assert sum(call.cost for call in calls) == pytest.approx(bill["cost"])
    assert sum(event.images for event in diary.of(Retried)) == bill["retries"] > 0
    assert results["throttled"] == 1
    assert results["failing"] == 2
    assert results["answered"] == len(calls) - 3
    (ledger,) = place.ledgers._current.values()
    kept = await ledger.read()
    assert sum(event.votes for event in votes) == len(kept)
    assert sum(event.abstentions for event in votes) == kept.count(None) > 0
    cleaned = diary.of(Cleaned)
    assert sum(event.pictures for event in cleaned) >= len(kept)
    assert {(event.denoiser, event.compute) for event in cleaned} == {("clip", "cpu/int16")}
    assert {event.provider for event in (*calls, *votes)} == {"world"}
    assert diary.of(Reused) == []
    assert place.activity.runs == place.activity.working == 0
    again = await run(world, place)
    assert [event.votes for event in diary.of(Reused)] == [again["proof"]["votes"]["n"]] == [100]
    assert len(diary.of(Called)) == len(calls)


async def test_spans_are_told_what_they_are_about_and_nothing_else():
    diary = Diary()
    await run(World(half_space(0.15)), watched(diary))
    named = Counter(name for name, _ in diary.spans)
    assert named.keys() == {"draw", "denoise", "call", "append"}
    assert named["draw"] == named["denoise"] == 4
    for _, attributes in diary.spans:
        assert attributes.keys() <= {
            *("pictures", "denoiser", "compute", "provider", "images", "waited", "result", "votes")
        }
    assert diary.open == 0


async def test_a_call_that_breaks_is_told():
    diary = Diary()
    world = World(half_space(0.15), fail={4: ZeroDivisionError("a bug")}.get, concurrency=1)
    with pytest.raises(ProviderFailed):
        await run(world, watched(diary))
    assert diary.of(Called)[-1].result == "broken"
    assert diary.open == 0


@pytest.mark.parametrize("at", ["span", "enter", "exit", "note"])
async def test_a_watcher_that_fails_disturbs_nobody(at, caplog):
    diary = Diary()
    document = await run(World(half_space(0.15)), watched(Broken(at), diary))
    plain = await run(World(half_space(0.15)), machine())
    assert document["proof"] == plain["proof"]
    assert diary.of(Voted)
    assert diary.open == 0
    assert "a watcher failed" in caplog.text


def test_without_a_watcher_there_is_nothing():
    assert NOBODY.span("draw", pictures=1) is NO_SPAN
    watchers, diary = Watchers(), Diary()
    watchers.add(diary)
    watchers.remove(diary)
    assert watchers.span("draw", pictures=1) is NO_SPAN
    watchers.tell(Reused("world", 1))
    assert diary.events == []
    with NO_SPAN as note, NO_SPAN:
        note(anything=1)
