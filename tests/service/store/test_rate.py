"""The shared rate limit in a real store: the same window as one process's, over all of them."""

import asyncio
import contextlib
import heapq
import itertools
import os
import secrets
import signal
import subprocess
import sys

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.errors import ProviderDown
from adapters.policy.gate import AccountGates
from adapters.policy.window import SAFETY, SlidingWindow
from certification.protocols import Retry, Traits
from service.core import Surety
from service.settings import Settings
from service.store.connection import Store
from service.store.rate import RedisLimits, SharedLimit
from tests.adapters.policy.test_window import most_in_window

SECOND = 1_000_000
RATES = st.one_of(st.floats(0.05, 200), st.integers(1, 200).map(float))
STEPS = st.tuples(st.integers(1, 20), st.integers(0, 3 * SECOND), st.integers(0, 9))


class Clock:
    """Says what time it is, in microseconds."""

    def __init__(self):
        self.now = 10**15

    def __call__(self):
        return self.now


@contextlib.asynccontextmanager
async def connected():
    store = Store(os.environ["SURETY_REDIS_URL"], os.environ["SURETY_REDIS_PREFIX"])
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store():
    async with connected() as opened:
        yield opened


@pytest.fixture
async def limits(store):
    """As a process of a deployment has them."""
    opened = RedisLimits(store, bytes(32))
    yield opened
    await opened.close()


def limit_of(store, clock, rate, largest=1, name=None):
    return SharedLimit(store, name or secrets.token_hex(8), rate, largest, clock=clock)


async def settled(limit):
    """Wait for what goes on in the background."""
    while limit._tasks:
        await asyncio.wait([*limit._tasks])


@settings(deadline=None, max_examples=25)
@given(rate=RATES, largest=st.integers(1, 20), steps=st.lists(STEPS, max_size=40))
def test_places_are_those_of_a_window_in_one_process(rate, largest, steps):
    """Reserved and given back at random; those that wait for their place let it pass."""

    async def main():
        async with connected() as store:
            clock, window, slots = Clock(), SlidingWindow(rate, largest), []
            limit = limit_of(store, clock, rate, largest)
            for number, (units, pause, choice) in enumerate(steps):
                clock.now += pause
                slot = window.reserve(min(units, largest), clock.now / SECOND)
                wait, closed = await limit.take(f"{number}", min(units, largest))
                assert wait == pytest.approx(slot.at - clock.now / SECOND, abs=1e-3)
                assert not closed
                slots.append(slot)
                if choice < 4:
                    which = choice % len(slots)
                    window.give_back(slots[which])
                    limit.give_back(f"{which}")
                    await settled(limit)

    asyncio.run(main())


@settings(deadline=None, max_examples=20)
@given(rate=RATES, largest=st.integers(1, 20), steps=st.lists(STEPS, max_size=30))
def test_a_call_that_starts_late_is_counted_where_it_starts(rate, largest, steps):
    """One after the other, as the gate does it."""

    async def main():
        async with connected() as store:
            clock, window = Clock(), SlidingWindow(rate, largest)
            limit = limit_of(store, clock, rate, largest)
            for number, (units, late, _) in enumerate(steps):
                slot = window.reserve(min(units, largest), clock.now / SECOND)
                wait, _ = await limit.take(f"{number}", min(units, largest))
                assert wait == pytest.approx(slot.at - clock.now / SECOND, abs=1e-3)
                if wait:
                    clock.now += round(wait * SECOND) + late
                    assert await limit.take(f"{number}", slot.units) == (0, False)
                    window.started(slot, clock.now / SECOND)

    asyncio.run(main())


@settings(deadline=None, max_examples=20)
@given(
    rate=RATES,
    largest=st.integers(1, 20),
    late=st.lists(st.tuples(st.integers(1, 20), st.integers(0, 2 * SECOND)), max_size=40),
    processes=st.integers(2, 5),
)
def test_no_window_holds_more_however_late_calls_of_several_processes_are(
    rate, largest, late, processes
):
    async def main():
        async with connected() as store:
            clock, starts = Clock(), []
            limit = limit_of(store, clock, rate, largest)
            window = SlidingWindow(rate, largest)
            calls = enumerate(late)
            due = [
                (clock.now + i, *call) for i, call in enumerate(itertools.islice(calls, processes))
            ]
            heapq.heapify(due)
            while due:
                clock.now, number, (units, delay) = heapq.heappop(due)
                wait, _ = await limit.take(f"{number}", min(units, largest))
                if wait:
                    again = clock.now + round(wait * SECOND) + delay
                    heapq.heappush(due, (again, number, (units, 0)))
                    continue
                starts.append(Started(clock.now / SECOND, min(units, largest)))
                for following in itertools.islice(calls, 1):
                    heapq.heappush(due, (clock.now, *following))
            assert len(starts) == len(late)
            assert most_in_window(starts, window.seconds) <= window.units

    asyncio.run(main())


class Started:
    def __init__(self, at, units):
        self.at, self.units = at - 1e9, units


# Notes between which moments the store let each call start.
PROGRAM = """
import asyncio, sys, time
from service.store.connection import Store
from service.store.rate import SharedLimit

class Noting(SharedLimit):
    async def take(self, token, units):
        self.before = time.monotonic()
        answer = await super().take(token, units)
        self.after = time.monotonic()
        return answer

async def main():
    store = Store(sys.argv[1], sys.argv[2])
    await store.open()
    limit, end = Noting(store, "real", 50.0, 16), time.monotonic() + 2.5
    while time.monotonic() < end:
        await (await limit.reserve(16)).wait()
        print(limit.before, limit.after)
    await store.close()

asyncio.run(main())
"""


def test_no_second_over_the_limit_from_three_processes():
    url, prefix = os.environ["SURETY_REDIS_URL"], os.environ["SURETY_REDIS_PREFIX"]
    command = [sys.executable, "-c", PROGRAM, url, prefix]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    calls = []
    for process in processes:
        told, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        calls += [tuple(map(float, line.split())) for line in told.splitlines()]
    assert len(calls) >= 6
    for first, _ in calls:
        within = [after for before, after in calls if before >= first and after < first + 1.0]
        assert 16 * len(within) <= 50


async def test_a_place_given_back_is_free_again_and_one_nobody_comes_for_passes(store):
    clock = Clock()
    one, two = limit_of(store, clock, 1, name="x"), limit_of(store, clock, 1, name="x")
    assert (await one.take("a", 1))[0] == 0
    for number in range(100):  # a run with calls far in the future, which is cancelled
        await one.take(f"{number}", 1)
    assert (await two.take("b", 1))[0] == pytest.approx(101 / SAFETY, abs=1e-3)
    for number in range(100):
        one.give_back(f"{number}")
    two.give_back("b")
    await settled(one)
    await settled(two)
    assert (await two.take("c", 1))[0] == pytest.approx(1 / SAFETY, abs=1e-3)
    clock.now += 3 * SECOND  # nobody came
    assert (await one.take("d", 1))[0] == 0


async def test_a_cancelled_reservation_leaves_no_place_behind(store):
    limit = limit_of(store, None, 1 / 60)
    for _ in range(5):
        await limit.take("first", 1)  # a connection that is there
        reserving = asyncio.create_task(limit.reserve(1))
        await asyncio.sleep(0)
        reserving.cancel()
        await asyncio.gather(reserving, return_exceptions=True)
        await settled(limit)
    assert (await limit.take("last", 1))[0] < 1.5 * 60 / SAFETY


async def test_asking_twice_gives_one_place(store):
    """As when the answer was lost with the connection."""
    clock = Clock()
    limit = limit_of(store, clock, 2)
    assert [await limit.take("a", 1) for _ in range(3)] == [(0, False)] * 3
    first = await limit.take("b", 1)
    assert await limit.take("b", 1) == first
    assert (await limit.take("c", 1))[0] == pytest.approx(1 / SAFETY, abs=1e-3)


async def test_of_two_rates_the_lower_holds_until_its_process_has_long_gone(store):
    clock = Clock()
    slow, fast = limit_of(store, clock, 1, name="x"), limit_of(store, clock, 100, 10, name="x")
    await slow.take("a", 1)
    # As one process does that knows both: the lower rate, the larger call.
    assert (await fast.take("b", 10))[0] == pytest.approx(10 / SAFETY, abs=1e-3)
    clock.now += 50 * SECOND
    await fast.take("c", 1)
    assert (await fast.take("d", 1))[0] == pytest.approx(1 / SAFETY, abs=1e-3)
    clock.now += 100 * SECOND
    await fast.take("e", 1)
    assert (await fast.take("f", 1))[0] == pytest.approx(0.01 / SAFETY, abs=1e-3)
    assert (await slow.take("g", 1))[0] > 0.9  # it is still held to its own


async def test_heeding_another_profile(store):
    clock = Clock()
    limit = limit_of(store, clock, 100)
    limit.heed(2, 1)
    await limit.take("a", 1)
    assert (await limit.take("b", 1))[0] == pytest.approx(0.5 / SAFETY, abs=1e-3)


async def test_a_clock_that_is_set_back_holds_nobody_up(store):
    clock = Clock()
    limit = limit_of(store, clock, 1)
    await limit.take("a", 1)
    clock.now -= 3600 * SECOND
    assert (await limit.take("b", 1))[0] == pytest.approx(1 / SAFETY, abs=1e-3)


@pytest.mark.parametrize("rate", [0.01, 50, 1e6])
async def test_entries_are_small_and_go_by_themselves(store, rate):
    clock = Clock()
    limit = limit_of(store, clock, rate, name="x")
    for number in range(400):
        clock.now += max(500, round(1.1 * SECOND / rate))
        await limit.take(f"{number}", 1)
    key = store.key("rate", "x")
    with redis.Redis.from_url(os.environ["SURETY_REDIS_URL"]) as client:
        assert client.strlen(key) < 15_000
        assert 0 < client.pttl(key) < 120_000


async def test_many_calls_a_second_are_counted_together_and_none_is_lost(store):
    clock, starts = Clock(), []
    limit = limit_of(store, clock, 1000, 10)
    for number in range(150):
        wait, _ = await limit.take(f"{number}", 10)
        if wait:
            clock.now += round(wait * SECOND)
            assert await limit.take(f"{number}", 10) == (0, False)
        starts.append(Started(clock.now / SECOND, 10))
    assert most_in_window(starts, 1 / SAFETY) <= 1000
    assert 1490 / (starts[-1].at - starts[0].at) > 0.98 * SAFETY * 1000


async def test_calls_wait_while_the_store_is_away(data_dir, user):
    first = user()
    store = Store(f"unix://{first.joined().socket}", "")
    await store.open()
    limit = SharedLimit(store, "x", 1 / 60, 1)
    await limit.reserve(1)
    first.kill()
    os.kill(first.pid, signal.SIGKILL)
    waiting = asyncio.create_task(limit.reserve(1))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    user().joined()
    reservation = await waiting
    assert not reservation._comes  # the place that was given before still counts
    waiting = asyncio.create_task(reservation.wait())
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await store.close()


async def test_a_store_of_our_own_that_was_killed_is_started_and_has_forgotten_nothing(server):
    store = Store(None, "", server)
    await store.open()
    limit = SharedLimit(store, "x", 1 / 60, 1)
    await limit.reserve(1)
    os.kill(server.pid, signal.SIGKILL)
    assert (await limit.take("b", 1))[0] > 0
    await store.close()


class Provider:
    """What a gate needs to know of one."""

    name, account, options = "world", "a-name-that-nobody-may-see", {}
    traits = Traits(rate=20)


async def test_the_provider_is_left_alone_by_all_processes_when_one_has_heard_it(store, limits):
    one, two = (AccountGates(limits.of_account).of(Provider()) for _ in range(2))
    (await one.enter(1)).done([Retry("slow down", after=1e6, throttled=True)] * 2)
    await limits.close()
    with pytest.raises(ProviderDown, match="left alone for"):
        await two.enter(1)
    other = RedisLimits(store, bytes(31) + b"1")  # another deployment's names are its own
    permit = await AccountGates(other.of_account).of(Provider()).enter(1)
    permit.unused()
    await other.close()


async def test_a_short_pause_is_waited_for(limits):
    one, two = (AccountGates(limits.of_account).of(Provider()) for _ in range(2))
    (await one.enter(1)).done([Retry("slow down", after=0.3, throttled=True)])
    await limits.close()
    began = asyncio.get_running_loop().time()
    (await two.enter(1)).done(None)
    assert asyncio.get_running_loop().time() > began + 0.2
    assert two.account.concurrency.in_flight == 0


async def test_keys_tell_no_account_and_no_job(store, limits):
    limit = limits.of_account("user:password", Traits(rate=1))
    await (await limit.reserve(1)).wait()
    await (await limits.of_job("a-job", 1, Traits()).reserve(1)).wait()
    assert limits.of_account("user", Traits()) is None
    with redis.Redis.from_url(os.environ["SURETY_REDIS_URL"]) as client:
        keys = [*client.scan_iter(f"{store.prefix}rate:*")]
        assert len(keys) == 2
        told = b"".join([*keys, *(client.get(key) for key in keys)])
    assert not any(word in told for word in (b"user", b"password", b"a-job"))


async def test_units_of_different_kinds_are_counted_apart(limits):
    for unit in ("image", "request"):
        limit = limits.of_account("x", Traits(rate=1 / 60, rate_unit=unit))
        assert (await limit.take("a", 1))[0] == 0


async def test_a_deployment_shares_the_limit_between_its_processes(tmp_path):
    async with contextlib.AsyncExitStack() as stack:
        ways = []
        for _ in range(2):
            surety = await stack.enter_async_context(
                Surety.opened(Settings(data_dir=tmp_path, secret="5a" * 32))
            )
            slow = Provider()
            slow.traits = Traits(rate=1 / 60)
            ways.append(surety.machine.gates.of(slow))
        (await ways[0].enter(1)).done(None)
        second = asyncio.create_task(ways[1].enter(1))
        await asyncio.sleep(0.3)
        assert not second.done()
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
