"""Follows a job from outside, look by look, until it has ended."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.core import Surety
from service.errors import StoreUnavailable
from service.jobs.engine.helper import Helper
from service.jobs.engine.pace import Pace
from service.jobs.job import Job
from service.jobs.rows import Row
from service.store.workers import WorkerInfo

LOOK_SECONDS = 0.5
PATIENCE = 10.0  # for the store; less is a machine under load
MOST_PATIENCE = 60.0


@dataclass(frozen=True)
class Look:
    """A job at a moment.

    Attributes:
        job: as it stands.
        pace: how fast it goes, see :class:`service.jobs.engine.pace.Pace`.
        workers: that work on pictures of its compute type.
        failures: pictures that failed last, the latest first.
        own: id of the worker in this process.
        able: whether this process could work on it; None if that is not known.
        helps: whether this process works on it, or gets ready to, where nobody else does.
        away: whether the store has not answered for long; the rest is older then.
    """

    job: Job
    pace: Mapping[str, Any]
    workers: tuple[WorkerInfo, ...] = ()
    failures: tuple[Row, ...] = ()
    own: str | None = None
    able: bool | None = None
    helps: bool = False
    away: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more will come by itself: it has ended, or is paused with a reason."""
        job = self.job
        return job.ended is not None or (job.state == "paused" and job.problem is not None)

    def describe(self) -> dict[str, Any]:
        """Return JSON values: the job and its `progress`."""
        progress = {**self.pace, "workers": len(self.workers)}
        return {**self.job.describe(), "progress": progress}


async def follow(surety: Surety, job_id: str, helper: Helper) -> AsyncIterator[Look]:
    """Yield looks at a job until it is over, the last one included.

    Args:
        surety: an opened deployment.
        job_id: whose.
        helper: that works on it in this process, if need be.

    Raises:
        NotFound: if it is deleted.
        StoreError: if the store answers with something that waiting does not mend.
        Exception: what the helper's work broke off with.
    """
    pace, seen = Pace(), Look(await surety.state.jobs.get(job_id), {})
    patience = Patience()
    while True:
        looking = asyncio.ensure_future(_look(surety, job_id, pace, helper))
        try:
            while not (await asyncio.wait([looking], timeout=patience.left()))[0]:
                yield dataclasses.replace(seen, away=True)
            seen = looking.result()
            patience.answered()
        except StoreUnavailable:
            seen = dataclasses.replace(seen, away=patience.ended)
        finally:
            looking.cancel()
        yield seen
        if seen.over and not seen.away:
            return
        if helper.error is not None:
            raise helper.error
        await asyncio.sleep(LOOK_SECONDS)


class Patience:
    """How long the store is waited for until it counts as away.

    One that is slow is not away: after an answer that took long, the next may take twice as long.
    """

    def __init__(self) -> None:
        self._last, self._most = time.monotonic(), PATIENCE

    def answered(self) -> None:
        """Note an answer."""
        now = time.monotonic()
        self._most = min(MOST_PATIENCE, max(PATIENCE, 2 * (now - self._last)))
        self._last = now

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return time.monotonic() - self._last >= self._most

    def left(self) -> float:
        """Return the seconds that are left of it; once it has ended, those of another round."""
        gone = time.monotonic() - self._last
        return self._most - gone if gone < self._most else PATIENCE


async def _look(surety: Surety, job_id: str, pace: Pace, helper: Helper) -> Look:
    job = await surety.state.jobs.get(job_id)
    return Look(
        job,
        pace.after(job, time.monotonic()),
        tuple(await surety.state.workers.covering(job.spec.compute)),
        tuple(await surety.state.pictures.failures(job)) if job.counts["failed"] else (),
        surety.state.process.id,
        helper.able,
        helper.helps,
    )
