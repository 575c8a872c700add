"""The one thing that is answered while the store is away: the metrics, which say that it is.

Whoever asks for them waits ten seconds at most, as Prometheus does, so the store is not asked for
long on their way in; what was known of their key shortly before is enough.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Scope

from service.errors import StoreUnavailable

PATHS = frozenset({"/metrics"})
PATIENCE_SECONDS = 1.0  # for each question to the store
_MARK = "store_away"

T = TypeVar("T")


def answered_anyhow(scope: Scope) -> bool:
    """Tell whether a request is answered while the store is away."""
    return scope["path"] in PATHS


def mark_away(scope: Scope) -> None:
    """Note that the store did not answer on a request's way in, so that nobody waits again."""
    scope.setdefault("state", {})[_MARK] = True


def is_away(scope: Scope) -> bool:
    """Tell whether that was noted."""
    return bool(scope.get("state", {}).get(_MARK))


async def soon(work: Awaitable[T]) -> T:
    """Wait for an answer of the store, and not for long.

    Raises:
        StoreUnavailable: if it takes longer.
    """
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await work
    except TimeoutError:
        raise StoreUnavailable(
            f"the store did not answer within {PATIENCE_SECONDS:g} s. Try again in a moment"
        ) from None
