"""Ends a run early: cancelled by somebody, or past its deadline."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, Literal, Protocol, TypeVar

from certification.errors import RunInterrupted
from certification.protocols import Waiter

T = TypeVar("T")


class Interrupt:
    """Knows when a run has to end. Made and used on one event loop.

    Attributes:
        future: done once the run has to end; may be waited for, but not cancelled.
        grace: seconds that calls in flight may take from then on, since they are paid for; None
            for the usual one.
    """

    def __init__(self) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.grace: float | None = None
        self._reason: Literal["cancelled", "deadline"] = "cancelled"

    def cancel(self, grace: float | None = None) -> None:
        """End the run as soon as possible, before or within it; no new call starts.

        Args:
            grace: see the attribute; counts where nobody has ended the run yet.
        """
        if not self.done:
            self.grace = grace
        self._end("cancelled")

    @contextlib.contextmanager
    def deadline(self, max_seconds: float | None) -> Iterator[None]:
        """Let the run last no longer than this from now, None for as long as it takes."""
        if max_seconds is None:
            yield
            return
        timer = asyncio.get_running_loop().call_later(max_seconds, self._end, "deadline")
        try:
            yield
        finally:
            timer.cancel()

    @property
    def done(self) -> bool:
        """Whether the run has to end."""
        return self.future.done()

    @property
    def reason(self) -> str:
        """The stop reason that goes on the certificate."""
        return self._reason

    async def unless(self, work: Coroutine[Any, Any, T]) -> T:
        """Await something, but no longer than the run may last.

        Raises:
            RunInterrupted: if the run has to end first; `work` is cancelled then.
        """

        async def begun() -> T:
            if self.done:  # not even begun: it might be a call that is paid for
                raise self._interrupted()
            return await work

        task = asyncio.ensure_future(begun())
        try:
            waiting: set[asyncio.Future[Any]] = {task, self.future}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise self._interrupted()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            work.close()  # does nothing where it was begun

    def _interrupted(self) -> RunInterrupted:
        word = "was cancelled" if self.reason == "cancelled" else "reached its deadline"
        return RunInterrupted(
            f"the run {word} before it had any answer, so nothing can be said yet"
        )

    def _end(self, reason: Literal["cancelled", "deadline"]) -> None:
        if not self.future.done():
            self._reason = reason
            self.future.set_result(None)


class Lock(Protocol):
    """What can be held: a lock or a semaphore of asyncio, or what does as they do."""

    async def acquire(self) -> bool:
        """Wait for it."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


@contextlib.asynccontextmanager
async def held(lock: Lock, unless: Waiter) -> AsyncIterator[None]:
    """Hold a lock, but wait for it no longer than a run may last.

    Args:
        lock: released at the end, also if the wait was cancelled in the moment that it succeeded.
        unless: :meth:`Interrupt.unless` of the run.
    """
    taken = False

    async def acquire() -> bool:
        nonlocal taken
        taken = await lock.acquire()
        return taken

    try:
        await unless(acquire())
        yield
    finally:
        if taken:
            lock.release()
