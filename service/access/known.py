"""The API keys that this process knows of, asked for anew every few seconds.

Revoking a key takes effect within `FRESH_SECONDS` in every process; a new one counts at once. While
the store does not answer nobody is let in, but to the metrics: see :class:`Remembered`.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from service.access.api_key import ApiKey
from service.access.caller import ANYBODY, Caller
from service.access.token import Token
from service.edges.shares import Shares
from service.errors import StoreUnavailable, Unauthenticated
from service.store.api_keys import RedisApiKeys

FRESH_SECONDS = 2.0
COUNT_SECONDS = 10.0  # how old may be what is known of there being several
REMEMBERED_SECONDS = 300.0  # before the store went away: what was known then
MOST = 10_000  # keys that are remembered


@dataclass(frozen=True)
class _Seen:
    key: ApiKey
    at: float  # on the monotonic clock


class Known:
    """See the module's text.

    Args:
        keys: of the deployment.
        shares: is told whether several keys count; until that is known, as if they did.
        always: whether a key is needed even while there is none.
        answered: tells when the store last answered, on the monotonic clock.
    """

    def __init__(
        self,
        keys: RedisApiKeys,
        shares: Shares,
        *,
        always: bool,
        answered: Callable[[], float],
    ) -> None:
        self._keys, self._shares, self._answered = keys, shares, answered
        self._shares.several = True
        self._counted_until = 0.0
        self._needed = always
        self._unneeded_at = -math.inf
        self._seen: dict[str, _Seen] = {}  # by digests of the tokens shown: only what was right
        self._guests: set[str] = set()

    async def needed(self) -> bool:
        """Tell whether a key is needed: where there is one or ever was one since the start.

        Raises:
            StoreError: if that is not known.
        """
        if not self._needed and time.monotonic() >= self._unneeded_at + FRESH_SECONDS:
            self._needed = await self._keys.any()
            self._unneeded_at = time.monotonic()
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
        if seen is None or time.monotonic() >= seen.at + FRESH_SECONDS:
            began = time.monotonic()
            key = await self._keys.check(token)
            self._seen.pop(digest, None)
            if key is None:
                raise Unauthenticated(shown=True)
            if len(self._seen) >= MOST:
                self._seen.clear()
            seen = self._seen[digest] = _Seen(key, began)
        return _caller_of(seen)

    def remembered(self) -> "Remembered":
        """Return what was known when the store went away."""
        since = self._answered() - REMEMBERED_SECONDS
        unneeded = self._unneeded_at >= since and not self._needed
        seen = {digest: one for digest, one in self._seen.items() if one.at >= since}
        return Remembered(None if not (unneeded or self._needed) else self._needed, seen)

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


class Remembered:
    """What a process knew within the last minutes before the store went away.

    Nobody can revoke a key while the store is away; one that was revoked in those minutes, and not
    shown since, still counts here. So it is asked for what tells nothing of anybody alone.

    Args:
        needed: whether a key is needed; None if that was not known.
        seen: keys that were right, by the digests of what was shown.
    """

    def __init__(self, needed: bool | None, seen: Mapping[str, _Seen]) -> None:
        self._needed, self._seen = needed, seen

    async def needed(self) -> bool:
        """See :meth:`Known.needed`.

        Raises:
            StoreUnavailable: if that was not known.
        """
        if self._needed is None:
            raise _unknown()
        return self._needed

    async def caller(self, token: Token) -> Caller:
        """See :meth:`Known.caller`.

        Raises:
            Unauthenticated: if the key has expired meanwhile.
            StoreUnavailable: if it was not known.
        """
        seen = self._seen.get(token.digest)
        if seen is None:
            raise _unknown()
        return _caller_of(seen)


def _caller_of(seen: _Seen) -> Caller:
    if seen.key.state() != "active":  # it has expired meanwhile
        raise Unauthenticated(shown=True)
    return Caller.of(seen.key)


def _unknown() -> StoreUnavailable:
    return StoreUnavailable(
        "the store does not answer, so it is not known who may ask. Try again in a moment"
    )
