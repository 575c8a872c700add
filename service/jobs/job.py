"""A job as it stands at a moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.billionths import NANO
from service.jobs.spec import JobSpec
from service.jobs.states import JobState, PictureState, actions


@dataclass(frozen=True)
class Job:
    """See the module's text.

    Attributes:
        id: its name.
        state: see :mod:`service.jobs.states`.
        spec: what it is to do.
        created: ISO date.
        count: pictures.
        counts: pictures by state.
        spent: billionths of a dollar, of calls in flight and of those that died included.
        reserved: the part of it that no answer has confirmed.
        images: pictures sent to the provider.
        calls: calls made.
        throttled: calls that the provider had no capacity for.
        ended: ISO date of the end, None while there is something to do.
        problem: why it does not go on by itself, as an RFC 9457 document.
        skipped: files that were passed over, being hidden or clutter by their names.
    """

    id: str
    state: JobState
    spec: JobSpec
    created: str
    count: int = 0
    counts: Mapping[PictureState, int] = field(default_factory=dict)
    spent: int = 0
    reserved: int = 0
    images: int = 0
    calls: int = 0
    throttled: int = 0
    ended: str | None = None
    problem: Mapping[str, Any] | None = None
    skipped: int = 0

    @property
    def owner(self) -> str | None:
        """Id of the API key that submitted it; None where there was none."""
        return self.spec.owner

    @property
    def left(self) -> int:
        """Pictures that have not ended."""
        return self.counts.get("waiting", 0) + self.counts.get("working", 0)

    @property
    def cost(self) -> float:
        """US dollars of answered calls."""
        return (self.spent - self.reserved) / NANO

    @property
    def cost_at_most(self) -> float:
        """US dollars, if all calls that nobody knows the end of are billed."""
        return self.spent / NANO

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "id": self.id,
            "state": self.state,
            "actions": actions(self.state),
            "created": self.created,
            "ended": self.ended,
            "pictures": self.count,
            "by_state": dict(self.counts),
            "skipped": self.skipped,
            "images": self.images,
            "calls": self.calls,
            "throttled": self.throttled,
            "cost": self.cost,
            "cost_at_most": self.cost_at_most,
            "currency": "USD",
            "problem": None if self.problem is None else dict(self.problem),
            **self.spec.describe(),
        }
