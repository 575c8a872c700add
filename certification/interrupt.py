"""Ends a run early: cancelled by somebody, or past its deadline."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from certification.errors import RunInterrupted

T = TypeVar("T")


class Interrupt:
    """An async context that knows when a run has to end.

    `cancel` may be called before, within or after the context, from the event loop.

    Args:
        max_seconds: time from entering the context to the deadline, None for none.
    """

    def __init__(self, max_seconds: float | None = None) -> None:
        self._max_seconds = max_seconds
        self._cancelled = asyncio.Event()
        self._future: asyncio.Future[None] | None = None

    def cancel(self) -> None:
        """End the run as soon as possible; no new call starts."""
        self._cancelled.set()

    async def cancelled(self) -> None:
        """Wait until `cancel` is called; for use before the context is entered."""
        await self._cancelled.wait()

    async def __aenter__(self) -> "Interrupt":
        self._future = asyncio.ensure_future(self._wait())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.future.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.future

    @property
    def future(self) -> asyncio.Future[None]:
        """Done once the run has to end."""
        assert self._future is not None, "enter the context first"  # noqa: S101
        return self._future

    @property
    def done(self) -> bool:
        """Whether the run has to end."""
        return self._cancelled.is_set() or self.future.done()

    @property
    def reason(self) -> str:
        """The stop reason that goes on the certificate."""
        return "cancelled" if self._cancelled.is_set() else "deadline"

    async def unless(self, work: Coroutine[Any, Any, T]) -> T:
        """Await something, but no longer than the run may last.

        Raises:
            RunInterrupted: if the run has to end first; `work` is cancelled then.
        """
        task = asyncio.ensure_future(work)
        try:
            waiting: set[asyncio.Future[Any]] = {task, self.future}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            word = "was cancelled" if self.reason == "cancelled" else "reached its deadline"
            raise RunInterrupted(
                f"the run {word} before it had any answer, so nothing can be said yet"
            )
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._max_seconds):
                await self._cancelled.wait()
