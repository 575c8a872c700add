"""One process of the deployment, and the sign of life that its claims depend on.

    process:ID      a number that grows, and the claims that it has or wants; goes after the lease

A process that dies stops renewing it; after the lease its claims are void and its interrupted
runs may be taken up by another. A claim that its process does not name is void as well, so one
that comes late, after it was given back, is none: commands may be delayed, or sent twice.
"""

import asyncio
import contextlib
import secrets

from service.errors import StoreError
from service.store.connection import Store

RENEWALS = 4  # per lease
END_SECONDS = 2.0  # for a sign of life that is under way


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
        self._over = asyncio.Event()
        self._signs = 0
        self._tokens: set[str] = set()
        self._left: dict[str, str] = {}  # given back, and still to be removed from the store

    async def begin(self) -> None:
        """Give the first sign of life, and go on.

        Raises:
            StoreError: if the store is away.
        """
        await self._sign()
        self._renewing = asyncio.create_task(self._renew())

    async def end(self) -> None:
        """Give no more: all claims are void at once, and whoever looks takes its runs up."""
        if self._renewing is None:
            return
        self._over.set()  # not cut off: a sign that arrived after the last word would be believed
        await asyncio.wait([self._renewing], timeout=END_SECONDS)
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)
        self._renewing = None
        with contextlib.suppress(StoreError):
            await self._store.brisk(lambda redis: redis.delete(self._key))

    async def lives(self, process: str) -> bool:
        """Tell whether a process lives."""
        key = self._store.key("process", process)
        return bool(await self._store.patient(lambda redis: redis.exists(key)))

    def want(self) -> str:
        """Return a new token to claim something with; it counts until it is given back."""
        token = f"{self.id}:{secrets.token_hex(8)}"
        self._tokens.add(token)
        return token

    async def claim(self, claim: str, token: str) -> bool:
        """Claim something as soon as the store is there; tells whether it was free.

        Args:
            claim: its key.
            token: from :meth:`want`.
        """
        args = [token, self._store.key("process", ""), *self._next_sign()]
        return bool(await self._store.script("claim", [claim, self._key], args))

    async def give_back(self, claim: str, token: str) -> None:
        """Give a claim back, whether or not it was had; while the store is away, soon after."""
        self._tokens.discard(token)  # so it is void from the next sign on
        self._left[claim] = token
        with contextlib.suppress(StoreError):
            await self._remove(claim, token)

    @property
    def _key(self) -> str:
        return self._store.key("process", self.id)

    def _next_sign(self) -> tuple[str, int]:
        if self._over.is_set():
            return "0 ", 1  # earlier than any: what is given back late makes nobody live again
        self._signs += 1  # of two that come in another order, the later one counts
        tokens = "".join(f"{token} " for token in sorted(self._tokens))
        return f"{self._signs} {tokens}", round(self._lease * 1000)

    async def _sign(self) -> None:
        await self._store.brisk_script("sign", [self._key], [*self._next_sign()])

    async def _remove(self, claim: str, token: str) -> None:
        args = [*self._next_sign(), token]
        await self._store.brisk_script("sign", [self._key, claim], args)
        if self._left.get(claim) == token:
            del self._left[claim]

    async def _renew(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._lease / RENEWALS):
                    await self._over.wait()
                return
            with contextlib.suppress(StoreError):  # `Store` has told the log, and runs wait
                await self._sign()
                for claim, token in [*self._left.items()]:
                    await self._remove(claim, token)
