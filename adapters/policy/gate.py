"""The gate of one account: rate limit, concurrency and breaker in one place."""

import asyncio
import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.errors import ProviderDown
from adapters.policy.breaker import Breaker, State
from adapters.policy.concurrency import Concurrency
from adapters.policy.limit import Limit, LocalLimit, Reservation, largest_call
from adapters.policy.line import Line
from adapters.policy.pace import Pace
from certification.protocols import Classifier, Outcome, Permit, Retry, Traits

WORTH_WAITING = 300.0  # seconds that the provider wants to be left alone for
LONGEST_PAUSE = 3600.0  # seconds that it is, whatever it says

LimitOf = Callable[[str, Traits], Limit | None]
"""Returns the limit that an account shares with other processes, by its name and traits."""


class AccountGate:
    """Lets the calls of one account through. For one event loop at a time.

    Args:
        name: of the provider, for messages.
        traits: its limits.
        limit_of: makes the rate limit, in place of this process's own; None, or a None that it
            returns, for that.
    """

    def __init__(
        self, name: str, traits: Traits, limit_of: Callable[[Traits], Limit | None] | None = None
    ) -> None:
        self._name, self._limit_of = name, limit_of
        self._limits: dict[str, Limit] = {}  # by what a rate counts: two profiles may know one each
        self._most = 0  # pictures of the largest call
        self.breaker, self.pace = Breaker(), Pace()
        self.concurrency = Concurrency(traits.concurrency)
        self._closed_until = 0.0  # the provider asked to be left alone
        self._trial = 0  # number of the breaker's last one
        self._line = Line()
        self._news: asyncio.Future[None] | None = None  # done when a call has ended
        self.heed(traits)

    def heed(self, traits: Traits) -> None:
        """Keep to the limits of another profile of the same account too."""
        self.concurrency.most = max(self.concurrency.most, traits.concurrency)
        self._most = max(self._most, traits.max_batch)
        if traits.rate is not None and traits.rate_unit not in self._limits:
            shared = None if self._limit_of is None else self._limit_of(traits)
            limit = shared or LocalLimit(traits.rate, largest_call(traits))
            self._limits[traits.rate_unit] = limit
        for unit, limit in self._limits.items():
            rate = traits.rate if traits.rate_unit == unit else None
            limit.heed(rate or math.inf, _units(unit, self._most))

    async def enter(self, images: int, run: object = None) -> "AccountPermit":
        """Wait until a call may start.

        Args:
            images: pictures of the call.
            run: whose it is; runs take turns.

        Raises:
            ProviderDown: if the provider has been down for long, or wants to be left alone.
        """
        await self._line.acquire(run)
        try:
            while True:
                await self._open()
                places = await self._place(images)
                if places is not None:
                    break
            return AccountPermit(self, self._begin(), places)
        finally:
            self._line.release()

    def done(self, number: int, outcomes: Sequence[Outcome] | None) -> None:
        """Learn from a call that has ended."""
        now = time.monotonic()
        failed = [o for o in outcomes or () if isinstance(o, Retry)]
        throttled = any(o.throttled for o in failed)
        answered = outcomes is not None and len(failed) < len(outcomes)
        too_much = throttled and self.pace.throttled(now)
        if answered and not throttled:
            self.pace.answered(now)
        self.concurrency.end(number, answered=answered and not throttled, too_much=too_much)
        trial = number == self._trial
        if answered or throttled:
            self.breaker.succeeded()
        elif outcomes is not None:
            self.breaker.failed(now, trial=trial)
        elif trial:
            self.breaker.unused()  # cancelled, or a fault that stops the run: says nothing
        self._leave_alone(max((o.after or 0.0 for o in failed if o.throttled), default=0.0))
        self._tell()

    def unused(self, number: int, places: "_Places") -> None:
        """Take a permit back."""
        places.give_back()
        self.concurrency.forget()
        if number == self._trial:
            self.breaker.unused()
        self._tell()

    def _begin(self) -> int:
        number = self.concurrency.begin()
        self.pace.start(time.monotonic())
        if self.breaker.begin():
            self._trial = number
        return number

    def _leave_alone(self, seconds: float) -> None:
        """Make no call for a while, in the other processes of the account neither."""
        if seconds > 0:
            pause = min(LONGEST_PAUSE, seconds)
            self._closed_until = max(self._closed_until, time.monotonic() + pause)
            for limit in self._limits.values():
                limit.leave_alone(pause)

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _open(self) -> None:
        """Wait until the provider may be called, its rate limit apart."""
        while (delay := self._delay(time.monotonic())) != 0:
            self._news = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait([self._news], timeout=delay)
            finally:
                self._news = None

    async def _place(self, images: int) -> "_Places | None":
        """Wait for a place in each rate limit; None if the gate has closed meanwhile."""
        places, kept = _Places([]), False
        try:
            for unit, limit in list(self._limits.items()):  # another profile may add one meanwhile
                places.all.append(await limit.reserve(_units(unit, images)))
            comes = await places.wait()
            heard = [limit.closed_until for limit in self._limits.values()]
            self._closed_until = max([self._closed_until, *heard])
            kept = comes and (not heard or self._delay(time.monotonic()) == 0)
        finally:
            if not kept:
                places.give_back()
        return places if kept else None

    def _delay(self, now: float) -> float | None:
        """Return 0 if a call may start, else seconds to look again after; None for some news."""
        breaker = self.breaker
        if self._closed_until - now > WORTH_WAITING:
            raise ProviderDown(
                f"{self._name} wants to be left alone for {self._closed_until - now:.0f} s: "
                "try again later"
            )
        opens = max(self._closed_until, self.pace.due(now))
        if not breaker.lets_through(now):
            if not breaker.worth_waiting(now):
                raise ProviderDown(
                    f"{self._name} has failed {breaker.failures} calls in a row for "
                    f"{breaker.down_for(now):.0f} s: it is left alone for now, try again later"
                )
            if breaker.state is not State.OPEN:
                return None
            opens = max(opens, breaker.until)
        if not self.concurrency.free:
            return None
        return max(0.0, opens - now)


@dataclass
class _Places:
    """The places of one call, one in each limit of its account."""

    all: list[Reservation]

    async def wait(self) -> bool:
        """Wait until all of them come; see :class:`adapters.policy.limit.Reservation`."""
        for place in self.all:
            if not await place.wait():
                return False
        for place in self.all[:-1]:  # what came first has waited for the last one
            await place.wait()
        return True

    def give_back(self) -> None:
        for place in self.all:
            place.give_back()


def _units(unit: str, images: int) -> int:
    return images if unit == "image" else 1


class AccountPermit:
    """See :class:`certification.protocols.Permit`."""

    def __init__(self, gate: AccountGate, number: int, places: "_Places") -> None:
        self._gate, self._number, self._places = gate, number, places

    def done(self, outcomes: Sequence[Outcome] | None) -> None:
        """See :class:`certification.protocols.Permit`."""
        self._gate.done(self._number, outcomes)

    def unused(self) -> None:
        """See :class:`certification.protocols.Permit`."""
        self._gate.unused(self._number, self._places)


class ProfilePermit:
    """A permit of an account's, and a place among the calls of one profile."""

    def __init__(self, permit: AccountPermit, line: Line) -> None:
        self._permit, self._line = permit, line

    def done(self, outcomes: Sequence[Outcome] | None) -> None:
        """See :class:`certification.protocols.Permit`."""
        self._line.release()
        self._permit.done(outcomes)

    def unused(self) -> None:
        """See :class:`certification.protocols.Permit`."""
        self._line.release()
        self._permit.unused()


class RunGate:
    """One run's way through the gate of an account.

    Args:
        gate: which all runs of the account share.
        line: which all runs of the profile share.
        most: calls of the profile that may be in flight.

    Attributes:
        account: the same as `gate`.
    """

    def __init__(self, gate: AccountGate, line: Line, most: int) -> None:
        self.account, self._line, self._most = gate, line, most

    async def enter(self, images: int) -> Permit:
        """See :class:`certification.protocols.Gate`."""
        if self._most >= self.account.concurrency.most:
            return await self.account.enter(images, self)
        # Another profile of the account takes more calls at once than this one may.
        await self._line.acquire(self)
        try:
            return ProfilePermit(await self.account.enter(images, self), self._line)
        except BaseException:
            self._line.release()
            raise


class AccountGates:
    """All gates of this process, one for each account, with a line for each of its profiles.

    Args:
        limit_of: returns an account's rate limit where processes share it; None for limits of
            this process alone. Pace, concurrency and breaker are always its own.
    """

    def __init__(self, limit_of: LimitOf | None = None) -> None:
        self._limit_of = limit_of
        self._gates: dict[str, AccountGate] = {}
        self._lines: dict[tuple[str, str], Line] = {}

    def of(self, classifier: Classifier) -> RunGate:
        """Return a run's way through the gate of its classifier's account."""
        account: str = getattr(classifier, "account", classifier.name)
        if account in self._gates:
            self._gates[account].heed(classifier.traits)
        else:
            shared = self._limit_of
            limit_of = None if shared is None else functools.partial(shared, account)
            self._gates[account] = AccountGate(classifier.name, classifier.traits, limit_of)
        most = classifier.traits.concurrency
        line = self._lines.setdefault((account, classifier.name), Line(most))
        return RunGate(self._gates[account], line, most)
