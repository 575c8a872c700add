"""Works on jobs in the process of whoever follows one, as long as nobody else works on it.

It begins as soon as no live worker covers the job's compute type, and ends when a worker of its own
(`surety worker`) does. While it works it takes all jobs of its compute types by their shares, as
every worker does.
"""

import asyncio
import importlib
from collections.abc import Coroutine
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import structlog

from service.core import Surety
from service.errors import StoreError
from service.store.workers import WorkerInfo

if TYPE_CHECKING:
    from service.jobs.engine.worker import JobWorker

T = TypeVar("T")
WORKER = "service.jobs.engine.worker"
LOOK_SECONDS = 1.0

log = structlog.get_logger("surety.jobs")


class Helper:
    """A context manager; see the module's text.

    Args:
        surety: an opened deployment.
        compute: compute type of the job.
        work: False leaves the work to others.

    Attributes:
        able: whether this process could work on that compute type; None while that is not known.
        error: what its work broke off with.
    """

    def __init__(self, surety: Surety, compute: str, *, work: bool = True) -> None:
        self._surety, self._compute, self._work = surety, compute, work
        self._task: asyncio.Task[None] | None = None
        self.able: bool | None = None
        self.error: Exception | None = None

    @property
    def helps(self) -> bool:
        """Whether it works as soon as nobody else does, as far as is known."""
        return self._work and self.able is not False and self.error is None

    async def __aenter__(self) -> Self:
        """Begin to look whether there is something to do."""
        if self._work:
            self._task = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End in order: what is worked on goes back to those that wait."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def beside(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something that others, or this, have to work for.

        Raises:
            Exception: what the work here broke off with, so that nobody waits in vain.
        """
        waiting = asyncio.ensure_future(work)
        parts = {waiting} if self._task is None else {waiting, self._task}
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            if self.error is not None and not waiting.done():
                raise self.error
            return await waiting
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def _supervise(self) -> None:
        try:
            await self._look()
        except Exception as error:  # noqa: BLE001  whoever follows the job is told
            self.error = error

    async def _look(self) -> None:
        while await self._others():  # noqa: ASYNC110  the store has no event
            await asyncio.sleep(LOOK_SECONDS)
        # In a thread: what a worker needs takes a second to import.
        module: ModuleType = await asyncio.to_thread(importlib.import_module, WORKER)
        computes = await self._surety.compute_types()
        if self._compute not in computes:
            await self._surety.load_others()
            computes = await self._surety.compute_types()
        self.able = self._compute in computes
        if not self.able:
            return
        while True:
            if not await self._others():
                most = module.pictures_at_once(self._surety.settings.max_runs, inside=False)
                worker = module.JobWorker(self._surety, most, computes, inside=True)
                await self._until_relieved(worker)
            await asyncio.sleep(LOOK_SECONDS)

    async def _until_relieved(self, worker: "JobWorker") -> None:
        working = asyncio.create_task(worker.run())
        try:
            while not working.done() and not await self._others(only_workers=True):
                await asyncio.wait([working], timeout=LOOK_SECONDS)
            if working.done():
                working.result()  # it ends by itself only with an error
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _others(self, *, only_workers: bool = False) -> list[WorkerInfo]:
        """Return others that cover the job; services and helpers only if they are asked for."""
        try:
            found = await self._surety.state.workers.covering(self._compute)
        except StoreError as error:
            log.debug("workers cannot be looked for", error=str(error))
            return []
        own = self._surety.state.process.id
        return [w for w in found if w.id != own and not (only_workers and w.inside)]
