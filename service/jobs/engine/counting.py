"""Counts what the calls of one run use, as they end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from certification.bill import billed_units
from certification.protocols import Classifier, Gate, Gates, Outcome, Permit, Retry, Traits
from service.jobs.engine.outcome import Used


class CountingGates:
    """See :class:`certification.protocols.Gates`.

    Args:
        gates: through which the calls go.
        into: what is counted up.
    """

    def __init__(self, gates: Gates, into: Sequence[Used]) -> None:
        self._gates, self._into = gates, into

    def of(self, classifier: Classifier) -> "CountingGate":
        """See :class:`certification.protocols.Gates`."""
        return CountingGate(self._gates.of(classifier), classifier.traits, self._count)

    def _count(self, call: Used) -> None:
        for used in self._into:
            used.add(call)


class CountingGate:
    """See :class:`certification.protocols.Gate`.

    Args:
        gate: through which the calls go.
        traits: of the provider.
        count: is told what each call has used.
    """

    def __init__(self, gate: Gate, traits: Traits, count: Callable[[Used], None]) -> None:
        self._gate, self._traits, self._count = gate, traits, count

    async def enter(self, images: int) -> "CountedPermit":
        """See :class:`certification.protocols.Gate`."""
        units = self._traits.units(images)
        return CountedPermit(await self._gate.enter(images), images, units, self._count)


@dataclass
class CountedPermit:
    """See :class:`certification.protocols.Permit`.

    Attributes:
        permit: the one that it stands for.
        images: pictures of the call.
        units: that it may be billed.
        count: is told what the call has used.
    """

    permit: Permit
    images: int
    units: int
    count: Callable[[Used], None]

    def done(self, outcomes: Sequence[Outcome] | None) -> None:
        """See :class:`certification.protocols.Permit`."""
        self.permit.done(outcomes)
        throttled = any(isinstance(o, Retry) and o.throttled for o in outcomes or ())
        billed = billed_units(outcomes, self.units)
        self.count(Used(1, self.images, billed, int(throttled)))

    def unused(self) -> None:
        """See :class:`certification.protocols.Permit`."""
        self.permit.unused()
