"""Runs that are being worked on, by id, so that anybody can look at one or cancel it.

A run is a task of its own: it outlives the request only as long as it takes to end in order,
so that votes already paid for reach the ledger.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from certification.collecting import OnProgress
from certification.errors import RunInterrupted
from certification.interrupt import Interrupt
from certification.progress import Progress
from service.errors import NotFound, ShuttingDown
from service.issued import Issued

CLOSE_SECONDS = 5.0

Kind = Literal["certificate", "prediction"]
Work = Callable[[Interrupt, OnProgress], Awaitable[Issued]]


class Run:
    """One certification or prediction.

    Attributes:
        id: its name.
        kind: what the document it ends with is.
        owner: id of the API key that asked for it; None where there was none.
        task: ends with the document and the bill, or raises.
        first: the first progress event, None until there is one.
        latest: the latest one.
    """

    def __init__(self, run_id: str, kind: Kind, work: Work, owner: str | None = None) -> None:
        self.id, self.kind, self.owner = run_id, kind, owner
        self.first: Progress | None = None
        self.latest: Progress | None = None
        self._news = asyncio.Event()
        self._interrupt = Interrupt()
        self.cancelling = self._shutting_down = False
        self.task = asyncio.ensure_future(work(self._interrupt, self._on_progress))
        self.task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """End the run soon, in order; its task then ends with what is certain by now."""
        self.cancelling = True
        self._interrupt.cancel()

    def shut_down(self) -> None:
        """Cancel it because the service ends, which whoever gets no document is told."""
        self._shutting_down = True
        self.cancel()

    async def news(self, timeout_seconds: float | None) -> bool:
        """Wait for a progress event or for the end; tell whether there was one in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        if not self.task.done():
            self._news.clear()
        return True

    async def end(self) -> Issued:
        """Wait for the document. Cancelling the wait does not kill the run.

        Raises:
            ShuttingDown: if the service ends, and the run has come to nothing.
            Exception: what the work raised.
        """
        try:
            return await asyncio.shield(self.task)
        except (asyncio.CancelledError, RunInterrupted):
            if self.task.cancelled() or self._shutting_down:
                raise ShuttingDown(
                    "the service is being ended, and the run had no answer yet: ask again later"
                ) from None
            raise

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "id": self.id,
            "kind": self.kind,
            "owner": self.owner,
            "cancelling": self.cancelling,
            "progress": None if self.latest is None else self.latest.describe(),
        }

    def _on_progress(self, progress: Progress) -> None:
        self.first = self.first or progress
        self.latest = progress
        self._news.set()

    def _ended(self, task: asyncio.Future[Issued]) -> None:
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain where nobody waits
        self._news.set()


class Runs:
    """All runs of this process."""

    def __init__(self) -> None:
        self._running: dict[str, Run] = {}

    def start(
        self, kind: Kind, work: Work, run_id: str | None = None, owner: str | None = None
    ) -> Run:
        """Begin a run. It is listed until its task has ended.

        Args:
            kind: what the document it ends with is.
            work: called with the run's interrupt and progress callback.
            run_id: its name; None for a new one that cannot be guessed.
            owner: id of the API key that asks for it.
        """
        run = Run(run_id or secrets.token_hex(12), kind, work, owner)
        self._running[run.id] = run
        run.task.add_done_callback(lambda _: self._running.pop(run.id, None))
        return run

    def get(self, run_id: str) -> Run:
        """Return a running run.

        Raises:
            NotFound: if none of this id is running.
        """
        run = self._running.get(run_id)
        if run is None:
            raise NotFound(f"no run {run_id[:40]!r} is going on: it has ended, or never was")
        return run

    def list(self) -> list[Run]:
        """Return the running runs, the oldest first."""
        return [*self._running.values()]

    def shut_down(self) -> None:
        """Cancel every run because the service ends."""
        for run in self.list():
            run.shut_down()

    async def close(self) -> None:
        """Cancel every run; those that do not end in order in time are cut off."""
        tasks = [run.task for run in self._running.values()]
        self.shut_down()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
