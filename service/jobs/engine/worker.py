"""A worker: takes pictures of running jobs and works on them until it is ended.

dispatch   hands the next pictures of all jobs to the queue, by fair shares
queue      gives them to some worker, and to another one if that one dies
work       one picture
watch      ends runs whose jobs were paused or cancelled
sweep      finds pictures that the queue has lost
report     signs of life, rates and figures
"""

import asyncio
import contextlib
import os
import socket
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import structlog

from service.core import Surety
from service.errors import StoreError
from service.jobs.engine.queue import Queue
from service.jobs.engine.rates import Rates
from service.jobs.engine.watch import Watch
from service.jobs.engine.work import Work
from service.runs import SHORTEST_GRACE, WRITE_SECONDS
from service.store.job_pictures import Taken, milliseconds
from service.store.workers import WorkerInfo

DISPATCH_SECONDS = 0.25
REPORT_SECONDS = 1.0
END_SECONDS = 3.0  # for what is worked on to go back
LEASES = 3  # without a sign of life a worker's pictures go to another one

log = structlog.get_logger("surety.jobs")


class JobWorker:
    """See the module's text.

    Args:
        surety: an opened deployment.
        pictures: that it works on at the same time.
        computes: compute types that it takes, usually the deployment's.
        inside: whether it is a service's own.

    Attributes:
        work: what it works with.
    """

    def __init__(
        self, surety: Surety, pictures: int, computes: Sequence[str], *, inside: bool = False
    ) -> None:
        self._surety, self._state = surety, surety.state
        self._pictures, self._inside = pictures, inside
        settings = surety.settings
        self.computes = [*computes]
        self._watch = Watch(self._state.jobs)
        self.work = Work(surety, self._watch)
        self._wake = asyncio.Event()
        self._busy: Counter[Taken] = Counter()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._grace = max(SHORTEST_GRACE, settings.grace_seconds - WRITE_SECONDS)
        self._idle = LEASES * settings.lease_seconds
        self._queue = Queue(
            self._state.url,
            settings.redis_prefix,
            self.computes,
            concurrency=pictures,
            idle_seconds=self._idle,
            work=self._one,
            unread=self._back,
        )
        self._rates = Rates()

    async def run(self) -> None:
        """Work until cancelled; what is worked on then goes back to those that wait."""
        log.info("a worker begins", pictures=self._pictures, computes=self.computes)
        work = (self._report, self._watch.run, self._dispatch, self._sweep, self._queue.run)
        parts = [asyncio.create_task(part()) for part in work]
        try:
            ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            ended.pop().result()  # none ends but by an error
        finally:
            # Calls in flight are paid for: their votes are waited for, within the grace.
            self._watch.end_all(self._grace)
            await self._end(parts)
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await self.work.tell_all()
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await self._state.workers.leave(self._state.process.id)
                    await self._leave_none_out()
            log.info("a worker has ended", pictures=self.work.pictures)

    @property
    def busy(self) -> int:
        """Pictures that are worked on now."""
        return self._busy.total()

    async def _end(self, parts: Sequence[asyncio.Task[None]]) -> None:
        """End all parts in order; what does not end by itself in time is cut off."""
        for part in parts:
            part.cancel()
        ending = asyncio.gather(*parts, return_exceptions=True)
        await asyncio.wait([ending], timeout=self._grace + END_SECONDS)
        for task in self._tasks:  # the queue shields them
            task.cancel()
        await ending
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self.work.drain()

    async def _one(self, taken: Taken, tries: int) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._busy[taken] += 1
        self._tasks.add(task)
        try:
            await self.work(taken, tries)
        finally:
            self._tasks.discard(task)
            self._busy[taken] -= 1
            if not self._busy[taken]:
                del self._busy[taken]  # else one is kept for each picture that ever was here
            self._wake.set()

    async def _back(self, compute: str, taken: Taken) -> None:
        with contextlib.suppress(StoreError, TimeoutError):  # it is delivered to another worker
            async with asyncio.timeout(END_SECONDS):
                if await self._state.pictures.is_out(compute, taken):
                    await self._state.pictures.back(taken.job_id, compute, taken.number)

    async def _leave_none_out(self) -> None:
        """The last worker puts back what is in the queue, so that no picture seems worked on."""
        for compute in self.computes:
            if not await self._state.workers.covering(compute):
                for taken in await self._state.pictures.out(compute, milliseconds()):
                    await self._state.pictures.back(taken.job_id, compute, taken.number)

    async def _dispatch(self) -> None:
        while True:
            try:
                for compute in self.computes:
                    await self._hand_out(compute)
            except StoreError as error:
                log.debug("no pictures can be handed out", error=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DISPATCH_SECONDS):
                    await self._wake.wait()
            self._wake.clear()

    async def _hand_out(self, compute: str) -> None:
        if not await self._state.pictures.any_ready(compute):
            return
        workers = await self._state.workers.covering(compute)
        most = sum(w.pictures + 1 for w in workers)  # so that none waits for the next look
        taken = await self._state.pictures.take(compute, most, most)
        if taken:
            try:
                await self._queue.put(compute, taken)
            except BaseException:  # such as that the worker ends
                for one in taken:
                    await self._back(compute, one)
                raise

    async def _sweep(self) -> None:
        """Put back what was handed out and is in no queue: its worker died between the two."""
        while True:
            await asyncio.sleep(self._idle)
            try:
                for compute in self.computes:
                    before = milliseconds() - round(1000 * self._idle)
                    for taken in await self._state.pictures.out(compute, before):
                        if self._busy[taken] or await self._queue.knows(taken):
                            continue
                        log.warning("a picture was lost on its way", job=taken.job_id)
                        await self._state.pictures.back(taken.job_id, compute, taken.number)
            except StoreError as error:
                log.debug("lost pictures cannot be looked for", error=str(error))

    async def _report(self) -> None:
        host = f"{socket.gethostname()}:{os.getpid()}"
        while True:
            try:
                await self.work.tell_all()
                info = WorkerInfo(
                    self._state.process.id,
                    host,
                    self.computes,
                    self._pictures,
                    inside=self._inside,
                    busy=self.busy,
                    done=self.work.pictures,
                    rates=self._rates.after(self.work.used, time.monotonic()),
                )
                await self._state.workers.tell(info)
            except StoreError as error:
                log.debug("no sign of life could be given", error=str(error))
            await asyncio.sleep(REPORT_SECONDS)


def pictures_at_once(max_runs: int, *, inside: bool) -> int:
    """Return how many pictures a worker works on: all slots, inside a service only half."""
    return max(1, max_runs // 2) if inside else max_runs
