"""The pipeline: any chunking, concurrency and order of arrival, one order of votes."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certification.pipeline import Pipeline


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
        late = await pipeline.drain(5.0)
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


async def test_an_interrupt_ends_the_wait():
    async def ask(samples):
        await asyncio.sleep(60)
        return []

    pipeline = Pipeline(Source().draw, ask, start=0, chunk=4, max_batch=4, concurrency=2)
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.02, stop.set_result, None)
    assert await asyncio.wait_for(pipeline.next(8, stop), 2.0) == []
    assert await pipeline.drain(0.01) == []


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
    assert await pipeline.drain(1.0) == []

    def draw(start, count):
        raise ValueError("no noise today")

    pipeline = Pipeline(draw, ask, start=0, chunk=4, max_batch=1, concurrency=4)
    with pytest.raises(ValueError, match="no noise"):
        await pipeline.next(4, never)
    await pipeline.close()
