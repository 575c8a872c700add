"""Counts and money in a real store: nothing twice, and no budget ever passed."""

import asyncio
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certification.canonical import canonicalise
from service.store.connection import Store
from service.store.usage import Call, RedisUsage
from service.usage import periods
from service.usage.counts import Counts
from tests.service.pictures import png

OWNERS = ("a" * 16, "b" * 16, None)


@pytest.fixture
async def usage(redis_url, place):
    return (await place()).usage


async def totals(usage, owners=None):
    found = {}
    async for entry in usage.entries(date(2000, 1, 1), date(2100, 1, 1), owners):
        at = (entry.owner, entry.provider)
        found[at] = found.get(at, Counts()) + entry.counts
    return found


async def test_a_call_is_counted_before_it_is_made_and_settled_once(usage):
    call = Call.of("a" * 16, "aws", 3, 3000)
    assert await usage.reserve(call)
    assert await usage.reserve(call)  # the answer to the first one was lost
    at = ("a" * 16, "aws")
    assert await totals(usage) == {at: Counts(calls=1, images=3, spent=3000, reserved=3000)}
    for _ in range(2):
        await usage.settle(call, 1000, retries=2, throttled=1)
    settled = Counts(calls=1, images=3, spent=1000, retries=2, throttled=1)
    assert await totals(usage) == {at: settled}
    await usage.take_back(call)  # too late
    assert await totals(usage) == {at: settled}
    assert await usage.spent("a" * 16, "day") == 1000


async def test_a_call_that_was_not_made_is_none(usage):
    call = Call.of(None, "aws", 3, 3000)
    await usage.reserve(call)
    await usage.take_back(call)
    assert await totals(usage) == {(None, "aws"): Counts()}
    assert await usage.spent(None, "total") == 0


@pytest.mark.parametrize("period", ["day", "month", "total"])
async def test_a_budget_is_of_its_period(usage, period):
    today = periods.today()
    others = {
        "day": today - timedelta(days=1),
        "month": today.replace(day=1) - timedelta(days=1),
    }
    if period in others:
        before = Call("0" * 16, OWNERS[0], "aws", others[period], 1, 100)
        assert await usage.reserve(before, 100, period)
    assert await usage.reserve(Call.of(OWNERS[0], "aws", 1, 60), 100, period)
    assert not await usage.reserve(Call.of(OWNERS[0], "google", 1, 60), 100, period)
    assert await usage.reserve(Call.of(OWNERS[1], "aws", 1, 60), 100, period)
    assert await usage.reserve(Call.of(OWNERS[0], "google", 1, 40), 100, period)
    assert await usage.spent(OWNERS[0], period) == 100


async def test_many_at_once_never_pass_a_budget(usage, place):
    other = (await place()).usage  # another process
    calls = [Call.of(OWNERS[0], "aws", 1, 7) for _ in range(60)]
    tried = [(usage, other)[n % 2].reserve(call, 100, "day") for n, call in enumerate(calls)]
    paid = await asyncio.gather(*tried)
    assert sum(paid) == 100 // 7
    assert await usage.spent(OWNERS[0], "day") == 7 * (100 // 7)


steps = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "again", "back", "count"]),
        st.sampled_from(OWNERS),
        st.sampled_from(["aws", "my/own model"]),
        st.integers(0, 5),
        st.integers(1, 40),
    ),
    max_size=25,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps)
def test_usage_and_budget_are_the_sums_of_what_was_done(redis_url, steps):
    asyncio.run(compared(redis_url, steps))


async def compared(redis_url, steps):
    """Do the same to the store and to a plain model; compare after each step."""
    store = Store(redis_url, f"usage-{id(steps)}:")
    await store.open()
    usage, cap = RedisUsage(store), 100
    expected, open_calls = {}, []
    try:
        for what, owner, provider, size, amount in steps:
            if what == "reserve":
                call = Call.of(owner, provider, size, amount)
                used = sum(c.spent for (o, _), c in expected.items() if o == owner)
                paid = await usage.reserve(call, cap, "month")
                assert paid == (used + amount <= cap)
                if paid:
                    open_calls.append(call)
                    add(expected, call, call.counts)
            elif what == "count":
                counts = Counts(votes=size, certificates=1, alpha=amount)
                await usage.count(owner, provider, counts)
                add(expected, Call.of(owner, provider, 0, 0), counts)
            elif open_calls:
                call = open_calls.pop(size % len(open_calls))
                if what == "back":
                    await usage.take_back(call)
                    add(expected, call, -call.counts)
                else:
                    billed = min(call.amount, amount)
                    for _ in range(1 + (what == "again")):
                        await usage.settle(call, billed, size, size % 2)
                    add(expected, call, call.ended(billed, size, size % 2))
            assert {k: v for k, v in (await totals(usage)).items() if v} == {
                k: v for k, v in expected.items() if v
            }
            for one in OWNERS:
                spent = sum(c.spent for (o, _), c in expected.items() if o == one)
                assert await usage.spent(one, "month") == spent <= cap
            reserved = sum(call.amount for call in open_calls)
            assert sum(c.reserved for c in expected.values()) == reserved
    finally:
        await store.brisk(forgotten(store.prefix))
        await store.close()


def add(expected, call, counts):
    at = (call.owner, call.provider)
    expected[at] = expected.get(at, Counts()) + counts


def forgotten(prefix):
    async def forget(redis):
        async for key in redis.scan_iter(match=f"{prefix}*", count=1000):
            await redis.delete(key)

    return forget


async def test_a_run_that_two_processes_end_is_counted_once(place):
    first, second = await place(), await place()
    picture = canonicalise(png(8, 8))
    await first.runs.begin("r" * 24, "certificate", {}, picture, "d" * 64, OWNERS[0])
    for state in (first, second, first):
        booking = state.usage.booking(OWNERS[0], "aws", Counts(certificates=1, alpha=5))
        await state.runs.end("r" * 24, {"certificate": state.process.id}, booking)
    assert await totals(first.usage) == {(OWNERS[0], "aws"): Counts(certificates=1, alpha=5)}
    told = await first.runs.outcome("r" * 24)
    assert told["outcome"] == {"certificate": first.process.id}
    assert await second.runs.interrupted() == []
    assert await second.runs.take_up("r" * 24) is None


async def test_entries_of_some_days_and_keys(usage):
    today = periods.today()
    for back in (0, 1, 40):
        day = today - timedelta(days=back)
        for owner in OWNERS:
            await usage.reserve(Call(f"{back}{owner}", owner, "aws", day, 1, 5))

    async def found(first, last, owners=None):
        entries = [(e.day, e.owner) async for e in usage.entries(first, last, owners)]
        assert len(entries) == len({*entries})
        return {*entries}

    assert len(await found(today - timedelta(days=40), today)) == 9
    assert await found(today - timedelta(days=1), today, [None]) == {
        (today, None),
        (today - timedelta(days=1), None),
    }
    assert await found(today, today, [OWNERS[1]]) == {(today, OWNERS[1])}
    assert await usage.drop(today - timedelta(days=1)) == 3
    assert len(await found(date(2000, 1, 1), today)) == 6
    assert await usage.spent(OWNERS[0], "total") == 15  # a budget in all is for good


async def test_a_rate_lets_a_burst_through_and_then_one_after_the_other(usage, place):
    other = (await place()).usage
    waits = [await (usage, other)[n % 2].admit("k", 0.01, 3) for n in range(5)]
    assert waits[:3] == [0, 0, 0]
    assert all(0 < wait <= 100 for wait in waits[3:])
    assert await usage.admit("another", 0.01, 3) == 0
    began = asyncio.get_running_loop().time()
    let = 0
    while let < 30:
        seconds = await usage.admit("fast", 200, 5)
        let += not seconds
        await asyncio.sleep(seconds)
    assert asyncio.get_running_loop().time() - began >= 25 / 200 - 0.001
