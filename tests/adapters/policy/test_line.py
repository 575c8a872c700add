"""The line: one at a time, runs in turn, calls of a run in order, nothing lost."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.policy.line import Line


async def test_runs_take_turns_and_calls_keep_their_order():
    line, served = Line(), []

    async def go(run, number):
        await line.acquire(run)
        served.append((run, number))
        line.release()

    await line.acquire("first")
    tasks = [asyncio.create_task(go("many", i)) for i in range(4)]
    tasks += [asyncio.create_task(go("few", i)) for i in range(2)]
    await asyncio.sleep(0)
    line.release()
    await asyncio.gather(*tasks)
    assert served == [("many", 0), ("few", 0), ("many", 1), ("few", 1), ("many", 2), ("many", 3)]


async def test_a_turn_that_comes_in_the_moment_of_the_cancellation_is_handed_on():
    line = Line()
    await line.acquire(1)
    cancelled = asyncio.create_task(line.acquire(1))
    next_one = asyncio.create_task(line.acquire(2))
    await asyncio.sleep(0)
    line.release()
    cancelled.cancel()
    await asyncio.wait_for(next_one, 1)
    assert cancelled.cancelled()


def test_it_is_bound_to_no_event_loop():
    line = Line()

    async def crowd():
        async def go():
            await line.acquire(1)
            await asyncio.sleep(0)
            line.release()

        await asyncio.gather(*(go() for _ in range(5)))

    for _ in range(2):
        asyncio.run(crowd())


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.booleans()), max_size=20))
def test_cancelled_at_any_moment_it_lets_the_others_through(calls):
    async def go():
        line, inside, served = Line(), 0, 0

        async def one(run):
            nonlocal inside, served
            await line.acquire(run)
            inside += 1
            assert inside == 1
            try:
                await asyncio.sleep(0)
            finally:
                inside -= 1
                line.release()
            served += 1

        async def cancel(task, steps):
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()

        tasks, cancels = [], []
        for run, steps, cancelled in calls:
            tasks.append(asyncio.create_task(one(run)))
            if cancelled:
                cancels.append(asyncio.create_task(cancel(tasks[-1], steps)))
        await asyncio.wait_for(asyncio.gather(*tasks, *cancels, return_exceptions=True), 5)
        assert served >= sum(not cancelled for *_, cancelled in calls)
        assert line._free == 1
        assert not line._waiting

    asyncio.run(go())
