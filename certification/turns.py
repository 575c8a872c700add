"""Lets calls start one at a time, in the order in which they were meant to.

A vote behind one that was never asked for is worth nothing if the run ends, so a later sample
must not overtake an earlier one, whatever each has to wait for before.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator


class Turns:
    """A line in which a place is kept from before one is ready."""

    def __init__(self) -> None:
        self._line: deque[Turn] = deque()

    @contextlib.contextmanager
    def place(self) -> Iterator["Turn"]:
        """Keep the next place in the line, until it is left."""
        turn = Turn(self._line)
        self._line.append(turn)
        try:
            yield turn
        finally:
            turn.leave()


class Turn:
    """A place in a line."""

    def __init__(self, line: deque["Turn"]) -> None:
        self._line = line
        self._free = asyncio.Event()

    async def come(self) -> None:
        """Wait until all before have left."""
        if self in self._line and self._line[0] is not self:
            await self._free.wait()

    def leave(self) -> None:
        """Let the next one come; does nothing the second time."""
        if self not in self._line:
            return
        self._line.remove(self)
        if self._line:
            self._line[0]._free.set()
