"""The pipeline: any chunking, concurrency and order of arrival, one order of votes and failures."""

import asyncio
import contextvars
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certification.leaving import gone
from certification.pipeline import Failed, Pipeline


class Source:
    """Draws sample i as the bytes of i, and votes "v<i>" after a random number of loop turns."""

    def __init__(self, seed=0):
        self.random = random.Random(seed)
        self.drawn: list[tuple[int, int]] = []
        self.asked: list[int] = []
        self.horizon = 0
        self.in_flight = self.most_in_flight = 0

    def draw(self, start, count):
        self.drawn.append((start, count))
        return [str(i).encode() for i in range(start, start + count)]

    async def ask(self, samples):
        indices = [int(s) for s in samples]
        assert all(i < self.horizon for i in indices)
        self.asked += indices
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        for _ in range(self.random.randrange(20)):
            await asyncio.sleep(0)
        self.in_flight -= 1
        return [f"v{i}" for i in indices]


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 1000),
    start=st.integers(0, 50),
    chunk=st.integers(1, 20),
    max_batch=st.integers(1, 9),
    concurrency=st.integers(1, 5),
    steps=st.lists(st.integers(1, 30), min_size=1, max_size=12),
)
def test_votes_come_in_index_order_and_never_beyond_the_horizon(
    seed, start, chunk, max_batch, concurrency, steps
):
    source = Source(seed)

    async def go():
        pipeline = Pipeline(
            source.draw,
            source.ask,
            start=start,
            chunk=chunk,
            max_batch=max_batch,
            concurrency=concurrency,
        )
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        got = start
        for step in steps:
            source.horizon = max(source.horizon, got + step)
            votes = await pipeline.next(got + step, never)
            assert votes == [f"v{i}" for i in range(got, got + len(votes))]
            assert votes
            got += len(votes)
            assert got <= source.horizon
        await pipeline.settle(never, 5.0, 5.0)
        late = await pipeline.close()
        assert late == [f"v{i}" for i in range(got, got + len(late))]

    asyncio.run(go())
    assert sorted(source.asked) == list(range(start, start + len(source.asked)))
    assert source.most_in_flight <= concurrency
    ends = [s + c for s, c in source.drawn]
    assert [s for s, _ in source.drawn] == [start, *ends][: len(source.drawn)]


async def test_drawing_goes_on_while_a_call_is_in_flight():
    source, release = Source(), asyncio.Event()
    source.horizon = 100

    async def ask(samples):
        await release.wait()
        return [None] * len(samples)

    pipeline = Pipeline(source.draw, ask, start=0, chunk=4, max_batch=4, concurrency=1)
    waiting = asyncio.create_task(pipeline.next(100, asyncio.get_running_loop().create_future()))
    for _ in range(100):
        await asyncio.sleep(0.005)
        if len(source.drawn) >= 2:
            break
    assert len(source.drawn) >= 2
    release.set()
    assert await waiting == [None] * 4
    await pipeline.close()


@pytest.mark.parametrize(
    ("horizon", "drawn"),
    [
        (3, [(0, 4)]),  # a batch, which is filled up anyway
        (9, [(0, 12)]),
        (12, [(0, 12)]),
        (21, [(0, 16), (16, 8)]),
        (32, [(0, 16), (16, 16)]),
    ],
)
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_no_more_batches_are_drawn_than_the_horizon_needs(horizon, drawn, concurrency):
    source = Source()
    source.horizon = horizon
    pipeline = Pipeline(
        source.draw, source.ask, start=0, chunk=16, batch=4, max_batch=1, concurrency=concurrency
    )
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    got = []
    while len(got) < horizon:
        got += await pipeline.next(horizon, never)
    assert got == [f"v{i}" for i in range(horizon)]
    assert source.drawn == drawn
    source.horizon += 1  # what was drawn too much is not drawn again
    assert await pipeline.next(horizon + 1, never) == [f"v{horizon}"]
    assert source.drawn == (drawn if sum(drawn[-1]) > horizon else [*drawn, (horizon, 4)])
    await pipeline.close()


async def test_an_interrupt_ends_the_wait():
    async def ask(samples):
        await asyncio.sleep(60)
        return []

    pipeline = Pipeline(Source().draw, ask, start=0, chunk=4, max_batch=4, concurrency=2)
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.02, stop.set_result, None)
    assert await asyncio.wait_for(pipeline.next(8, stop), 2.0) == []
    await pipeline.settle(stop, 0.01, 0.01)
    assert await pipeline.close() == []


async def test_what_draw_or_ask_raises_comes_out_and_the_rest_is_kept():
    async def ask(samples):
        if int(samples[0]) == 2:
            await asyncio.sleep(0.01)
            raise RuntimeError("broken")
        return [f"v{int(s)}" for s in samples]

    pipeline = Pipeline(Source().draw, ask, start=0, chunk=4, max_batch=1, concurrency=4)
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    got = []
    with pytest.raises(RuntimeError, match="broken"):
        while True:
            got += await pipeline.next(4, never)
    assert got == ["v0", "v1"]
    await pipeline.settle(never, 1.0, 1.0)
    assert await pipeline.close() == []

    def draw(start, count):
        raise ValueError("no noise today")

    pipeline = Pipeline(draw, ask, start=0, chunk=4, max_batch=1, concurrency=4)
    with pytest.raises(ValueError, match="no noise"):
        await pipeline.next(4, never)
    await pipeline.close()


@pytest.mark.parametrize("early", [True, False])
async def test_a_failure_comes_out_at_its_index_and_not_when_it_happens(early):
    async def ask(samples):
        (index,) = map(int, samples)
        await asyncio.sleep(0.03 if (index == 3) != early else 0.0)
        return [Failed(RuntimeError("changed")) if index == 3 else f"v{index}"]

    pipeline = Pipeline(Source().draw, ask, start=0, chunk=8, max_batch=1, concurrency=5)
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    got = []
    with pytest.raises(RuntimeError, match="changed"):
        while True:
            got += await pipeline.next(6, never)
    assert got == ["v0", "v1", "v2"]
    await pipeline.close()


async def test_nothing_runs_far_ahead_of_a_sample_that_is_stuck():
    source, stuck = Source(), asyncio.Event()
    source.horizon = 1000

    async def ask(samples):
        if samples[0] == b"5":
            await stuck.wait()
        return await source.ask(samples)

    pipeline = Pipeline(source.draw, ask, start=0, chunk=16, max_batch=1, concurrency=4)
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    got = []
    while len(got) < 5:
        got += await pipeline.next(1000, never)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pipeline.next(1000, never), 0.1)
    assert max(source.asked) < 5 + 2 * 4
    stuck.set()
    while len(got) < 40:
        got += await pipeline.next(1000, never)
    assert got == [f"v{i}" for i in range(len(got))]
    await pipeline.close()


async def test_settling_ends_soon_after_an_interrupt():
    async def ask(samples):
        await asyncio.sleep(60)
        return []

    pipeline = Pipeline(Source().draw, ask, start=0, chunk=4, max_batch=4, concurrency=1)
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pipeline.next(8, stop), 0.05)
    loop.call_later(0.05, stop.set_result, None)
    began = loop.time()
    await pipeline.settle(stop, 30.0, 0.05)
    assert loop.time() - began < 5
    assert await pipeline.close() == []


async def test_drawing_takes_none_of_the_threads_that_others_need():
    """Runs that wait for their turn at the denoiser would hold up encoding, and readiness."""
    loop, go_on, trace = asyncio.get_running_loop(), threading.Event(), contextvars.ContextVar("t")
    loop.set_default_executor(ThreadPoolExecutor(1))
    trace.set("mine")
    seen, source, all_wait = [], Source(), asyncio.Event()

    def draw(start, count):
        seen.append(trace.get())
        if len(seen) == 3:
            loop.call_soon_threadsafe(all_wait.set)
        assert go_on.wait(30)
        return source.draw(start, count)

    def pipeline():
        return Pipeline(draw, source.ask, start=0, chunk=4, max_batch=1, concurrency=1)

    source.horizon, never = 4, loop.create_future()
    waiting = [asyncio.create_task(pipeline().next(4, never)) for _ in range(3)]
    async with asyncio.timeout(10):
        await all_wait.wait()
        assert await asyncio.to_thread(lambda: 7) == 7
    go_on.set()
    assert [votes[0] for votes in await asyncio.gather(*waiting)] == ["v0"] * 3
    assert seen == ["mine"] * 3


def test_a_thread_that_still_draws_is_told_when_the_run_has_gone():
    begun, seen = threading.Event(), []

    def draw(start, count):
        begun.set()
        seen.append(gone().wait(10))
        return []

    async def go():
        pipeline = Pipeline(draw, None, start=0, chunk=1, max_batch=1, concurrency=1)
        waiting = asyncio.ensure_future(
            pipeline.next(1, asyncio.get_running_loop().create_future())
        )
        assert await asyncio.to_thread(begun.wait, 10)
        assert gone() is None  # of the drawing alone
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await pipeline.close()
        while not seen:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    asyncio.run(go())
    assert seen == [True]
