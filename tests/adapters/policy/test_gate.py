"""The gate of an account: shared by its runs, never passed, nothing lost when they end."""

import asyncio
import itertools
import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.errors import ProviderDown
from adapters.policy.gate import AccountGate, AccountGates
from adapters.policy.limit import LocalLimit
from certification.asking import Asker
from certification.protocols import Answer, Retry, Traits
from tests.adapters.policy.clock import START, now, run
from tests.certification.worlds import label

OK, FAIL = [label("a")], [Retry("unavailable")]
THROTTLE = [Retry("throttled", throttled=True)]


def gate(**traits) -> AccountGate:
    return AccountGate("world", Traits(**traits))


async def call(gate: AccountGate, outcomes, seconds: float = 0.1) -> float:
    """Make a call; returns when it started."""
    permit = await gate.enter(1)
    started = now()
    await asyncio.sleep(seconds)
    permit.done(outcomes)
    return started


def test_no_more_calls_are_in_flight_than_allowed():
    async def main():
        shared, most = gate(concurrency=6), 0

        async def watched():
            nonlocal most
            permit = await shared.enter(1)
            most = max(most, shared.concurrency.in_flight)
            await asyncio.sleep(0.1)
            permit.done(OK)

        await asyncio.gather(*(watched() for _ in range(100)))
        assert most == 6
        assert shared.concurrency.in_flight == 0

    run(main)


@pytest.mark.parametrize(("unit", "images"), [("image", 5), ("request", 5)])
def test_the_rate_holds_in_its_own_unit(unit, images):
    async def main():
        shared = gate(concurrency=64, rate=20, rate_unit=unit, max_batch=5)
        starts = []

        async def one():
            permit = await shared.enter(images)
            starts.append(now())
            permit.done(OK * images)

        await asyncio.gather(*(one() for _ in range(120)))
        weight = images if unit == "image" else 1
        for start in starts:
            assert sum(weight for s in starts if start <= s < start + 0.999) <= 20
        assert starts == sorted(starts)
        units = 120 * weight
        assert units / 20 - 1.5 <= starts[-1] - START <= 1.35 * units / 20  # 15 of 19 in fives

    run(main)


def test_retry_after_holds_up_everybody_those_with_a_place_too():
    async def main():
        shared = gate(concurrency=8, rate=2)
        first = asyncio.create_task(call(shared, [Retry("t", after=30.0, throttled=True)]))
        others = [asyncio.create_task(call(shared, OK)) for _ in range(5)]
        await first
        started = sorted(await asyncio.gather(*others))
        assert all(start >= START + 30.1 for start in started)  # they had places by then

    run(main)


def test_a_provider_that_wants_to_be_left_alone_for_long_is_and_nobody_waits():
    async def main():
        shared = gate()
        await call(shared, [Retry("t", after=1e9, throttled=True)])
        with pytest.raises(ProviderDown, match="left alone for 3600 s"):
            await shared.enter(1)
        await asyncio.sleep(3400)
        await call(shared, OK)  # waits for the rest, but not for as long as it said
        assert now() < START + 3601

    run(main)


def test_the_breaker_opens_lets_one_trial_through_a_pause_and_closes():
    async def main():
        shared, up = gate(concurrency=8), False

        async def one():
            permit = await shared.enter(1)
            starts.append(now())
            await asyncio.sleep(0.01)
            permit.done(OK if up else FAIL)

        starts: list[float] = []
        await asyncio.gather(*(one() for _ in range(10)))
        starts.clear()
        waiting = [asyncio.create_task(one()) for _ in range(20)]
        await asyncio.sleep(20)
        assert len(starts) == 3  # after pauses of 2, 4 and 8 s
        gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
        assert gaps == pytest.approx([4.01, 8.01])
        up = True
        await asyncio.gather(*waiting)
        assert len(starts) == 20
        assert now() < START + 31

    run(main)


def test_a_provider_that_stays_down_is_given_up():
    async def main():
        shared = gate(concurrency=8)
        calls = [asyncio.create_task(call(shared, FAIL)) for _ in range(200)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        down = [r for r in results if isinstance(r, ProviderDown)]
        assert len(down) > 150
        assert "failed" in str(down[0])
        assert 120 < now() - START < 250
        assert shared.concurrency.in_flight == 0
        # Later the first call is the trial, and others wait for what comes of it.
        await asyncio.sleep(3600)
        both = [asyncio.create_task(call(shared, OK, 5.0)) for _ in range(2)]
        await asyncio.gather(*both)

    run(main)


def test_a_cancelled_call_does_not_let_a_second_trial_through():
    async def main():
        shared = gate(concurrency=32)
        old = await shared.enter(1)
        for _ in range(10):
            await call(shared, FAIL, 0.0)
        await asyncio.sleep(2)
        trial = await shared.enter(1)
        old.done(None)
        other = asyncio.create_task(shared.enter(1))
        await asyncio.sleep(1)
        assert not other.done()
        trial.unused()  # then the next one is the trial
        (await other).done(OK)

    run(main)


class Window:
    """A provider's own limit: so many calls in any second."""

    name, options, account = "window", {}, "one"

    def __init__(self, limit: int, latency: float, most: int = 32, after: float | None = None):
        self.limit, self.latency, self.after = limit, latency, after
        self.traits = Traits(concurrency=most)
        self.recent: deque[float] = deque()
        self.answered = self.throttled = 0
        self.chance = random.Random(5)

    async def classify(self, images):
        while self.recent and self.recent[0] <= now() - 1.0:
            self.recent.popleft()
        if len(self.recent) >= self.limit:
            self.throttled += 1
            await asyncio.sleep(0.01)
            return [Retry("slow down", after=self.after, throttled=True)]
        self.recent.append(now())
        await asyncio.sleep(self.latency * self.chance.uniform(0.7, 1.3))
        self.answered += 1
        return [label("a")]


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize(("limit", "latency"), [(20, 0.2), (20, 0.03), (100, 0.1)])
def test_a_limit_that_nobody_told_us_is_learnt(limit, latency, runs):
    async def main():
        provider, gates = Window(limit, latency), AccountGates()

        async def ask_on(asker):
            while True:
                assert isinstance(await asker.ask([b"x"]), list)

        askers = [Asker(provider, gate=gates.of(provider)) for _ in range(runs)]
        tasks = [asyncio.create_task(ask_on(a)) for a in askers for _ in range(32)]
        await asyncio.sleep(60)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(r, asyncio.CancelledError) for r in results)
        assert provider.answered / 60 > 0.7 * limit  # the search at the start included
        assert provider.throttled < 0.12 * provider.answered
        assert askers[0]._gate.account.concurrency.in_flight == 0

    run(main)


@settings(deadline=None, max_examples=60)
@given(
    calls=st.lists(
        st.tuples(
            st.floats(0, 4),  # comes at
            st.floats(0, 1),  # lasts
            st.sampled_from(["ok", "fail", "throttle", "after", "none", "unused"]),
            st.one_of(st.none(), st.floats(0, 6)),  # cancelled at
        ),
        max_size=40,
    ),
    most=st.integers(1, 8),
    rate=st.one_of(st.none(), st.integers(1, 40)),
)
def test_whatever_happens_nothing_is_lost(calls, most, rate):
    async def main():
        shared = gate(concurrency=most, rate=rate)

        async def one(arrival, seconds, end):
            await asyncio.sleep(arrival)
            permit = await shared.enter(1, run=end)
            assert 1 <= shared.concurrency.in_flight <= most
            outcomes = None
            try:
                await asyncio.sleep(0 if end == "unused" else seconds)
                outcomes = {
                    "ok": OK,
                    "fail": FAIL,
                    "throttle": THROTTLE,
                    "after": [Retry("t", after=3.0, throttled=True)],
                }.get(end)
            finally:
                permit.unused() if end == "unused" else permit.done(outcomes)

        tasks = []
        loop = asyncio.get_running_loop()
        for arrival, seconds, end, cancelled in calls:
            task = asyncio.create_task(one(arrival, seconds, end))
            tasks.append(task)
            if cancelled is not None:
                loop.call_later(cancelled, task.cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        allowed = (type(None), ProviderDown, asyncio.CancelledError)
        assert all(isinstance(r, allowed) for r in results), results
        assert shared.concurrency.in_flight == 0
        assert shared._line._free == 1
        assert shared._news is None
        await asyncio.sleep(4000)
        await call(shared, OK)  # it is still open

    run(main)


def test_a_run_with_many_calls_does_not_hold_up_another():
    async def main():
        world = Window(1000, 0.1)
        world.traits = Traits(rate=2)
        gates = AccountGates()
        many, few = gates.of(world), gates.of(world)
        order = []

        async def one(way, who):
            permit = await way.enter(1)
            order.append(who)
            permit.done(OK)

        tasks = [asyncio.create_task(one(many, "many")) for _ in range(20)]
        await asyncio.sleep(0.01)
        tasks.append(asyncio.create_task(one(few, "few")))
        await asyncio.gather(*tasks)
        assert order.index("few") <= 4

    run(main)


def test_one_account_has_one_gate_whatever_its_profiles():
    class Provider(Window):
        pass

    gates, first, second = AccountGates(), Window(1, 1.0), Window(1, 1.0)
    assert gates.of(first).account is gates.of(second).account
    second.account = "two"
    assert gates.of(first).account is not gates.of(second).account
    # Azure's two adapters share a resource, and so its limit.
    assert gates.of(first).account is gates.of(Provider(1, 1.0)).account
    assert gates.of(first) is not gates.of(first)  # a way of its own for each run


class Counting:
    """Counts its calls in flight."""

    options, account = {}, "one"

    def __init__(self, name: str, most: int):
        self.name, self.traits = name, Traits(concurrency=most)
        self.in_flight = self.most = 0

    async def classify(self, images):
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await asyncio.sleep(0.1)
        finally:
            self.in_flight -= 1
        return [label("a")] * len(images)


def test_a_profile_keeps_to_its_own_concurrency_beside_another_of_its_account():
    async def main():
        gates, narrow, wide = AccountGates(), Counting("narrow", 1), Counting("wide", 8)
        askers = [Asker(p, gate=gates.of(p)) for p in (narrow, wide) for _ in range(6)]
        tasks = [asyncio.create_task(asker.ask([b"x"])) for asker in askers for _ in range(4)]
        await asyncio.sleep(0.15)
        for task in tasks[::3]:
            task.cancel()  # one that has its permit, and some that wait for it
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(r, list) for r in results) >= 32
        assert narrow.most == 1 < wide.most <= 8
        await asyncio.gather(*(asker.ask([b"x"]) for asker in askers))  # nothing was lost

    run(main)


@pytest.mark.parametrize("order", [(20, 2), (2, 20), (None, 2), (2, None)])
def test_the_lower_rate_of_two_profiles_holds(order):
    async def main():
        gates, starts = AccountGates(), []
        ways = []
        for rate in order:
            provider = Window(1000, 0.1)
            provider.traits = Traits(rate=rate)
            ways.append(gates.of(provider))

        async def one(way):
            permit = await way.enter(1)
            starts.append(now())
            permit.done(OK)

        await asyncio.gather(*(one(ways[i % 2]) for i in range(20)))
        assert starts[-1] - START > 8.0

    run(main)


def test_one_gate_serves_one_loop_after_another():
    shared = gate(concurrency=2)

    async def crowd():
        async def one():
            permit = await shared.enter(1)
            await asyncio.sleep(0.001)
            permit.done(OK)

        await asyncio.gather(*(one() for _ in range(10)))

    for _ in range(3):
        asyncio.run(crowd())
    assert shared.concurrency.in_flight == 0


def test_answers_and_refusals_both_tell_that_the_provider_is_there():
    async def main():
        shared = gate()
        for _ in range(9):
            await call(shared, FAIL, 0.0)
        await call(shared, [Answer(()), Retry("one of two")], 0.0)
        assert shared.breaker.failures == 0

    run(main)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_limits_in_pictures_and_in_calls_both_hold(order):
    """Two profiles of one account, which know one limit each."""
    profiles = [
        Traits(concurrency=64, rate=50, rate_unit="image", max_batch=1),
        Traits(concurrency=64, rate=2, rate_unit="request"),
    ]

    async def main():
        shared = AccountGate("world", profiles[order[0]])
        shared.heed(profiles[order[1]])
        starts = sorted(await asyncio.gather(*(call(shared, OK) for _ in range(9))))
        assert all(starts[i + 2] - starts[i] >= 1 for i in range(len(starts) - 2))

    run(main)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_profile_that_knows_no_rate_counts_its_large_calls_in_full(order):
    profiles = [
        Traits(concurrency=64, rate=10, rate_unit="image", max_batch=1),
        Traits(concurrency=64, max_batch=32),
    ]

    async def main():
        shared = AccountGate("world", profiles[order[0]])
        shared.heed(profiles[order[1]])
        starts = []
        for _ in range(3):
            permit = await shared.enter(32)
            starts.append(now())
            permit.done(OK)
        assert starts[1] - starts[0] >= 3.2
        assert starts[2] - starts[1] >= 3.2

    run(main)


def test_a_profile_that_comes_while_a_call_waits_for_its_place_does_no_harm():
    class Slow(LocalLimit):
        async def reserve(self, units):
            await asyncio.sleep(1)  # a store's answer takes its time
            return await super().reserve(units)

    async def main():
        limit_of = lambda traits: Slow(traits.rate, 1)  # noqa: E731
        shared = AccountGate("world", Traits(rate=50, rate_unit="image"), limit_of)
        waiting = asyncio.create_task(shared.enter(1))
        await asyncio.sleep(0.5)
        shared.heed(Traits(rate=2, rate_unit="request"))
        (await waiting).done(OK)
        (await shared.enter(1)).done(OK)

    run(main)


def test_throttles_are_no_failures_of_the_provider():
    async def main():
        shared = gate()
        for _ in range(20):
            await call(shared, THROTTLE, 0.0)
        assert shared.breaker.failures == 0

    run(main)


def test_a_trial_that_says_nothing_leaves_the_next_one_its_turn():
    async def main():
        shared = gate()
        for _ in range(10):
            await call(shared, FAIL, 0.0)
        await asyncio.sleep(2)
        (await shared.enter(1)).done(None)  # the trial: cancelled, say
        await asyncio.wait_for(call(shared, OK), 10)

    run(main)


def test_a_long_wait_that_is_no_throttle_holds_nobody_else_back():
    async def main():
        shared = gate()
        await call(shared, [Retry("down", after=1e6)], 0.0)
        assert await call(shared, OK) < START + 1

    run(main)
