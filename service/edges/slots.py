"""Turns of runs at working: so many at a time, and of one API key no more than its share.

Whoever's key has the fewest goes first, and among equals whoever came first: a key that has a
hundred runs waiting keeps no other one waiting for more than its next turn. Without keys that is
the order in which they came.
"""

import asyncio
from collections import Counter
from typing import Literal

from service.edges.shares import Shares


class Slots:
    """See the module's text. Used from one event loop.

    Args:
        most: turns at a time.
        shares: how many of them one key may have.
    """

    def __init__(self, most: int, shares: Shares) -> None:
        self._most, self._shares = most, shares
        self._held = Counter[str | None]()
        self._waiting: list[tuple[str | None, asyncio.Future[None]]] = []

    def of(self, owner: str | None) -> "KeySlots":
        """Return the turns of one key.

        Args:
            owner: its id; None for none.
        """
        return KeySlots(self, owner)

    async def acquire(self, owner: str | None) -> None:
        """Wait for a turn; one that comes in the moment of a cancellation goes to the next."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((owner, turn))
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove((owner, turn))
            else:
                self.release(owner)
            raise

    def release(self, owner: str | None) -> None:
        """End a turn."""
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self._hand_out()

    def _hand_out(self) -> None:
        while self._held.total() < self._most:
            # One that is cancelled is still here until its task has been told.
            may = [one for one in self._waiting if not one[1].done() and self._may(one[0])]
            if not may:
                return
            owner, turn = chosen = min(may, key=lambda one: self._held[one[0]])
            self._waiting.remove(chosen)
            self._held[owner] += 1
            turn.set_result(None)

    def _may(self, owner: str | None) -> bool:
        return self._shares.allow(owner, self._held[owner], 1, self._most)


class KeySlots:
    """The turns of one API key, as a semaphore.

    Args:
        slots: of the process.
        owner: id of the key; None for none.
    """

    def __init__(self, slots: Slots, owner: str | None) -> None:
        self._slots, self._owner = slots, owner

    async def acquire(self) -> Literal[True]:
        """Wait for a turn."""
        await self._slots.acquire(self._owner)
        return True

    def release(self) -> None:
        """End a turn."""
        self._slots.release(self._owner)
