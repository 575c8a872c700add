"""Progress of a run, as events for a bar in the terminal or for server-sent events."""

import time
from dataclasses import asdict, dataclass
from typing import Any

from certification.bill import Bill
from certification.martingale import PER_UNIT
from certification.radius import floored, l2_radius
from certification.tally import Tally


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        n: votes counted.
        counts: votes by label, the most frequent first.
        abstentions: votes for no label.
        label: the label certified so far.
        radius: the L2 radius certified so far, rounded down; 0 if none.
        votes_per_second: new votes since the run began, per second.
        expected_remaining: votes that the present rate still needs.
        cost: US dollars so far.
        calls: calls so far.
    """

    n: int
    counts: dict[str, int]
    abstentions: int
    label: str | None
    radius: float
    votes_per_second: float
    expected_remaining: int
    cost: float
    calls: int

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


class Meter:
    """Makes the events of one run."""

    def __init__(self, sigma: float, bill: Bill) -> None:
        self._sigma, self._bill = sigma, bill
        self._started = time.monotonic()
        self._first_n: int | None = None

    def event(self, tally: Tally, remaining: int) -> Progress:
        """Look at a tally now."""
        if self._first_n is None:  # votes already in the ledger took no time of this run
            self._first_n = tally.n
        seconds = max(1e-9, time.monotonic() - self._started)
        pointer = round(tally.z * PER_UNIT)
        return Progress(
            n=tally.n,
            counts=dict(sorted(tally.counts.items(), key=lambda c: (-c[1], c[0]))),
            abstentions=tally.abstentions,
            label=tally.label,
            radius=floored(l2_radius(self._sigma, pointer)),
            votes_per_second=round((tally.n - self._first_n) / seconds, 1),
            expected_remaining=remaining,
            cost=float(self._bill.cost),
            calls=self._bill.calls,
        )
