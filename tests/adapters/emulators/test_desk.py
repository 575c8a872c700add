"""The desk: what came, what goes wrong with it, what was billed."""

import asyncio
import hashlib
from types import SimpleNamespace

import pytest

from adapters.emulators import desk as module
from adapters.emulators.desk import Desk
from adapters.emulators.faults import Faults

PICTURES = [bytes([i]) for i in range(8)]
NAMES = [hashlib.sha256(p).hexdigest() for p in PICTURES]


@pytest.fixture
def clock(monkeypatch):
    """Return seconds that pass only when told."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


async def fault(desk: Desk, pictures=PICTURES[:1]) -> str:
    async with desk.call(pictures) as call:
        return call.fault


async def test_a_script_comes_first_then_chance():
    desk = Desk(Faults(script=["drop", "ok", "empty"], shares={"throttle": 1.0}), "v")
    assert [await fault(desk) for _ in range(5)] == ["drop", "ok", "empty", "throttle", "throttle"]
    assert desk.counts.faults == {"drop": 1, "ok": 1, "empty": 1, "throttle": 2}


async def test_another_plan_holds_from_the_next_call():
    desk = Desk(Faults(shares={"throttle": 1.0}), "v")
    assert await fault(desk) == "throttle"
    desk.faults = Faults(script=["drop"])
    assert [await fault(desk), await fault(desk)] == ["drop", "ok"]
    desk.faults = Faults(credentials="bad", script=["drop"])
    assert await fault(desk) == "bad_credentials"


@pytest.mark.parametrize(("unit", "pictures", "taken"), [("image", 4, 5), ("request", 4, 20)])
async def test_no_window_takes_more_than_its_rate(clock, unit, pictures, taken):
    desk = Desk(Faults(rate={"limit": 20, "per_seconds": 2.0, "unit": unit}), "v")
    faults = []
    for _ in range(25):
        faults.append(await fault(desk, PICTURES[:pictures]))
        clock.now += 0.01
    assert faults == ["ok"] * taken + ["throttle"] * (25 - taken)
    clock.now = 101.99
    assert await fault(desk, PICTURES[:pictures]) == "throttle"
    clock.now = 102.0  # the first of them is out of the window
    assert await fault(desk, PICTURES[:pictures]) == "ok"
    assert await fault(desk, PICTURES[:pictures]) == "throttle"


async def test_what_was_throttled_takes_no_place(clock):
    desk = Desk(Faults(rate={"limit": 1}), "v")
    assert await fault(desk) == "ok"
    for _ in range(5):
        clock.now += 0.19
        assert await fault(desk) == "throttle"
    clock.now = 101.0
    assert await fault(desk) == "ok"


async def test_a_part_of_a_batch_fails_and_another_one_the_next_time():
    desk = Desk(Faults(script=["partial"] * 3), "v")
    async with desk.call(PICTURES) as first, desk.call(PICTURES) as second:
        assert first.failing == set(NAMES[0::2])
        assert second.failing == set(NAMES[1::2])
    async with desk.call(PICTURES[:1]) as single:
        assert single.failing == {NAMES[0]}


async def test_it_counts_what_came_and_what_was_billed():
    desk = Desk(Faults(), "v")
    for _ in range(2):
        async with desk.call(PICTURES[:3]) as call:
            desk.answered(call, call.images[:2])
            desk.refuse(call.images[2:])
    found = desk.counts.describe()
    assert (found["calls"], found["images_received"], found["distinct_images"]) == (2, 6, 3)
    assert (found["images_answered"], found["images_refused"]) == (4, 2)
    assert found["answered"] == {NAMES[0]: 2, NAMES[1]: 2}
    assert found["most_images_in_a_second"] == 6
    assert found["most_requests_in_a_second"] == 2
    assert call.billed == 2
    desk.reset()
    assert desk.counts.describe()["calls"] == 0


async def test_the_most_in_a_window(clock):
    desk = Desk(Faults(), "v")
    for at in (0.0, 0.5, 0.99, 1.0, 1.2, 5.0):
        clock.now = 100.0 + at
        await fault(desk)
    assert desk.counts.most_in_window(1.0) == 4  # 0.5 to 1.2
    assert desk.counts.most_in_window(10.0, "request") == 6


async def test_the_version_changes_after_so_many_answers_and_not_back():
    desk = Desk(Faults(change_version_after=3), "v1")
    assert desk.version == "v1"
    async with desk.call(PICTURES[:3]) as call:
        desk.answered(call, call.images)
    assert desk.version == "v1.1"
    desk.reset()  # the counts alone
    assert desk.version == "v1.1"
    desk.faults = Faults()
    assert desk.version == "v1"


async def test_waiting_takes_as_long_as_an_answer_does():
    desk = Desk(Faults(latency={"median": 0.05}, script=["ok", "timeout"], timeout=0.1), "v")
    loop = asyncio.get_running_loop()
    started = loop.time()
    await fault(desk)
    middle = loop.time()
    assert middle - started >= 0.045
    assert await fault(desk) == "timeout"
    assert loop.time() - middle >= 0.095
