"""Canonical pictures that somebody asked to keep, by their SHA-256.

    image:SHA256    PNG
    images          SHA-256 by date

The way from the upload to this picture stands on the certificate.
"""

import time
from typing import Any

from service.errors import NotFound
from service.store.connection import Store


class RedisImages:
    """See the module's text.

    Args:
        store: the connection.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, sha256: str, png: bytes) -> None:
        """Keep a picture, from now on."""

        async def write(redis: Any) -> None:  # noqa: ANN401
            async with redis.pipeline(transaction=True) as both:
                both.set(self._store.key("image", sha256), png)
                both.zadd(self._store.key("images"), {sha256: time.time()})
                await both.execute()

        await self._store.brisk(write)

    async def get(self, sha256: str) -> bytes:
        """Return a picture.

        Raises:
            NotFound: if it is not kept.
        """
        found: bytes | None = await self._store.brisk(
            lambda redis: redis.get(self._store.key("image", sha256))
        )
        if found is None:
            raise NotFound(
                "this certificate's picture is not kept: certify with keep_image=true to keep it"
            )
        return found
