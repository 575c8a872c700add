"""From what came of one picture's run to its row."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.jobs.item import Item
from service.jobs.rows import Row


@dataclass
class Used:
    """What one attempt has used.

    Attributes:
        calls: to the provider.
        images: pictures sent.
        units: billed units.
        throttled: calls that the provider had no capacity for.
    """

    calls: int = 0
    images: int = 0
    units: int = 0
    throttled: int = 0

    def add(self, other: "Used") -> None:
        """Add what something else has used."""
        self.calls += other.calls
        self.images += other.images
        self.units += other.units
        self.throttled += other.throttled

    def take(self, other: "Used") -> None:
        """Take away what something else has used."""
        self.add(Used(-other.calls, -other.images, -other.units, -other.throttled))


def charged(item: Item, before: Row | None, used: Used, price: float, seconds: float) -> Row:
    """Return a picture's row with one attempt added to what all have used so far."""
    row = before or Row(item.number, item.name, item.sha256, "waiting", truth=item.truth)
    return dataclasses.replace(
        row,
        calls=row.calls + used.calls,
        images=row.images + used.images,
        cost=round(row.cost + used.units * price, 9),
        seconds=round(row.seconds + seconds, 3),
        problem=None,
    )


def certified(row: Row, document: Mapping[str, Any], retries: int) -> Row:
    """Return the row of a picture that has its certificate."""
    proof, truth = document["proof"], document["truth"]
    abstained = proof["abstained"]
    label = proof["label"]
    return dataclasses.replace(
        row,
        state="done",
        label=None if label is None else document["label_names"].get(label, label),
        abstained=abstained,
        radius=0.0 if abstained else proof["radius"],
        correct=None if truth is None else bool(truth["correct"]),
        n=proof["votes"]["n"],
        abstentions=proof["votes"]["abstentions"],
        retries=row.retries + retries,
        stop_reason=proof["stop_reason"],
        certificate=document["id"],
    )


def partly(row: Row, document: Mapping[str, Any], retries: int) -> Row:
    """Return the row of a picture that will be asked about further.

    Its votes are those that it has by now, from which the next slice follows. What it had ended as
    before, the store keeps beside it: see `RedisJobPictures.back`.
    """
    votes = document["proof"]["votes"]
    return dataclasses.replace(
        row,
        state="waiting",
        n=votes["n"],
        abstentions=votes["abstentions"],
        retries=row.retries + retries,
    )


def ended(row: Row, state: str, problem: Mapping[str, Any] | None) -> Row:
    """Return the row of a picture that ended without a certificate."""
    return dataclasses.replace(row, state=state, problem=problem)  # type: ignore[arg-type]
