"""The gates of one job: its own rate and its own money, in front of the gates of the accounts.

A call waits for a place in the job's rate, then at the account's gate, and at last takes its money
from the job's purse; what it was not billed goes back there afterwards. If the money took long to
come (the store was away, say) the place has passed: calls that had one each would all go at once,
beside those that come then. So it is given back, and the call waits for another. As long as the
money keeps coming late, calls take it first and wait for their places then, which costs no place.
"""

import asyncio
import secrets
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from adapters.policy.limit import Limit, Reservation
from adapters.policy.line import Line
from certification.asking import AskingEndedError
from certification.bill import billed_units
from certification.protocols import Classifier, Gate, Gates, Outcome, Permit, Traits

log = structlog.get_logger("surety.jobs")

LATE = 0.05  # seconds from a place to its call, of which the limits keep as many in reserve


class Purse(Protocol):
    """A job's money, over all workers, in billed units of its provider."""

    async def reserve(self, call: str, units: int) -> bool:
        """Set units aside for a call, by its name; tells whether there were as many."""
        ...

    async def settle(self, call: str, billed: int) -> None:
        """Count what a call was billed; the rest of what was set aside for it is free again."""
        ...


class JobGates:
    """See :class:`certification.protocols.Gates`; those of one job in one process.

    Args:
        gates: of the accounts.
        limit: of the job, counted in what its provider's rate counts; None for none of its own.
        purse: the job's; None if it may spend what it likes.

    Attributes:
        pays_late: whether the money of the last call took longer than a place lasts.
    """

    def __init__(
        self, gates: Gates, limit: Limit | None = None, purse: Purse | None = None
    ) -> None:
        self._gates = gates
        self.limit, self.purse = limit, purse
        self.line = Line()
        self.pays_late = False
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, classifier: Classifier) -> "JobGate":
        """See :class:`certification.protocols.Gates`."""
        return JobGate(self, self._gates.of(classifier), classifier.traits)

    def paid_from(self, purse: Purse) -> "JobGates":
        """Return gates to the same places, with other money."""
        other = JobGates(self._gates, self.limit, purse)
        other.line = self.line
        return other

    async def drain(self) -> None:
        """Wait until all calls that have ended by now are settled."""
        if self._tasks:
            await asyncio.wait([*self._tasks])

    async def set_aside(self, purse: Purse, call: str, units: int) -> bool:
        """Set units aside for a call; if this is cancelled meanwhile they are given back."""
        reserving = asyncio.ensure_future(purse.reserve(call, units))
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:
            self.later(_repaid(purse, reserving, call))
            raise

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background that `drain` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The money stays set aside, so that the job spends less than it might, never more.
            log.error("a call was not settled", error=type(error).__name__)


class JobGate:
    """One run's way through the gates of its job and of its account.

    Args:
        job: the gates of the job.
        gate: of the account.
        traits: of the provider.
    """

    def __init__(self, job: JobGates, gate: Gate, traits: Traits) -> None:
        self._job, self._gate, self._traits = job, gate, traits
        self._paying = asyncio.Lock()
        self._ended = False

    async def enter(self, images: int) -> Permit:
        """See :class:`certification.protocols.Gate`.

        Raises:
            AskingEndedError: if the job's money would not do for the call.
            StopRun: if the provider is down and not worth waiting for.
        """
        held = _Held(self._job, self._traits.units(images))
        try:
            if not self._job.pays_late:
                await self._places(held, images)
            began = time.monotonic()
            async with self._paying:  # in the order in which the calls come
                await self._pay(held)
            self._job.pays_late = time.monotonic() - began > LATE
            if held.permit is None or self._job.pays_late:
                held.leave_places()
                await self._places(held, images)
        except BaseException:
            held.unused()
            raise
        return held

    async def _places(self, held: "_Held", images: int) -> None:
        if self._job.limit is None:
            held.permit = await self._gate.enter(images)
        else:
            await self._in_turn(held, self._job.limit, images)

    async def _in_turn(self, held: "_Held", limit: Limit, images: int) -> None:
        """Wait for both places.

        One call of the job at a time, so that not many pass the job's limit and then wait
        together for the account's: once that opened they would all go at once.
        """
        await self._job.line.acquire(self)
        try:
            held.place = await limit.reserve(self._traits.rate_units(images))
            await held.place.wait()
            held.permit = await self._gate.enter(images)
        finally:
            self._job.line.release()

    async def _pay(self, held: "_Held") -> None:
        purse = self._job.purse
        if purse is None:
            return
        if self._ended:  # a smaller call could be paid, but its votes would come after a gap
            raise AskingEndedError("the next call could pass the job's max_cost")
        if not await self._job.set_aside(purse, held.call, held.units):
            self._ended = True
            raise AskingEndedError("the next call could pass the job's max_cost")
        held.paid = True


@dataclass
class _Held:
    """What a call holds; once all of it is there, a :class:`certification.protocols.Permit`.

    Attributes:
        job: the gates of the job.
        units: that the call may be billed.
        place: in the job's rate.
        permit: of the account.
        paid: whether the units are set aside.
        call: its name in the purse.
    """

    job: JobGates
    units: int
    place: Reservation | None = None
    permit: Permit | None = None
    paid: bool = False
    call: str = field(default_factory=lambda: secrets.token_hex(8))

    def done(self, outcomes: Sequence[Outcome] | None) -> None:
        """See :class:`certification.protocols.Permit`."""
        if self.permit is not None:
            self.permit.done(outcomes)
        self._settle(billed_units(outcomes, self.units))

    def unused(self) -> None:
        """See :class:`certification.protocols.Permit`."""
        self.leave_places()
        self._settle(0)

    def leave_places(self) -> None:
        """Give back the place in the job's rate and the account's permit."""
        if self.permit is not None:
            self.permit.unused()
        if self.place is not None:
            self.place.give_back()
        self.permit = self.place = None

    def _settle(self, billed: int) -> None:
        if self.paid and self.job.purse is not None:
            self.job.later(self.job.purse.settle(self.call, billed))


async def _repaid(purse: Purse, reserving: asyncio.Future[bool], call: str) -> None:
    """Give back what was set aside for a call that was cancelled meanwhile."""
    if await reserving:
        await purse.settle(call, 0)
