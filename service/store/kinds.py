"""A key of another kind than was written: which of a ledger's it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from service.errors import StoreDamaged
from service.store.connection import Store
from service.store.ledger_seals import damaged
from service.store.restore import PARTS, ledger_keys

KINDS = ("hash", "string", "string", "list", "hash")


@asynccontextmanager
async def as_written(store: Store, subject: str) -> AsyncIterator[None]:
    """Read a ledger within this.

    Raises:
        LedgerDamaged: naming the key that is of another kind, in the place of StoreDamaged.
    """

    async def look(redis: Any) -> list[bytes]:  # noqa: ANN401
        return [await redis.type(key) for key in ledger_keys(store, subject)]

    try:
        yield
    except StoreDamaged:
        found = [kind.decode() for kind in await store.patient(look)]
        named = zip(("header", *PARTS), KINDS, found, strict=True)
        wrong = [part for part, kind, told in named if told not in (kind, "none")]
        raise damaged(subject, f"of another kind are its {' and '.join(wrong)}") from None
