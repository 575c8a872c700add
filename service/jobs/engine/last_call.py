"""The money of a picture's last call, to a provider that names no model version.

There only votes count that lie between two equal answers about the clean picture (a canary, see
:mod:`certification.canary`). A job whose money ends with a vote could not ask for the second one,
and what it has paid for would certify nothing. So each picture keeps the price of one call back.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator

from certification.protocols import Traits
from service.jobs.engine.gates import JobGates, Purse
from service.jobs.job import Job


class LastCall:
    """A :class:`service.jobs.engine.gates.Purse` with the money of one call about one picture.

    Args:
        purse: of the job.
        call: by which name it was set aside there.
        units: that were.
    """

    def __init__(self, purse: Purse, call: str, units: int) -> None:
        self._purse, self._call, self._units, self._there = purse, call, units, True

    async def reserve(self, call: str, units: int) -> bool:
        """See :class:`service.jobs.engine.gates.Purse`."""
        enough = self._there and units <= self._units
        self._there = self._there and not enough
        return enough

    async def settle(self, call: str, billed: int) -> None:
        """See :class:`service.jobs.engine.gates.Purse`."""
        if billed:
            await self._purse.settle(self._call, billed)
        else:  # throttled, say: the provider is asked again
            self._there = True

    async def close(self) -> None:
        """Give it back if nobody has taken it."""
        if await self.reserve(self._call, self._units):
            await self._purse.settle(self._call, 0)


@contextlib.asynccontextmanager
async def last_call(job: Job, gates: JobGates, traits: Traits) -> AsyncIterator[JobGates | None]:
    """Keep the money of one call back, and yield gates that let just that through.

    Args:
        job: whose money it is.
        gates: of the job.
        traits: of its provider.

    Yields:
        None where no such call is needed, or where there is no money for it.
    """
    purse, units = gates.purse, traits.units(1)
    if purse is None or job.spec.max_cost is None or not traits.price or traits.names_version:
        yield None
        return
    call = secrets.token_hex(8)
    if not await gates.set_aside(purse, call, units):
        yield None
        return
    last = LastCall(purse, call, units)
    paid = gates.paid_from(last)
    try:
        yield paid
    finally:
        await paid.drain()
        gates.later(last.close())
