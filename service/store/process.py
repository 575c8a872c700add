"""One process of the deployment, and the sign of life that its claims depend on.

A process that dies stops renewing it; after the lease its claims are void and its interrupted
runs may be taken up by another.
"""

import asyncio
import contextlib
import secrets

from service.errors import StoreError
from service.store.connection import Store

RENEWALS = 4  # per lease


class Process:
    """This process.

    Args:
        store: the connection.
        lease_seconds: how long its claims outlive it.

    Attributes:
        id: never used again by another process.
    """

    def __init__(self, store: Store, lease_seconds: float) -> None:
        self._store, self._lease = store, lease_seconds
        self.id = secrets.token_hex(8)
        self._renewing: asyncio.Task[None] | None = None
        self._release: dict[str, str] = {}

    async def begin(self) -> None:
        """Give the first sign of life, and go on.

        Raises:
            StoreError: if the store is away.
        """
        await self._sign()
        self._renewing = asyncio.create_task(self._renew())

    async def end(self) -> None:
        """Give no more: all claims are void at once."""
        if self._renewing is None:
            return
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)
        self._renewing = None
        with contextlib.suppress(StoreError):
            await self._store.brisk(lambda redis: redis.delete(self._key))

    async def lives(self, process: str) -> bool:
        """Tell whether a process lives."""
        key = self._store.key("process", process)
        return bool(await self._store.patient(lambda redis: redis.exists(key)))

    def release_later(self, claim: str, token: str) -> None:
        """Give a claim back once the store is there: it would hold as long as this process."""
        self._release[claim] = token

    @property
    def _key(self) -> str:
        return self._store.key("process", self.id)

    async def _sign(self) -> None:
        milliseconds = round(self._lease * 1000)
        await self._store.brisk(lambda redis: redis.set(self._key, "alive", px=milliseconds))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease / RENEWALS)
            with contextlib.suppress(StoreError):  # `Store` has told the log, and runs wait
                await self._sign()
                for claim, token in [*self._release.items()]:
                    await self._store.brisk_script("release", [claim], [token])
                    del self._release[claim]
