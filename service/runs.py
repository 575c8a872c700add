"""Runs that are being worked on, by id, so that anybody can look at one or cancel it.

A run is a task of its own: it outlives the request only as long as it takes to end in order,
so that votes already paid for reach the ledger; unless it lasts, see `Run.lasting`.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from certification.collecting import OnProgress
from certification.errors import RunInterrupted
from certification.interrupt import Interrupt
from certification.progress import Progress
from service.edges.places import Place
from service.errors import ShuttingDown
from service.issued import Issued

CLOSE_SECONDS = 20.0  # for runs to end in order
SHORTEST_GRACE = 1.0  # for calls in flight
WRITE_SECONDS = 4.0  # of them for what comes after the last call: votes, certificate, answer

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
        lasting: whether it goes on without a client, and in another process if this one ends:
            somebody will come back for its outcome.
        alone: whether it has a place among the runs that go on without a client.
    """

    def __init__(
        self,
        run_id: str,
        kind: Kind,
        work: Work,
        owner: str | None = None,
        *,
        lasting: bool = False,
    ) -> None:
        self.id, self.kind, self.owner, self.lasting = run_id, kind, owner, lasting
        self.first: Progress | None = None
        self.latest: Progress | None = None
        self._news = asyncio.Event()
        self._interrupt = Interrupt()
        self.cancelling = self._shutting_down = self.alone = False
        self.task = asyncio.ensure_future(work(self._interrupt, self._on_progress))
        self.task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """End the run soon, in order; its task then ends with what is certain by now."""
        self.cancelling = True
        self._interrupt.cancel()

    def shut_down(self, seconds: float) -> None:
        """End it because the service ends, which whoever gets no document is told.

        Args:
            seconds: what is left; calls in flight are waited for, as long as that allows.
        """
        self._shutting_down = True
        if not self.cancelling:
            self._interrupt.cancel(grace=max(SHORTEST_GRACE, seconds - WRITE_SECONDS))

    @property
    def left(self) -> bool:
        """Whether this process ends and leaves it to another."""
        return self.lasting and self._shutting_down and not self.cancelling

    def hold(self, place: Place) -> None:
        """Go on without a client, in a place for such runs that is kept until the run has ended."""
        place.kept = self.alone = True
        self.task.add_done_callback(lambda _: place.release())

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
            if self.left:
                raise left_to_others(self.id) from None
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


def left_to_others(run_id: str) -> ShuttingDown:
    """Say that this process ends, and the run does not."""
    return ShuttingDown(
        f"the service is being ended, and another process goes on with the run: /runs/{run_id} "
        "tells what comes of it"
    )


class Runs:
    """All runs of this process.

    Args:
        seconds: within which they end in order, from when the service is told to end.
    """

    def __init__(self, seconds: float = CLOSE_SECONDS) -> None:
        self._running: dict[str, Run] = {}
        self._seconds = seconds
        self._over_at: float | None = None

    def start(
        self,
        kind: Kind,
        work: Work,
        run_id: str | None = None,
        owner: str | None = None,
        *,
        lasting: bool = False,
    ) -> Run:
        """Begin a run. It is listed until its task has ended.

        Args:
            kind: what the document it ends with is.
            work: called with the run's interrupt and progress callback.
            run_id: its name; None for a new one that cannot be guessed.
            owner: id of the API key that asks for it.
            lasting: see `Run`.
        """
        run = Run(run_id or secrets.token_hex(12), kind, work, owner, lasting=lasting)
        if self._over_at is not None:
            run.shut_down(self._left())
        self._running[run.id] = run
        run.task.add_done_callback(lambda _: self._running.pop(run.id, None))
        return run

    def find(self, run_id: str) -> Run | None:
        """Return a running run, None if none of this id is running."""
        return self._running.get(run_id)

    def list(self) -> list[Run]:
        """Return the running runs, the oldest first."""
        return [*self._running.values()]

    def shut_down(self) -> None:
        """End every run, and those that begin from now on, because the service ends."""
        if self._over_at is None:
            self._over_at = time.monotonic() + self._seconds
        for run in self.list():
            run.shut_down(self._left())

    async def close(self) -> None:
        """End every run; those that do not end in order in time are cut off."""
        tasks = [run.task for run in self._running.values()]
        self.shut_down()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._left())
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _left(self) -> float:
        assert self._over_at is not None  # noqa: S101
        return max(0.0, self._over_at - time.monotonic())
