"""What jobs spend and use: reserved before each call, settled afterwards, and counted."""

from collections.abc import Mapping

from service.store.connection import Store


class JobMoney:
    """See the module's text, and that of :mod:`service.store.jobs` for the keys.

    Args:
        store: the connection.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def reserve(self, job_id: str, call: str, amount: int, cap: int | None) -> bool:
        """Reserve money of a job for a call; tells whether its cap allows that.

        Args:
            job_id: whose money.
            call: a name that no other call has: a command may reach the store twice.
            amount: billionths of a dollar.
            cap: the most that may be spent in all, None for no cap.
        """
        keys = [self.key(job_id), self.key(job_id, "calls")]
        args = [call, amount, "" if cap is None else cap]
        return bool(await self._store.script("purse_reserve", keys, args))

    async def settle(self, job_id: str, call: str, billed: int) -> None:
        """Settle a call: what was reserved for it and not billed is free again."""
        keys = [self.key(job_id), self.key(job_id, "calls")]
        await self._store.script("purse_settle", keys, [call, billed])

    async def tally(self, job_id: str, counts: Mapping[str, int]) -> None:
        """Add to a job's figures: calls, images, throttled."""
        args = [x for name, count in counts.items() for x in (name, count)]
        await self._store.script("job_tally", [self.key(job_id)], args)

    def key(self, job_id: str, *parts: str) -> str:
        """Return a key of a job."""
        return self._store.key("job", job_id, *parts)
