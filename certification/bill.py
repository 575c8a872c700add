"""What a run has cost: reserved before each call, settled after it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from certification.protocols import Outcome, Retry

STEP = 64  # units that are allowed at once, so that not every call has to be noted


def billed_units(outcomes: Sequence[Outcome] | None, units: int) -> int:
    """Return what a call is billed.

    Args:
        outcomes: what came of it; None if it ended in an exception, and may have been billed.
        units: what all of it would be.
    """
    if outcomes is None:
        return units
    return min(units, sum(not isinstance(o, Retry) or o.billed for o in outcomes))


@dataclass
class Allowance:
    """Carries what a run may have spent over a restart, so that it keeps under its cap.

    Attributes:
        spent: units that an interrupted run before this one may have used, at most.
        note: is told, before they are used, how many units in all may be; None to tell nobody.
    """

    spent: int = 0
    note: Callable[[int], Awaitable[None]] | None = None
    noted: int = field(default=0, init=False)

    async def cover(self, units: int) -> None:
        """See that so many units of this run are noted."""
        if self.note is not None and units > self.noted:
            noted = units + STEP
            await self.note(self.spent + noted)
            self.noted = max(self.noted, noted)


@dataclass
class Bill:
    """What a run has cost so far.

    Attributes:
        price: US dollars per unit.
        cap: US dollars that must not be passed, None for no cap.
        calls: calls made.
        images: pictures sent, those asked again counted again.
        retries: pictures asked again.
        units: billed units of answered calls.
        reserved: units of calls in flight.
        before: units that the run may have used before it was interrupted, at most.
    """

    price: Decimal
    cap: Decimal | None = None
    calls: int = 0
    images: int = 0
    retries: int = 0
    units: int = 0
    reserved: int = 0
    before: int = 0

    @property
    def cost(self) -> Decimal:
        """US dollars billed so far."""
        return self.units * self.price

    def affordable(self, units: int) -> bool:
        """Tell whether `units` more stay under the cap even if all calls in flight are billed."""
        used = self.before + self.units + self.reserved
        return self.cap is None or (used + units) * self.price <= self.cap

    def describe(self) -> dict[str, Any]:
        """Return the entry of the certificate."""
        told = {
            "calls": self.calls,
            "images": self.images,
            "retries": self.retries,
            "cost": float(self.cost),
            "currency": "USD",
        }
        if self.before:
            told["cost_before_interruption_at_most"] = float(self.before * self.price)
        return told
