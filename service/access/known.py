"""The API keys that this process knows of, asked for anew every few seconds.

Revoking a key takes effect within `FRESH_SECONDS` in every process; a new one counts at once. While
the store does not answer nobody is let in.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from service.access.api_key import ApiKey
from service.access.caller import ANYBODY, Caller
from service.access.token import Token
from service.edges.shares import Shares
from service.errors import Unauthenticated
from service.store.api_keys import RedisApiKeys

FRESH_SECONDS = 2.0
COUNT_SECONDS = 10.0  # how old may be what is known of there being several
MOST = 10_000  # keys that are remembered


@dataclass(frozen=True)
class _Seen:
    key: ApiKey
    until: float  # on the monotonic clock


class Known:
    """See the module's text.

    Args:
        keys: of the deployment.
        shares: is told whether several keys count; until that is known, as if they did.
        always: whether a key is needed even while there is none.
    """

    def __init__(self, keys: RedisApiKeys, shares: Shares, *, always: bool) -> None:
        self._keys, self._shares = keys, shares
        self._shares.several = True
        self._counted_until = 0.0
        self._needed = always
        self._unneeded_until = 0.0
        self._seen: dict[str, _Seen] = {}  # by digests of the tokens shown: only what was right
        self._guests: set[str] = set()

    async def needed(self) -> bool:
        """Tell whether a key is needed: where there is one or ever was one since the start.

        Raises:
            StoreError: if that is not known.
        """
        if not self._needed and time.monotonic() >= self._unneeded_until:
            self._needed = await self._keys.any()
            self._unneeded_until = time.monotonic() + FRESH_SECONDS
        return self._needed

    async def caller(self, token: Token) -> Caller:
        """Return who shows a key.

        Raises:
            Unauthenticated: if it does not count, for whatever reason.
            StoreError: if that is not known.
        """
        digest = token.digest
        if digest in self._guests:
            return ANYBODY
        await self._count()
        seen = self._seen.get(digest)
        if seen is None or time.monotonic() >= seen.until:
            self._seen.pop(digest, None)
            began = time.monotonic()
            key = await self._keys.check(token)
            if key is None:
                raise Unauthenticated(shown=True)
            if len(self._seen) >= MOST:
                self._seen.clear()
            seen = self._seen[digest] = _Seen(key, began + FRESH_SECONDS)
        if seen.key.state() != "active":  # it has expired meanwhile
            raise Unauthenticated(shown=True)
        return Caller.of(seen.key)

    async def _count(self) -> None:
        """Find out now and then whether the places are shared among several keys."""
        if time.monotonic() >= self._counted_until:
            self._shares.several = await self._keys.several()
            self._counted_until = time.monotonic() + COUNT_SECONDS

    @contextlib.contextmanager
    def guest(self) -> Iterator[str]:
        """Let somebody in for a while who is in this process: yields what to show."""
        token = Token.new()
        self._guests.add(token.digest)
        try:
            yield token.text
        finally:
            self._guests.discard(token.digest)
