"""Uploaded pictures by the SHA-256 of their bytes, for as long as somebody needs them.

upload:SHA256          the bytes
upload:SHA256:users    the jobs that need them; "loose" for one that nobody has named yet, and
                       "loose:KEY" for one that an API key has sent, and that key alone may name
uploads:loose          loose ones by date, as SHA256 or SHA256:KEY, which go after a while
"""

import hashlib
import time
from collections.abc import Sequence
from typing import Any

from service.errors import NotFound
from service.store.connection import Store

LOOSE = "loose"


def loose(owner: str | None) -> str:
    """Return the user of an upload that no job has named yet.

    Args:
        owner: id of the API key that has sent it.
    """
    return LOOSE if owner is None else f"{LOOSE}:{owner}"


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
                if user.startswith(LOOSE):
                    member = sha256 + user.removeprefix(LOOSE)
                    both.zadd(self._store.key("uploads:loose"), {member: time.time()})
                await both.execute()

        await self._store.brisk(write)
        return sha256

    async def adopt(self, sha256: str, user: str, owner: str | None = None) -> bool:
        """Have bytes that are there kept for a user too; tells whether they are.

        Args:
            sha256: of the bytes.
            user: who needs them.
            owner: the API key that must have sent them; None for anybody.
        """
        name, users = self._keys(sha256)
        sent = [] if owner is None else [loose(owner)]
        return bool(await self._store.script("upload_adopt", [name, users], [user, *sent]))

    async def missing(self, sha256s: Sequence[str], owner: str | None = None) -> list[str]:
        """Return those of these that are not kept.

        Args:
            sha256s: of the bytes.
            owner: the API key that must have sent them; None for anybody.
        """

        async def read(redis: Any) -> list[int]:  # noqa: ANN401
            async with redis.pipeline(transaction=False) as all_of_them:
                for sha256 in sha256s:
                    name, users = self._keys(sha256)
                    if owner is None:
                        all_of_them.exists(name)
                    else:
                        all_of_them.sismember(users, loose(owner))
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

    async def count_loose(self, before: float) -> int:
        """Return how many loose uploads are older than a date (seconds since 1970)."""
        index = self._store.key("uploads:loose")
        return int(await self._store.brisk(lambda r: r.zcount(index, "-inf", f"({before}")))

    async def drop_loose(self, before: float, most: int = 1000) -> int:
        """Let go of loose uploads older than a date (seconds since 1970); returns how many."""
        index = self._store.key("uploads:loose")
        found = await self._store.brisk(
            lambda redis: redis.zrangebyscore(index, "-inf", f"({before}", start=0, num=most)
        )
        for member in found:
            sha256, _, owner = member.decode().partition(":")
            await self.let_go(sha256, loose(owner or None))
        if found:
            await self._store.brisk(lambda redis: redis.zrem(index, *found))
        return len(found)

    def _keys(self, sha256: str) -> tuple[str, str]:
        return self._store.key("upload", sha256), self._store.key("upload", sha256, "users")
