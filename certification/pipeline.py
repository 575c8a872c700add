"""The pipeline: draws and denoises one chunk in a thread while another is being asked.

Indices go in, votes come out in index order. Latency may depend on the label, so only a
contiguous prefix is ever handed on. Nothing is asked at or behind the horizon that the caller
names anew each time: what is in flight never runs ahead of the votes that are still needed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from certification.protocols import Payload, Vote

Draw = Callable[[int, int], Sequence[Payload]]
"""(first index, count) -> samples ready to send; called in a thread."""

Ask = Callable[[Sequence[Payload]], Coroutine[Any, Any, Sequence[Vote]]]
"""Samples -> votes, in the same order."""


class Pipeline:
    """Turns indices into votes. For one run, on one event loop.

    Args:
        draw: makes samples, in a thread.
        ask: asks about samples.
        start: first index that has no vote yet.
        chunk: samples drawn and denoised at once.
        max_batch: samples in one call.
        concurrency: calls in flight.
    """

    def __init__(
        self,
        draw: Draw,
        ask: Ask,
        *,
        start: int,
        chunk: int,
        max_batch: int,
        concurrency: int,
    ) -> None:
        self._draw, self._ask = draw, ask
        self._chunk, self._max_batch, self._concurrency = chunk, max_batch, concurrency
        self._next_draw = start  # first index not yet drawn
        self._next_vote = start  # first index not yet handed on
        self._ready: deque[tuple[int, Payload]] = deque()
        self._drawing: asyncio.Task[Sequence[Payload]] | None = None
        self._asking: dict[asyncio.Task[Sequence[Vote]], int] = {}  # task -> its first index
        self._arrived: dict[int, Vote] = {}

    @property
    def next_ask(self) -> int:
        """The first index that has not been asked about."""
        return self._ready[0][0] if self._ready else self._next_draw

    async def next(self, horizon: int, interrupt: asyncio.Future[None]) -> list[Vote]:
        """Wait for the next votes.

        Args:
            horizon: index at and behind which nothing may be asked; beyond the next vote.
            interrupt: ends the wait when it is done.

        Returns:
            The votes that follow those already returned, in index order; empty only if
            interrupted.

        Raises:
            Exception: whatever `draw` or `ask` raised.
        """
        while not interrupt.done():
            self._start_work(horizon)
            tasks: set[asyncio.Future[object]] = {*self._asking, interrupt}  # type: ignore[arg-type]
            if self._drawing is not None:
                tasks.add(self._drawing)  # type: ignore[arg-type]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._collect()
            votes = self._prefix()
            if votes:
                return votes
        return []

    async def drain(self, seconds: float) -> list[Vote]:
        """Let the calls in flight end, since they are paid for; start no new one.

        Calls that fail or take longer than `seconds` are given up.

        Returns:
            The votes that follow those already returned.
        """
        self._ready.clear()
        if self._asking:
            await asyncio.wait(self._asking, timeout=seconds)
        for task, first in list(self._asking.items()):
            if task.done() and not task.cancelled() and task.exception() is None:
                self._arrived.update(enumerate(task.result(), first))
        await self.close()
        return self._prefix()

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended; a drawing thread runs out."""
        tasks = [*self._asking, *([self._drawing] if self._drawing else [])]
        self._asking.clear()
        self._drawing = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start_work(self, horizon: int) -> None:
        # Whole chunks are drawn even if the horizon needs fewer: that costs no money, and the
        # denoiser pads to a full batch anyway.
        room = len(self._ready) < self._chunk + self._max_batch * self._concurrency
        if self._drawing is None and self._next_draw < horizon and room:
            self._drawing = asyncio.create_task(
                asyncio.to_thread(self._draw, self._next_draw, self._chunk)
            )
        while len(self._asking) < self._concurrency:
            batch = self._batch(horizon)
            if not batch:
                break
            first = batch[0][0]
            self._asking[asyncio.create_task(self._ask([p for _, p in batch]))] = first

    def _batch(self, horizon: int) -> list[tuple[int, Payload]]:
        """Take the next call's samples; a part of a batch only if nothing else is under way."""
        size = 0
        while size < min(self._max_batch, len(self._ready)) and self._ready[size][0] < horizon:
            size += 1
        more_to_come = self._drawing is not None and self._next_draw < horizon
        if size < self._max_batch and (self._asking or more_to_come):
            return []
        return [self._ready.popleft() for _ in range(size)]

    def _collect(self) -> None:
        if self._drawing is not None and self._drawing.done():
            samples = self._drawing.result()
            self._drawing = None
            self._ready.extend(enumerate(samples, self._next_draw))
            self._next_draw += len(samples)
        for task in [t for t in self._asking if t.done()]:
            first = self._asking.pop(task)
            self._arrived.update(enumerate(task.result(), first))

    def _prefix(self) -> list[Vote]:
        votes: list[Vote] = []
        while self._next_vote in self._arrived:
            votes.append(self._arrived.pop(self._next_vote))
            self._next_vote += 1
        return votes
