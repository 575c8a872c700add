"""The rate limit of an account: a place in the window for each call.

Kept in this process; the limit that several processes share is another `Limit`, see
:mod:`service.store.rate`.
"""

import asyncio
import time
from typing import Protocol

from adapters.policy.window import SlidingWindow, Slot
from certification.protocols import Traits


class Reservation(Protocol):
    """A place that a limit has given."""

    async def wait(self) -> bool:
        """Wait until it comes.

        Returns:
            Whether it has. If not, the provider wants to be left alone, see `Limit.closed_until`.
        """
        ...

    def give_back(self) -> None:
        """Free it: its call was not made. Once more does no harm."""
        ...


class Limit(Protocol):
    """A rate limit."""

    @property
    def closed_until(self) -> float:
        """Monotonic time until which the provider wants to be left alone, as others have heard."""
        ...

    def heed(self, rate: float, largest: int) -> None:
        """Keep to another figure for the same account too: the lower rate, the larger call."""
        ...

    async def reserve(self, units: int) -> Reservation:
        """Take the earliest place for so many units."""
        ...

    def leave_alone(self, seconds: float) -> None:
        """Tell those who share the limit that the provider wants to be left alone."""
        ...


def largest_call(traits: Traits) -> int:
    """Return the units of a provider's largest call, in what its rate counts."""
    return traits.rate_units(traits.max_batch)


class LocalLimit:
    """A sliding window for the calls of this process.

    Args:
        rate: units a second.
        largest: units of the largest call.
    """

    closed_until = 0.0

    def __init__(self, rate: float, largest: int) -> None:
        self._rate, self._largest = rate, largest
        self._window = SlidingWindow(rate, largest)

    def heed(self, rate: float, largest: int) -> None:
        """See :class:`Limit`."""
        self._rate, self._largest = min(rate, self._rate), max(largest, self._largest)
        self._window.resize(self._rate, self._largest)

    async def reserve(self, units: int) -> "LocalReservation":
        """See :class:`Limit`."""
        return LocalReservation(self._window, self._window.reserve(units, time.monotonic()))

    def leave_alone(self, seconds: float) -> None:
        """See :class:`Limit`; nobody shares it."""


class LocalReservation:
    """See :class:`Reservation`."""

    def __init__(self, window: SlidingWindow, slot: Slot) -> None:
        self._window, self._slot = window, slot

    async def wait(self) -> bool:
        """See :class:`Reservation`."""
        delay = self._slot.at - time.monotonic()
        if delay > 0:
            await asyncio.sleep(delay)
        self._window.started(self._slot, time.monotonic())
        return True

    def give_back(self) -> None:
        """See :class:`Reservation`."""
        self._window.give_back(self._slot)
