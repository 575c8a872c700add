"""What is counted, for one API key, provider and day of UTC."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Self

from service.billionths import NANO

ALPHA_UNIT = 10**12
"""Alphas are counted in whole units of 1/ALPHA_UNIT, each rounded up."""


@dataclass(frozen=True)
class Counts:
    """See the module's text; all of them whole numbers that are added up.

    Attributes:
        certificates: that were issued, those issued once more included.
        certified: of them, with a label, whatever its radius: it may be 0.
        abstained: all others of them: no label is certain.
        cached: of them, for which nothing was asked: the ledger had all votes.
        alpha: sum of theirs, in units of 1 / ALPHA_UNIT; so many are expected to be false at most,
            if each was chosen before its votes were seen.
        predictions: majority answers.
        votes: that were added to ledgers.
        abstentions: of them, for no label.
        calls: to the provider, those in flight included.
        images: pictures sent, those sent again counted again.
        retries: pictures that came back without an answer, to be asked about again.
        throttled: calls that the provider had no capacity for.
        spent: billionths of a dollar, of calls in flight and of those that died included.
        reserved: the part of it that no answer has confirmed.
    """

    certificates: int = 0
    certified: int = 0
    abstained: int = 0
    cached: int = 0
    alpha: int = 0
    predictions: int = 0
    votes: int = 0
    abstentions: int = 0
    calls: int = 0
    images: int = 0
    retries: int = 0
    throttled: int = 0
    spent: int = 0
    reserved: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Add up."""
        return Counts(*(getattr(self, name) + getattr(other, name) for name in NAMES))

    def __neg__(self) -> "Counts":
        """Take back."""
        return Counts(*(-getattr(self, name) for name in NAMES))

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return any(getattr(self, name) for name in NAMES)

    def changes(self) -> dict[str, int]:
        """Return what is not 0, by name."""
        return {name: getattr(self, name) for name in NAMES if getattr(self, name)}

    def describe(self) -> dict[str, Any]:
        """Return JSON values, money in US dollars."""
        told: dict[str, Any] = {name: getattr(self, name) for name in NAMES[:4]}
        told["expected_false_at_most"] = self.alpha / ALPHA_UNIT
        told |= {name: getattr(self, name) for name in NAMES[5:12]}
        told["cost"] = (self.spent - self.reserved) / NANO
        told["cost_at_most"] = self.spent / NANO
        return told

    @classmethod
    def of_certificate(cls, proof: Mapping[str, Any], *, cached: bool) -> Self:
        """Return what one certificate counts as.

        Args:
            proof: of the certificate.
            cached: whether nothing was asked for it.
        """
        return cls(
            certificates=1,
            certified=int(not proof["abstained"]),
            abstained=int(proof["abstained"]),
            cached=int(cached),
            alpha=math.ceil(Decimal(repr(float(proof["alpha"]))) * ALPHA_UNIT),
        )


NAMES: tuple[str, ...] = tuple(field.name for field in fields(Counts))


def written(dollars: float) -> str:
    """Return US dollars for people: two decimals, and more where there are more."""
    whole, _, decimals = f"{Decimal(str(dollars)):,.9f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"
