"""A number of a ledger that only grows, sealed, and changed only from what was read."""

from collections.abc import Awaitable, Callable

import structlog

from service.store.connection import Store
from service.store.ledger_seals import LedgerSeals

Missing = Callable[[], Awaitable[object]]

log = structlog.get_logger("surety.ledger")


class Raised:
    """See the module's text.

    Args:
        store: the connection.
        key: of the ledger's hash.
        field: of it; also what it is called in errors.
        kind: int or float.
        seals: of the ledger.

    Attributes:
        known: the largest number that this process has read or written.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        field: str,
        kind: type[int] | type[float],
        seals: LedgerSeals,
    ) -> None:
        self._store, self._key, self._field, self._kind = store, key, field, kind
        self._seals = seals
        self.known: float = kind(0)

    async def get(self, missing: Missing) -> float:
        """Return it; what the store has lost of it is written again.

        Args:
            missing: as for :meth:`raise_to`.

        Raises:
            LedgerDamaged: if it is not what was written.
        """
        return await self.raise_to(self.known, missing)

    async def raise_to(self, number: float, missing: Missing) -> float:
        """See that it is at least so large; returns it.

        Args:
            number: that it shall be.
            missing: is called where there is no such field; raises, unless it puts it back.

        Raises:
            LedgerDamaged: if it is not what was written.
        """
        while True:
            raw = await self._read(missing)
            found = self._kind(self._seals.unseal(raw, self._field))
            if found < self.known:
                log.warning("the store has lost a number that it had taken", field=self._field)
            self.known = max(self.known, found, self._kind(number))
            if found == self.known:
                return found
            after = self._seals.seal(repr(self.known), self._field)
            if await self._store.swap(self._key, self._field, raw, after):
                return self.known

    async def _read(self, missing: Missing) -> bytes | None:
        found: bytes | None = await self._store.patient(
            lambda redis: redis.hget(self._key, self._field)
        )
        if found is not None:
            return found
        await missing()
        return await self._store.patient(lambda redis: redis.hget(self._key, self._field))
