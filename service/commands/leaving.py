"""Ctrl-C (or SIGTERM, SIGHUP) of a command that takes a job in, or follows one."""

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from service.exit_codes import ExitCode
from service.signals import HANG_UP, answered
from service.terminal import say

T = TypeVar("T")


class Left(Exception):
    """The user has ended it; all is in order."""


class Leaving:
    """The first signal cancels what goes on and waits for its end; the second ends the process."""

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
        """Answer the signals until the context is left."""
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
