"""Uploaded pictures by the SHA-256 of their bytes, for as long as somebody needs them.

upload:SHA256          the bytes
upload:SHA256:owners   how many of these are of each API key ("-" for none), and its `bytes`, as
                       they are counted: see :mod:`service.store.stored`
upload:SHA256:users    the jobs that need them; "loose" for one that nobody has named yet, and
                       "loose:KEY" for one that an API key has sent, and that key alone may name
uploads:loose          loose ones by date, as SHA256 or SHA256:KEY, which go after a while
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from service.errors import NotFound, StoredTooMuch
from service.store.connection import Store
from service.store.stored import BESIDE, Stored, owner_name

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
        stored: what there may be of them.
    """

    def __init__(self, store: Store, stored: Stored) -> None:
        self._store, self._stored = store, stored

    async def put(self, data: bytes, owner: str | None = None, job_id: str | None = None) -> str:
        """Keep bytes, loose or for a job; returns their SHA-256.

        Args:
            data: the bytes.
            owner: id of the API key that has sent them; None for none.
            job_id: of a job that is being taken in.

        Raises:
            StoredTooMuch: if there is no room for them; nothing is kept then.
            NotFound: if the job is not being taken in any more.
            StoreError: if that cannot be done now.
        """
        return (await self._put(data, owner, job_id))[0]

    async def put_together(
        self, reads: Iterable[Callable[[], Awaitable[bytes]]], owner: str | None
    ) -> list[str]:
        """Keep several loose ones, or none of them; returns their SHA-256.

        Args:
            reads: each reads the bytes of one, which may be large.
            owner: id of the API key that has sent them; None for none.

        Raises:
            StoredTooMuch: if there is no room for them.
            StoreError: if that cannot be done now; some may be kept then, for a day.
        """
        kept, new = list[str](), list[str]()
        try:
            for read in reads:
                sha256, is_new = await self._put(await read(), owner, None)
                kept.append(sha256)
                new += [sha256] * is_new
        except StoredTooMuch:
            for sha256 in new:
                await self._drop(sha256, owner)
            raise
        return kept

    async def _put(self, data: bytes, owner: str | None, job_id: str | None) -> tuple[str, bool]:
        sha256 = hashlib.sha256(data).hexdigest()
        user = job_id or loose(owner)
        where, entry = self._store.key("job", user), ""
        if job_id is None:
            where, entry = self._loose, _entry(sha256, owner)
        keys = [*self._keys(sha256), where]
        args = [data, user, *self._stored.limits(owner), BESIDE, entry, time.time()]
        told = await self._store.brisk_script("upload_put", keys, args)
        return sha256, self._stored.check(told, user)

    async def adopt(self, sha256: str, job_id: str, owner: str | None = None) -> bool:
        """Have bytes that are there kept for a job too; tells whether they are.

        Args:
            sha256: of the bytes.
            job_id: of a job that is being taken in.
            owner: the API key whose job it is, and that must have sent them; None for anybody.

        Raises:
            NotFound: if the job is not being taken in any more.
        """
        keys = [*self._keys(sha256), self._store.key("job", job_id)]
        sent = [] if owner is None else [loose(owner)]
        args = [job_id, owner_name(owner), BESIDE, *sent]
        told = await self._store.script("upload_adopt", keys, args)
        if told < 0:
            self._stored.check(b"gone", job_id)
        return bool(told)

    async def missing(self, sha256s: Sequence[str], owner: str | None = None) -> list[str]:
        """Return those of these that are not kept.

        Args:
            sha256s: of the bytes.
            owner: the API key that must have sent them; None for anybody.
        """

        async def read(redis: Any) -> list[int]:  # noqa: ANN401
            async with redis.pipeline(transaction=False) as all_of_them:
                for sha256 in sha256s:
                    name, users, *_ = self._keys(sha256)
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

    async def let_go(self, sha256: str, user: str, owner: str | None = None) -> None:
        """Keep bytes no longer for a user; the last one's go.

        Args:
            sha256: of the bytes.
            user: a job, or :func:`loose`.
            owner: id of the API key whose user that is; None for none.
        """
        args = [user, owner_name(owner)]
        await self._store.script("upload_drop", self._keys(sha256), args)

    async def count_loose(self, before: float) -> int:
        """Return how many loose uploads are older than a date (seconds since 1970)."""
        index = self._loose
        return int(await self._store.brisk(lambda r: r.zcount(index, "-inf", f"({before}")))

    async def drop_loose(self, before: float, most: int = 1000) -> int:
        """Let go of loose uploads older than a date (seconds since 1970); returns how many."""
        index = self._loose
        found = await self._store.brisk(
            lambda redis: redis.zrangebyscore(index, "-inf", f"({before}", start=0, num=most)
        )
        for member in found:
            sha256, _, name = member.decode().partition(":")
            owner = name or None
            await self.let_go(sha256, loose(owner), owner)
        if found:
            await self._store.brisk(lambda redis: redis.zrem(index, *found))
        return len(found)

    async def _drop(self, sha256: str, owner: str | None) -> None:
        await self.let_go(sha256, loose(owner), owner)
        await self._store.brisk(lambda redis: redis.zrem(self._loose, _entry(sha256, owner)))

    @property
    def _loose(self) -> str:
        return self._store.key("uploads:loose")

    def _keys(self, sha256: str) -> list[str]:
        name = self._store.key("upload", sha256)
        return [name, f"{name}:users", f"{name}:owners", self._stored.key]


def _entry(sha256: str, owner: str | None) -> str:
    return sha256 if owner is None else f"{sha256}:{owner}"
