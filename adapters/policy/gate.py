"""The gate of one account: rate limit, concurrency and breaker in one place.

Kept in this process; the limit that several processes share is another `Limit` (see the design,
section 12).
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Protocol

from adapters.errors import ProviderDown
from adapters.policy.breaker import Breaker, State
from adapters.policy.concurrency import Concurrency
from adapters.policy.window import SlidingWindow, Slot
from certification.protocols import Classifier, Outcome, Retry, Traits


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
        self._window = SlidingWindow(rate, largest)

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

    def give_back(self) -> None:
        """See :class:`Reservation`."""
        self._window.give_back(self._slot)


class AccountGate:
    """Lets the calls of one account through.

    Args:
        name: of the provider, for messages.
        traits: its limits.
        limit: in place of this process's own.
    """

    def __init__(self, name: str, traits: Traits, limit: Limit | None = None) -> None:
        self._name, self._unit = name, traits.rate_unit
        self._limit = limit
        if limit is None and traits.rate is not None:
            largest = traits.max_batch if traits.rate_unit == "image" else 1
            self._limit = LocalLimit(traits.rate, largest)
        self.breaker = Breaker()
        self.concurrency = Concurrency(traits.concurrency)
        self._closed_until = 0.0  # the provider asked to be left alone
        self._line = asyncio.Lock()  # first come, first served
        self._news = asyncio.Event()  # a call has ended

    async def enter(self, images: int) -> "AccountPermit":
        """Wait until a call may start; first come, first served.

        Raises:
            ProviderDown: if the provider has been down for long.
        """
        async with self._line:
            while (delay := self._delay(time.monotonic())) != 0:
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._news.wait()
            number = self.concurrency.begin()
        reservation: Reservation | None = None
        try:
            if self._limit is not None:
                units = images if self._unit == "image" else 1
                reservation = await self._limit.reserve(units)
                await reservation.wait()
        except BaseException:
            if reservation is not None:
                reservation.give_back()
            self._unused()
            raise
        return AccountPermit(self, number, reservation)

    def done(self, number: int, outcomes: Sequence[Outcome] | None) -> None:
        """Learn from a call that has ended."""
        now = time.monotonic()
        failed = [o for o in outcomes or () if isinstance(o, Retry)]
        throttled = any(o.throttled for o in failed)
        answered = outcomes is not None and len(failed) < len(outcomes)
        self.concurrency.end(number, answered=answered, throttled=throttled)
        if answered or throttled:
            self.breaker.succeeded()
        elif outcomes is not None:
            self.breaker.failed(now)
        else:
            self.breaker.unused()  # cancelled, or a fault that stops the run: says nothing
        asked = [o.after for o in failed if o.throttled and o.after]
        pause = max([*asked, self.concurrency.pause])
        if pause:
            self._closed_until = max(self._closed_until, now + pause)
        self._news.set()

    def unused(self, reservation: Reservation | None) -> None:
        """Take a permit back."""
        if reservation is not None:
            reservation.give_back()
        self._unused()

    def _unused(self) -> None:
        self.concurrency.forget()
        self.breaker.unused()
        self._news.set()

    def _delay(self, now: float) -> float | None:
        """Return 0 if a call may start, else seconds to look again after; None for some news."""
        breaker = self.breaker
        if self.concurrency.free and now >= self._closed_until and breaker.lets_through(now):
            return 0
        if not breaker.worth_waiting(now):
            raise ProviderDown(
                f"{self._name} has failed {breaker.failures} calls in a row for "
                f"{breaker.down_for(now):.0f} s: it is left alone for now, try again later"
            )
        opens = max(self._closed_until, breaker.until if breaker.state is State.OPEN else now)
        return opens - now if self.concurrency.free and opens > now else None


class AccountPermit:
    """See :class:`certification.protocols.Permit`."""

    def __init__(self, gate: AccountGate, number: int, reservation: Reservation | None) -> None:
        self._gate, self._number, self._reservation = gate, number, reservation

    def done(self, outcomes: Sequence[Outcome] | None) -> None:
        """See :class:`certification.protocols.Permit`."""
        self._gate.done(self._number, outcomes)

    def unused(self) -> None:
        """See :class:`certification.protocols.Permit`."""
        self._gate.unused(self._reservation)


class AccountGates:
    """All gates of this process, one for each account."""

    def __init__(self) -> None:
        self._gates: dict[tuple[str, str], AccountGate] = {}

    def of(self, classifier: Classifier) -> AccountGate:
        """Return the gate of a classifier's account."""
        kind = type(classifier)
        account = getattr(classifier, "account", classifier.name)
        key = f"{kind.__module__}.{kind.__qualname__}", account
        if key not in self._gates:
            self._gates[key] = AccountGate(classifier.name, classifier.traits)
        return self._gates[key]
