"""The service's own worker: works on jobs as long as no other worker does.

It begins with the first job that has something to do, and leaves the work to others as soon as
there are any that can do all of it.
"""

import asyncio
import contextlib
import importlib
from types import ModuleType
from typing import Self

import structlog

from service.core import Surety
from service.edges.places import Places
from service.errors import StoreError
from service.jobs.engine.helper import WORKER
from service.store.workers import WorkerInfo

LOOK_SECONDS = 2.0
LATEST = 100  # jobs among which one that runs is looked for
AFTER_FAILURE = 15.0  # seconds until a worker that has failed begins again

log = structlog.get_logger("surety.jobs")


class Inside:
    """See the module's text.

    Args:
        surety: an opened deployment.
        work: False leaves all jobs to workers of their own.

    Attributes:
        works: as given.
        ending: set once the service ends.
        followers: places for event streams of jobs.
    """

    def __init__(self, surety: Surety, *, work: bool = True) -> None:
        self._surety, self._state = surety, surety.state
        self.works = work
        self.ending = asyncio.Event()
        self.followers = Places(
            surety.settings.max_followers,
            "too many event streams of jobs are being read",
            "places for event streams of jobs",
            surety.shares,
        )
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._module: ModuleType | None = None
        self._computes: list[str] = []
        self._loaded = not surety.others()  # nothing is looked for where others bring nothing

    async def __aenter__(self) -> Self:
        """Begin to look for work."""
        if self.works:
            self._task = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(self, *failure: object) -> None:
        """End in order: what is worked on goes back to those that wait."""
        self.shut_down()
        if self._task is not None:
            await self._task

    def shut_down(self) -> None:
        """Begin to end, since the service does."""
        self.ending.set()
        self._wake.set()

    def look(self) -> None:
        """Look at once whether there is something to do: a job has begun."""
        self._wake.set()

    async def _supervise(self) -> None:
        while not self.ending.is_set():
            seconds = LOOK_SECONDS
            try:
                if await self._needed():
                    await self._work()
            except StoreError as error:
                log.debug("jobs cannot be looked for", error=str(error))
            except Exception as error:
                log.error("the service's own worker failed", exc_info=error)
                seconds = AFTER_FAILURE
            await self._pause(seconds)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _needed(self) -> bool:
        if not await self._state.jobs.any():
            return False
        if self._module is None:
            # On first use, in a thread: what a worker needs takes a second to import.
            self._module = await asyncio.to_thread(importlib.import_module, WORKER)
        if not self._loaded and not await self._workers() and await self._any_running():
            self._loaded = True
            await self._surety.load_others()  # one of the jobs may be of a stranger's denoiser
        self._computes = await self._surety.compute_types()
        for compute in self._computes:
            if await self._state.pictures.any_left(compute):
                return not await self._others()
        return False

    async def _any_running(self) -> bool:
        jobs, _ = await self._state.jobs.figures(LATEST)
        return jobs["running"] > 0

    async def _workers(self) -> list[WorkerInfo]:
        return [w for w in await self._state.workers.list() if not w.inside]

    async def _others(self) -> bool:
        """Tell whether workers of their own can do all that this one could."""
        computes = {compute for w in await self._workers() for compute in w.computes}
        return {*self._computes} <= computes

    async def _work(self) -> None:
        """Work until there are others, a further compute type is known, or the service ends."""
        assert self._module is not None  # noqa: S101  imported before anything is needed
        most = self._module.pictures_at_once(self._surety.settings.max_runs, inside=True)
        worker = self._module.JobWorker(self._surety, most, self._computes, inside=True)
        working = asyncio.create_task(worker.run())
        ending = asyncio.create_task(self.ending.wait())
        try:
            while not self.ending.is_set() and not await self._relieved():
                await asyncio.wait(
                    {working, ending},
                    timeout=LOOK_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if working.done():
                    working.result()  # it ends by itself only with an error
        finally:
            for task in (working, ending):
                task.cancel()
            await asyncio.gather(working, ending, return_exceptions=True)

    async def _relieved(self) -> bool:
        if self._computes != await self._surety.compute_types():
            return True  # a denoiser was loaded since: it begins anew with that
        try:
            return await self._others()
        except StoreError:
            return False  # nobody can be seen while the store is away; the worker waits for it
