"""Retention: pictures, ended runs and certificates go by age and by count. Ledgers never do.

A certificate that went can be had again for nothing, as long as its ledger is there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Self

import structlog

from service.errors import NotFound, StoreError
from service.settings import Settings
from service.state import State

EVERY_SECONDS = 3600.0
PAGE = 500
DAY = 86_400.0

log = structlog.get_logger("surety.housekeeping")


async def clean(
    state: State, settings: Settings, now: float | None = None, *, dry_run: bool = False
) -> dict[str, int]:
    """Drop what is too old, or too many, once.

    Args:
        state: the deployment's.
        settings: say how long, and how many.
        now: seconds since 1970; None for now.
        dry_run: only count.

    Returns:
        What was dropped, by kind. Two processes that clean at once do no harm.

    Raises:
        StoreError: if the store is away.
    """
    moment = time.time() if now is None else now
    rules: dict[str, tuple[str, float | None, int | None, Callable[[str], Awaitable[None]]]] = {
        "images": (
            "images",
            settings.keep_images_days,
            settings.keep_images_most,
            state.images.drop,
        ),
        "runs": ("runs:ended", settings.keep_runs_days, settings.keep_runs_most, state.runs.drop),
        "certificates": (
            "certificates",
            settings.keep_certificates_days,
            settings.keep_certificates_most,
            state.certificates.drop,
        ),
    }
    dropped = {}
    for kind, (index, days, most, drop) in rules.items():
        names = await _due(state, index, days, most, moment)
        dropped[kind] = len(names)
        for name in [] if dry_run else names:
            try:
                await drop(name)
            except NotFound:  # another process was quicker, or a crash came between
                await _forget(state, index, name)
    return dropped


async def _due(
    state: State, index: str, days: float | None, most: int | None, now: float
) -> list[str]:
    """Return the members of an index that are too old, or too many, the oldest first."""
    key = state.store.key(index)
    count = int(await state.store.brisk(lambda redis: redis.zcard(key)))
    old = 0
    if days is not None:
        limit = f"({now - days * DAY}"
        old = int(await state.store.brisk(lambda redis: redis.zcount(key, "-inf", limit)))
    many = 0 if most is None else max(0, count - most)
    due = max(old, many)
    found: list[bytes] = []
    if due:
        found = await state.store.brisk(lambda redis: redis.zrange(key, 0, due - 1))
    return [name.decode() for name in found]


async def _forget(state: State, index: str, name: str) -> None:
    key = state.store.key(index)
    await state.store.brisk(lambda redis: redis.zrem(key, name))


class Housekeeping:
    """Cleans at the start and every hour, as an async context.

    Args:
        state: the deployment's.
        settings: say how long, and how many.
    """

    def __init__(self, state: State, settings: Settings) -> None:
        self._state, self._settings = state, settings
        self._cleaning: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin."""
        self._cleaning = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(self, *failure: object) -> None:
        """End."""
        if self._cleaning is not None:
            self._cleaning.cancel()
            await asyncio.gather(self._cleaning, return_exceptions=True)

    async def _go_on(self) -> None:
        while True:
            try:
                dropped: dict[str, Any] = await clean(self._state, self._settings)
                if any(dropped.values()):
                    log.info("dropped what was kept for long enough", **dropped)
            except StoreError as error:
                log.warning("retention has to wait", error=str(error))
            except Exception as error:
                log.error("retention failed", exc_info=error)
            await asyncio.sleep(EVERY_SECONDS)
