"""The gates of one run, in front of all others: counts its calls, and keeps to the key's budget.

A call is counted and its money taken from the budget before it waits for its place: a word with the
store between place and call would make calls late, and closer together than the provider's rate
allows. What it was not billed goes back afterwards. What costs nothing is counted afterwards. Where
a run needs a last call (:mod:`service.usage.last_call`), its money is taken before the first.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from certification.asking import AskingEndedError
from certification.bill import billed_units
from certification.protocols import Classifier, Gate, Gates, Outcome, Permit, Retry, Traits
from service.billionths import nano
from service.store.usage import Call
from service.usage.counts import Counts
from service.usage.meter import Meter

Money = Literal["all", "keeping", "kept"]


class KeyGates:
    """See :class:`certification.protocols.Gates`.

    Args:
        gates: through which the calls go.
        meter: of the run.
        money: that calls may take: all that the budget has; all but that of one call, which is
            kept where the provider names no version; that which was kept, alone.
    """

    def __init__(self, gates: Gates, meter: Meter, money: Money = "all") -> None:
        self._gates, self._meter, self._money = gates, meter, money

    def of(self, classifier: Classifier) -> "KeyGate":
        """See :class:`certification.protocols.Gates`."""
        traits, money = classifier.traits, self._money
        if money == "keeping" and traits.names_version:
            money = "all"
        return KeyGate(self._gates.of(classifier), traits, self._meter, money)


class KeyGate:
    """See :class:`certification.protocols.Gate`.

    Args:
        gate: through which the calls go.
        traits: of the provider.
        meter: of the run.
        money: see :class:`KeyGates`.
    """

    def __init__(self, gate: Gate, traits: Traits, meter: Meter, money: Money = "all") -> None:
        self._gate, self._traits, self._meter = gate, traits, meter
        self._money = money
        self._paying = asyncio.Lock()

    async def enter(self, images: int) -> Permit:
        """See :class:`certification.protocols.Gate`.

        Raises:
            AskingEndedError: if the key's budget does not pay for the call.
            StopRun: if the provider is down and not worth waiting for.
        """
        units, price = self._traits.units(images), nano(self._traits.price)
        call = None
        if price:
            async with self._paying:  # in the order in which the calls come
                call = await self._reserved(images, units * price)
        try:
            permit = await self._gate.enter(images)
        except BaseException:
            if call is not None:
                self._meter.take_back(call)
            raise
        return _Counted(permit, self._meter, images, units, price, call)

    async def _reserved(self, images: int, amount: int) -> Call:
        meter = self._meter
        if self._money == "kept":
            call = meter.take_kept() if images == 1 else None
            if call is not None:
                return call
        elif meter.refused is None and self._money == "keeping":
            await meter.keep(nano(self._traits.price) * self._traits.units(1))
        if meter.refused is None:  # else a smaller call could be paid, but its votes have a gap
            call = await meter.reserve(images, amount)
            if call is not None:
                return call
        raise AskingEndedError("the next call could pass the budget of the API key")


@dataclass
class _Counted:
    """See :class:`certification.protocols.Permit`.

    Attributes:
        permit: the one that it stands for.
        meter: of the run.
        images: pictures of the call.
        units: that it may be billed.
        price: billionths of a dollar a unit.
        call: as it is counted already; None for one that costs nothing.
    """

    permit: Permit
    meter: Meter
    images: int
    units: int
    price: int
    call: Call | None

    def done(self, outcomes: Sequence[Outcome] | None) -> None:
        """See :class:`certification.protocols.Permit`."""
        self.permit.done(outcomes)
        failed = [o for o in outcomes or () if isinstance(o, Retry)]
        retries, throttled = len(failed), int(any(o.throttled for o in failed))
        if self.call is None:
            self.meter.add(
                Counts(calls=1, images=self.images, retries=retries, throttled=throttled)
            )
        else:
            billed = billed_units(outcomes, self.units) * self.price
            self.meter.settle(self.call, billed, retries, throttled)

    def unused(self) -> None:
        """See :class:`certification.protocols.Permit`."""
        self.permit.unused()
        if self.call is not None:
            self.meter.take_back(self.call)
