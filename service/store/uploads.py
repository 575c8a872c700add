"""Uploaded pictures by the SHA-256 of their bytes, for as long as somebody needs them.

upload:SHA256          the bytes
upload:SHA256:users    the jobs that need them; "loose" for one that nobody has named yet
uploads:loose          loose ones by date, which go after a while
"""

import hashlib
import time
from collections.abc import Sequence
from typing import Any

from service.errors import NotFound
from service.store.connection import Store

LOOSE = "loose"


class RedisUploads:
    """See the module's text.

    Args:
        store: the connection.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, data: bytes, user: str = LOOSE) -> str:
        """Keep bytes for a user; returns their SHA-256.

        Raises:
            StoreError: if that cannot be done now.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        name, users = self._keys(sha256)

        async def write(redis: Any) -> None:  # noqa: ANN401
            async with redis.pipeline(transaction=True) as both:
                both.set(name, data, nx=True)
                both.sadd(users, user)
                if user == LOOSE:
                    both.zadd(self._store.key("uploads:loose"), {sha256: time.time()})
                await both.execute()

        await self._store.brisk(write)
        return sha256

    async def adopt(self, sha256: str, user: str) -> bool:
        """Have bytes that are there kept for a user too; tells whether they are."""
        name, users = self._keys(sha256)
        return bool(await self._store.script("upload_adopt", [name, users], [user]))

    async def missing(self, sha256s: Sequence[str]) -> list[str]:
        """Return those of these that are not kept."""

        async def read(redis: Any) -> list[int]:  # noqa: ANN401
            async with redis.pipeline(transaction=False) as all_of_them:
                for sha256 in sha256s:
                    all_of_them.exists(self._keys(sha256)[0])
                found: list[int] = await all_of_them.execute()
                return found

        there = await self._store.brisk(read) if sha256s else []
        return [sha256 for sha256, kept in zip(sha256s, there, strict=True) if not kept]

    async def get(self, sha256: str) -> bytes:
        """Return the bytes.

        Raises:
            NotFound: if they are not kept.
        """
        found: bytes | None = await self._store.patient(
            lambda redis: redis.get(self._keys(sha256)[0])
        )
        if found is None or hashlib.sha256(found).hexdigest() != sha256:
            raise NotFound(f"no upload sha256:{sha256[:16]}… is kept: upload the picture again")
        return found

    async def let_go(self, sha256: str, user: str) -> None:
        """Keep bytes no longer for a user; the last one's go."""
        await self._store.script("upload_drop", list(self._keys(sha256)), [user])

    async def loose(self, before: float) -> int:
        """Return how many loose uploads are older than a date (seconds since 1970)."""
        index = self._store.key("uploads:loose")
        return int(await self._store.brisk(lambda r: r.zcount(index, "-inf", f"({before}")))

    async def drop_loose(self, before: float, most: int = 1000) -> int:
        """Let go of loose uploads older than a date (seconds since 1970); returns how many."""
        index = self._store.key("uploads:loose")
        found = await self._store.brisk(
            lambda redis: redis.zrangebyscore(index, "-inf", f"({before}", start=0, num=most)
        )
        for sha256 in (member.decode() for member in found):
            await self.let_go(sha256, LOOSE)
        if found:
            await self._store.brisk(lambda redis: redis.zrem(index, *found))
        return len(found)

    def _keys(self, sha256: str) -> tuple[str, str]:
        return self._store.key("upload", sha256), self._store.key("upload", sha256, "users")
