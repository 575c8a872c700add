"""The pipeline: draws and denoises one chunk in a thread while another is being asked.

Indices go in, votes come out in index order. Latency may depend on the label, so only a
contiguous prefix is ever handed on, and a failure comes out where its index is reached, not when
it happens: what a run ends with does not depend on the order of arrival. Nothing is asked at or
behind the horizon that the caller names anew each time, nor far ahead of a sample that is stuck.
"""

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from certification.leaving import set_gone

S = TypeVar("S")
V = TypeVar("V")

# Threads that wait for their turn at the denoiser, not asyncio's own: those are few, and with them
# would wait all else that runs there, such as encoding and the looks at what is ready.
_DRAWERS = ThreadPoolExecutor(256, "draw")


@dataclass(frozen=True)
class Failed:
    """Stands where a vote would be: the run cannot go on from this index."""

    error: Exception


Draw = Callable[[int, int], Sequence[S]]
"""(first index, count) -> samples; called in a thread."""

Ask = Callable[[Sequence[S]], Coroutine[Any, Any, Sequence[V | Failed]]]
"""Samples -> votes, in the same order."""


class Pipeline(Generic[S, V]):
    """Turns indices into votes. For one run, on one event loop.

    Args:
        draw: makes samples, in a thread.
        ask: asks about samples.
        start: first index that has no vote yet.
        chunk: most samples drawn and denoised at once.
        batch: samples to which the denoiser fills up: what it takes for one it takes for as many.
            `chunk` if it is not given.
        max_batch: samples in one call.
        concurrency: calls in flight.
    """

    def __init__(
        self,
        draw: Draw[S],
        ask: Ask[S, V],
        *,
        start: int,
        chunk: int,
        max_batch: int,
        concurrency: int,
        batch: int | None = None,
    ) -> None:
        self._draw, self._ask = draw, ask
        self._filled_to = batch or chunk
        self._chunk, self._max_batch, self._concurrency = chunk, max_batch, concurrency
        self._next_draw = start  # first index not yet drawn
        self._next_vote = start  # first index not yet handed on
        self._ready: deque[tuple[int, S]] = deque()
        self._drawing: asyncio.Task[Sequence[S]] | None = None
        self._asking: dict[asyncio.Task[Sequence[V | Failed]], int] = {}  # -> its first index
        self._arrived: dict[int, V | Failed] = {}
        self._failed_at: int | None = None  # the lowest index that failed
        self._gone = threading.Event()

    @property
    def next_ask(self) -> int:
        """The first index that has not been asked about."""
        return self._ready[0][0] if self._ready else self._next_draw

    async def next(self, horizon: int, interrupt: asyncio.Future[None]) -> list[V]:
        """Wait for the next votes.

        Args:
            horizon: index at and behind which nothing may be asked; beyond the next vote.
            interrupt: ends the wait when it is done.

        Returns:
            The votes that follow those already returned, in index order; empty only if
            interrupted.

        Raises:
            Exception: what `draw` or `ask` raised, or a `Failed` held, at the next index.
        """
        while not interrupt.done():
            votes = self._prefix()
            if votes:
                return votes
            blocked = self._arrived.get(self._next_vote)
            if isinstance(blocked, Failed):
                raise blocked.error
            self._start_work(horizon)
            tasks: set[asyncio.Future[object]] = {*self._asking, interrupt}  # type: ignore[arg-type]
            if self._drawing is not None:
                tasks.add(self._drawing)  # type: ignore[arg-type]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._collect()
        return []

    async def settle(
        self, interrupt: asyncio.Future[None], seconds: float, grace: float | Callable[[], float]
    ) -> None:
        """Let the calls in flight end, since they are paid for; start no new one.

        Args:
            interrupt: cuts the wait short.
            seconds: the longest wait.
            grace: the longest wait from the interrupt on, or what tells it then.
        """
        self._ready.clear()
        if not self._asking:
            return
        ended = asyncio.ensure_future(asyncio.wait(self._asking))
        try:
            either: set[asyncio.Future[Any]] = {ended, interrupt}
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if interrupt.done():
                await asyncio.wait({ended}, timeout=grace() if callable(grace) else grace)
        finally:
            ended.cancel()

    async def close(self) -> list[V]:
        """Cancel what still runs and wait until it has ended; a drawing thread ends with its batch.

        Returns:
            The votes that follow those already returned.
        """
        self._gone.set()
        self._collect()
        tasks = [*self._asking, *([self._drawing] if self._drawing else [])]
        self._asking.clear()
        self._drawing = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return self._prefix()

    def _start_work(self, horizon: int) -> None:
        # A sample that is asked again and again must not let the others run away from it: what
        # lies behind it is lost if it is given up in the end.
        limit = min(horizon, self._next_vote + 2 * self._concurrency * self._max_batch)
        if self._failed_at is not None:
            limit = min(limit, self._failed_at)
        room = len(self._ready) < self._chunk + self._max_batch * self._concurrency
        if self._drawing is None and self._next_draw < limit and room:
            # Whole batches are drawn even if the horizon needs fewer: that costs no money, and the
            # denoiser fills them up anyway.
            needed = -(-(horizon - self._next_draw) // self._filled_to) * self._filled_to
            count = min(self._chunk, needed)
            self._drawing = asyncio.create_task(self._drawn(self._next_draw, count))
        while len(self._asking) < self._concurrency:
            batch = self._batch(limit)
            if not batch:
                break
            first = batch[0][0]
            self._asking[asyncio.create_task(self._ask([p for _, p in batch]))] = first

    async def _drawn(self, start: int, count: int) -> Sequence[S]:
        here = contextvars.copy_context()  # of the trace that this belongs to
        here.run(set_gone, self._gone)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_DRAWERS, here.run, self._draw, start, count)

    def _batch(self, limit: int) -> list[tuple[int, S]]:
        """Take the next call's samples; a part of a batch only if nothing else is under way."""
        size = 0
        while size < min(self._max_batch, len(self._ready)) and self._ready[size][0] < limit:
            size += 1
        more_to_come = self._drawing is not None and self._next_draw < limit
        if size < self._max_batch and (self._asking or more_to_come):
            return []
        return [self._ready.popleft() for _ in range(size)]

    def _collect(self) -> None:
        if self._drawing is not None and self._drawing.done():
            drawn, self._drawing = self._drawing, None
            error = drawn.exception()
            if error is None:
                self._ready.extend(enumerate(drawn.result(), self._next_draw))
                self._next_draw += len(drawn.result())
            else:
                self._fail(self._next_draw, error)
        for task in [t for t in self._asking if t.done()]:
            first = self._asking.pop(task)
            error = task.exception()
            if error is not None:
                self._fail(first, error)
                continue
            for index, vote in enumerate(task.result(), first):
                if isinstance(vote, Failed):
                    self._fail(index, vote.error)
                    break
                self._arrived[index] = vote

    def _fail(self, index: int, error: BaseException) -> None:
        if not isinstance(error, Exception):
            raise error  # the interpreter is being ended
        self._arrived[index] = Failed(error)
        self._failed_at = index if self._failed_at is None else min(index, self._failed_at)

    def _prefix(self) -> list[V]:
        votes: list[V] = []
        while True:
            vote = self._arrived.get(self._next_vote)
            if self._next_vote not in self._arrived or isinstance(vote, Failed):
                return votes
            votes.append(self._arrived.pop(self._next_vote))  # type: ignore[arg-type]
            self._next_vote += 1
