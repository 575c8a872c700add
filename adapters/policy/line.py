"""A line in front of a gate: so many at a time, the runs in turn, and each run's calls in order.

A run with many calls waiting does not hold up the one call of another run for longer than one of
its own. Unlike `asyncio.Lock` it is bound to no event loop: an account outlives them.
"""

import asyncio
from collections import deque


class Line:
    """A lock that is fair between runs. For one event loop at a time.

    Args:
        places: how many may hold it at once.
    """

    def __init__(self, places: int = 1) -> None:
        self._waiting: dict[object, deque[asyncio.Future[None]]] = {}  # the next run first
        self._free = places

    async def acquire(self, run: object) -> None:
        """Wait for the turn of a run's call."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run, deque()).append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # it came in the moment of the cancellation
                self.release()
            else:
                self._leave(run, turn)
            raise

    def release(self) -> None:
        """Let the next one through."""
        while self._waiting:
            run = next(iter(self._waiting))
            line = self._waiting.pop(run)
            turn = line.popleft()
            if line:
                self._waiting[run] = line  # behind the other runs
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _leave(self, run: object, turn: asyncio.Future[None]) -> None:
        line = self._waiting.get(run)
        if line is not None and turn in line:
            line.remove(turn)
            if not line:
                del self._waiting[run]
