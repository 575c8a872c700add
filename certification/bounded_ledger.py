"""A ledger as one run sees it: its store may be away, and the run waits, but not past its end.

A store that cannot be reached is waited for, since the votes on their way are paid for. Once the
run has to end, a little longer; then it ends with what was kept.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from certification.errors import LedgerUnavailable
from certification.interrupt import Interrupt
from certification.protocols import Header, Ledger, Vote

GRACE_SECONDS = 3.0

T = TypeVar("T")


class BoundedLedger:
    """See the module's text; the methods are those of `certification.protocols.Ledger`.

    Args:
        ledger: the deployment's.
        interrupt: of the run.

    Every method raises LedgerUnavailable if the run has to end and the store does not answer.
    """

    def __init__(self, ledger: Ledger, interrupt: Interrupt) -> None:
        self._ledger, self._interrupt = ledger, interrupt

    @property
    def header(self) -> Header:
        """What was fixed before vote 0."""
        return self._ledger.header

    async def read(self, start: int = 0) -> list[Vote]:
        """Return the votes from index `start` on."""
        return await bounded(self._interrupt, self._ledger.read(start))

    async def append(
        self, start: int, votes: Sequence[Vote], names: Mapping[str, str] | None = None
    ) -> None:
        """Add votes start, start+1, …."""
        await bounded(self._interrupt, self._ledger.append(start, votes, names))

    async def spend(self, alpha: float) -> None:
        """Note with which probability of error the votes are looked at."""
        await bounded(self._interrupt, self._ledger.spend(alpha))

    async def names(self) -> Mapping[str, str]:
        """Return label key → the provider's spelling."""
        return await bounded(self._interrupt, self._ledger.names())

    async def vouch(self, length: int) -> None:
        """Note that the first `length` votes lie between two equal answers to the canary."""
        await bounded(self._interrupt, self._ledger.vouch(length))

    async def vouched(self) -> int:
        """Return the largest length that was vouched for."""
        return await bounded(self._interrupt, self._ledger.vouched())


async def bounded(interrupt: Interrupt, work: Coroutine[Any, Any, T]) -> T:
    """Await work on the store, for as long as it takes; after an interrupt a few seconds.

    Raises:
        LedgerUnavailable: if it did not come to an end.
    """
    task = asyncio.ensure_future(work)
    try:
        either: set[asyncio.Future[Any]] = {task, interrupt.future}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait({task}, timeout=GRACE_SECONDS)
        if task.done():
            return task.result()
        raise LedgerUnavailable(
            "the store of the ledgers does not answer, and the run has to end: votes that it has "
            "kept are there when it answers again"
        )
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
