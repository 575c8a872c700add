"""Ctrl-C (or SIGTERM, SIGHUP) of a command that takes a job in, or follows one."""

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from service.exit_codes import ExitCode
from service.signals import HANG_UP, answered
from service.terminal import say

T = TypeVar("T")


class Left(Exception):
    """The user has ended it; all is in order."""


class Leaving:
    """The first signal cancels what goes on and waits for its end; the second ends the process.

    Threads are not waited for then: they only read or import, and that may take long.
    """

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    def __call__(self, number: int) -> None:
        """Answer a signal."""
        if not self._asked.is_set():
            self._asked.set()
            return
        if number == HANG_UP:  # both the terminal and the shell send one
            return
        try:
            say("aborted", "bold red")
        finally:
            os._exit(ExitCode.CANCELLED)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Answer the signals on the running loop until the context is left."""
        asyncio.get_running_loop().set_default_executor(_Threads(self._asked))
        with answered(self):
            yield

    async def unless(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something unless the user ends it.

        Raises:
            Left: if so, once it has ended in order.
        """
        working = asyncio.ensure_future(work)
        asking = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait([working, asking], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                return await working  # it had just come to its end
            raise Left
        finally:
            asking.cancel()
            working.cancel()


class _Threads(ThreadPoolExecutor):
    """Those of `asyncio.to_thread`.

    Args:
        left: set once nobody waits for them any more.
    """

    def __init__(self, left: asyncio.Event) -> None:
        super().__init__(thread_name_prefix="asyncio")
        self._left = left

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End them, which the loop asks for at its end."""
        left = self._left.is_set()
        super().shutdown(wait and not left, cancel_futures=cancel_futures or left)
