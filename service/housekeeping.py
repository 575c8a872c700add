"""Drops what is past its time: kept pictures, ended runs, jobs, certificates, counts of usage.

Never ledgers.

Every process of a deployment does it; of two that want to drop the same, one does.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Self

import structlog

from service.errors import ConfigurationError, JobConflict, NotFound, StoreDamaged, StoreError
from service.settings import Settings
from service.state import State
from service.store.ages import Ages
from service.usage.periods import today

EVERY = 3600.0  # seconds
DAY = 86_400.0
LOOSE_SECONDS = DAY  # uploads that no job has named are kept for so long
CLOCKS_SECONDS = 300.0  # by which two clocks may differ

Drop = Callable[[str, float], Awaitable[bool]]

log = structlog.get_logger("surety.housekeeping")


class Housekeeping:
    """Cleans at the start and every hour, in the background.

    Args:
        state: the deployment's.
        settings: how long what is kept.
        every: seconds between two times.
    """

    def __init__(self, state: State, settings: Settings, every: float = EVERY) -> None:
        self._state, self._settings, self._every = state, settings, every
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin; the first time is not waited for."""
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *failure: object) -> None:
        """End; what is left to drop waits for the next time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            try:
                dropped = await clean(self._state, self._settings)
                if any(dropped.values()):
                    log.info("dropped what is past its time", **dropped)
            except StoreError as error:
                log.warning("nothing is dropped while the store is away", error=str(error))
            except ConfigurationError as error:
                log.error("nothing is dropped", error=str(error))
            except Exception as error:
                log.error("dropping what is past its time failed", exc_info=error)
            await asyncio.sleep(self._every)


async def clean(
    state: State, settings: Settings, now: float | None = None, *, dry_run: bool = False
) -> dict[str, int]:
    """Drop what is past its time.

    Args:
        state: the deployment's.
        settings: how long what is kept.
        now: seconds since 1970; None for the present, by the store's clock.
        dry_run: only count.

    Returns:
        How many pictures (`images`), ended runs (`runs`), certificates (`certificates`), jobs that
        have ended or were never taken in to the end (`jobs`), days of API keys (`usage`), and
        uploads that no job has named (`uploads`).

    Raises:
        StoreError: if the store is away; what was dropped until then is gone.
        ConfigurationError: if this machine's clock and the store's do not agree.
    """
    at = await _present(state) if now is None else now
    key = state.store.key

    def ages(index: str, days: float | None, most: int | None) -> Ages:
        return Ages(state.store, index, None if days is None else at - days * DAY, most)

    images = ages("images", settings.keep_images_days, settings.keep_images_most)
    runs = ages("runs:ended", settings.keep_runs_days, settings.keep_runs_most)
    jobs = ages("jobs:ended", settings.keep_jobs_days, settings.keep_jobs_most)
    certificates = ages(
        "certificates", settings.keep_certificates_days, settings.keep_certificates_most
    )

    async def drop_certificate(name: str, date: float) -> bool:
        try:
            await state.certificates.drop(name)
        except NotFound:  # its index alone has it, or another process was quicker
            return await certificates.drop(name, date, key("certificate", name))
        return True

    async def drop_job(name: str, date: float) -> bool:
        try:
            await state.pictures.delete(await state.jobs.get(name), ("finished", "cancelled"))
        except NotFound:
            return await jobs.drop(name, date, key("job", name))
        except JobConflict:
            return False  # it goes on again
        return True

    work: dict[str, tuple[Ages, Drop]] = {
        "images": (images, lambda name, date: images.drop(name, date, key("image", name))),
        "runs": (runs, lambda name, date: runs.drop(name, date, key("run", name))),
        "certificates": (certificates, drop_certificate),
        "jobs": (jobs, drop_job),
    }
    dropped = {
        what: await (index.surplus() if dry_run else _drop(index, drop))
        for what, (index, drop) in work.items()
    }
    dropped["jobs"] += await _drop_begun(state, dry_run=dry_run)
    first = today(datetime.fromtimestamp(at, UTC)) - timedelta(days=settings.keep_usage_days)
    dropped["usage"] = await (
        state.usage.count_before(first) if dry_run else state.usage.drop(first)
    )
    loose = at - LOOSE_SECONDS
    dropped["uploads"] = await (
        state.uploads.count_loose(loose) if dry_run else _drop_loose(state, loose)
    )
    return dropped


async def _present(state: State) -> float:
    """Return the time, if two clocks agree on it: by a wrong one all would be past its time."""
    there, here = await state.store.now(), time.time()
    if abs(there - here) > CLOCKS_SECONDS:
        raise ConfigurationError(
            f"this machine's clock and the store's differ by {abs(there - here):,.0f} seconds: set "
            "both (NTP), else what is not past its time would be dropped"
        )
    return there


async def _drop_begun(state: State, *, dry_run: bool) -> int:
    """Drop jobs whose reader is dead, and those that somebody had begun to delete."""
    count = 0
    for job, reader in await state.jobs.begun():
        if job.state == "reading" and await state.process.lives(reader):
            continue
        count += 1
        if not dry_run:
            with contextlib.suppress(NotFound):
                await state.pictures.delete(job, ("reading",))
    return count


async def _drop_loose(state: State, before: float) -> int:
    count = 0
    while dropped := await state.uploads.drop_loose(before):
        count += dropped
    return count


async def _drop(ages: Ages, drop: Drop) -> int:
    """Drop all that is due; returns how many this process has dropped."""
    dropped = left = 0
    while page := await ages.page(left):
        before = dropped + left
        for name, date in page:
            try:
                if await drop(name, date):
                    dropped += 1
            except StoreDamaged as error:
                left += 1
                log.error("a damaged entry was not dropped", entry=name, error=str(error))
        if dropped + left == before:  # another process is at it
            break
    return dropped
