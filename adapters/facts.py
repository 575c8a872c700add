"""What the providers charge and allow by default: the dated table `prices.toml`."""

import datetime
import functools
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal


@dataclass(frozen=True)
class Facts:
    """One provider's row.

    Attributes:
        as_of: when it was looked up.
        price: US dollars per unit.
        unit: what is billed.
        rate: units a second that an account may send by default; None if not published.
        rate_unit: what the provider counts for it.
        rate_note: the quota in the provider's words.
        source: where the price is published.
    """

    as_of: datetime.date
    price: float
    source: str
    unit: Literal["image", "request"] = "image"
    rate: float | None = None
    rate_unit: Literal["image", "request"] = "image"
    rate_note: str = ""

    def traits(self) -> dict[str, Any]:
        """Return those fields of `Traits` that the table knows."""
        return {
            "price": self.price,
            "unit": self.unit,
            "rate": self.rate,
            "rate_unit": self.rate_unit,
        }


@functools.cache
def table() -> dict[str, Facts]:
    """Return all rows, by provider."""
    text = (files("adapters") / "prices.toml").read_text(encoding="utf-8")
    return {name: Facts(**row) for name, row in tomllib.loads(text).items()}
