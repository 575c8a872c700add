"""Ledgers that count the votes which one run adds to them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from certification.protocols import Header, Ledger, Ledgers, Rerolls, Vote, Waiter
from service.usage.counts import Counts
from service.usage.meter import Meter


class CountedLedgers:
    """See :class:`certification.protocols.Ledgers`.

    Args:
        ledgers: of the deployment.
        meter: of the run.
    """

    def __init__(self, ledgers: Ledgers, meter: Meter) -> None:
        self._ledgers, self._meter = ledgers, meter

    async def find(self, draft: str) -> Ledger | None:
        """See :class:`certification.protocols.Ledgers`."""
        found = await self._ledgers.find(draft)
        return None if found is None else CountedLedger(found, self._meter)

    async def open(
        self, draft: str, header: Header, names: Mapping[str, str] | None = None
    ) -> Ledger:
        """See :class:`certification.protocols.Ledgers`."""
        return CountedLedger(await self._ledgers.open(draft, header, names), self._meter)

    async def rerolls(self, draft: str) -> Rerolls | None:
        """See :class:`certification.protocols.Ledgers`."""
        return await self._ledgers.rerolls(draft)

    async def retire(self, draft: str) -> None:
        """See :class:`certification.protocols.Ledgers`."""
        await self._ledgers.retire(draft)

    async def spoil(self, draft: str) -> None:
        """See :class:`certification.protocols.Ledgers`."""
        await self._ledgers.spoil(draft)

    async def spoiled(self, draft: str) -> int:
        """See :class:`certification.protocols.Ledgers`."""
        return await self._ledgers.spoiled(draft)

    def hold(self, draft: str, unless: Waiter) -> AbstractAsyncContextManager[None]:
        """See :class:`certification.protocols.Ledgers`."""
        return self._ledgers.hold(draft, unless)


class CountedLedger:
    """See :class:`certification.protocols.Ledger`.

    Args:
        ledger: of the deployment.
        meter: of the run.
    """

    def __init__(self, ledger: Ledger, meter: Meter) -> None:
        self._ledger, self._meter = ledger, meter

    @property
    def header(self) -> Header:
        """See :class:`certification.protocols.Ledger`."""
        return self._ledger.header

    async def read(self, start: int = 0) -> list[Vote]:
        """See :class:`certification.protocols.Ledger`."""
        return await self._ledger.read(start)

    async def append(
        self, start: int, votes: Sequence[Vote], names: Mapping[str, str] | None = None
    ) -> None:
        """See :class:`certification.protocols.Ledger`."""
        await self._ledger.append(start, votes, names)
        self._meter.votes += len(votes)
        self._meter.add(Counts(votes=len(votes), abstentions=sum(v is None for v in votes)))

    async def spend(self, alpha: float) -> None:
        """See :class:`certification.protocols.Ledger`."""
        await self._ledger.spend(alpha)

    async def names(self) -> Mapping[str, str]:
        """See :class:`certification.protocols.Ledger`."""
        return await self._ledger.names()

    async def vouch(self, length: int) -> None:
        """See :class:`certification.protocols.Ledger`."""
        await self._ledger.vouch(length)

    async def vouched(self) -> int:
        """See :class:`certification.protocols.Ledger`."""
        return await self._ledger.vouched()
