"""What a run has cost: reserved before each call, settled after it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any


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
    """

    price: Decimal
    cap: Decimal | None = None
    calls: int = 0
    images: int = 0
    retries: int = 0
    units: int = 0
    reserved: int = 0

    @property
    def cost(self) -> Decimal:
        """US dollars billed so far."""
        return self.units * self.price

    def affordable(self, units: int) -> bool:
        """Tell whether `units` more stay under the cap even if all calls in flight are billed."""
        return self.cap is None or (self.units + self.reserved + units) * self.price <= self.cap

    def describe(self) -> dict[str, Any]:
        """Return the entry of the certificate."""
        return {
            "calls": self.calls,
            "images": self.images,
            "retries": self.retries,
            "cost": float(self.cost),
            "currency": "USD",
        }
