"""The rate limit of an account: a place in the window for each call.

Kept in this process; the limit that several processes share is another `Limit` (see the design,
section 12).
"""

import asyncio
import time
from typing import Protocol

from adapters.policy.window import SlidingWindow, Slot


class Reservation(Protocol):
    """A place that a limit has given."""

    async def wait(self) -> None:
        """Wait until it comes."""
        ...

    def give_back(self) -> None:
        """Free it: its call was not made."""
        ...


class Limit(Protocol):
    """A rate limit."""

    async def reserve(self, units: int) -> Reservation:
        """Take the earliest place for so many units."""
        ...


class LocalLimit:
    """A sliding window for the calls of this process.

    Args:
        rate: units a second.
        largest: units of the largest call.
    """

    def __init__(self, rate: float, largest: int) -> None:
        self._rate, self._largest = rate, largest
        self._window = SlidingWindow(rate, largest)

    def heed(self, rate: float, largest: int) -> None:
        """Keep to another figure for the same account too: the lower rate, the larger call."""
        self._rate, self._largest = min(rate, self._rate), max(largest, self._largest)
        self._window.resize(self._rate, self._largest)

    async def reserve(self, units: int) -> "LocalReservation":
        """See :class:`Limit`."""
        return LocalReservation(self._window, self._window.reserve(units, time.monotonic()))


class LocalReservation:
    """See :class:`Reservation`."""

    def __init__(self, window: SlidingWindow, slot: Slot) -> None:
        self._window, self._slot = window, slot

    async def wait(self) -> None:
        """See :class:`Reservation`."""
        delay = self._slot.at - time.monotonic()
        if delay > 0:
            await asyncio.sleep(delay)
        self._window.started(self._slot, time.monotonic())

    def give_back(self) -> None:
        """See :class:`Reservation`."""
        self._window.give_back(self._slot)
