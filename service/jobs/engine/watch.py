"""Ends runs when their jobs are paused, cancelled or deleted, wherever that was asked for."""

import asyncio
import contextlib
from collections.abc import Iterator

import structlog

from certification.interrupt import Interrupt
from service.errors import StoreError
from service.store.jobs import RedisJobs

LOOK_SECONDS = 0.25  # within a second of a cancel no new call may start

log = structlog.get_logger("surety.jobs")


class Watch:
    """Looks at the states of the jobs that this process works for.

    Args:
        jobs: of the deployment.
    """

    def __init__(self, jobs: RedisJobs) -> None:
        self._jobs = jobs
        self._at_work: dict[str, set[Interrupt]] = {}
        self._ending = False

    @contextlib.contextmanager
    def over(self, job_id: str) -> Iterator[Interrupt]:
        """Hand out the interrupt of one run of a job, while the run lasts."""
        interrupt = Interrupt()
        if self._ending:
            interrupt.cancel()
        self._at_work.setdefault(job_id, set()).add(interrupt)
        try:
            yield interrupt
        finally:
            self._at_work[job_id].discard(interrupt)
            if not self._at_work[job_id]:
                del self._at_work[job_id]

    def watches(self, job_id: str) -> bool:
        """Tell whether a run of a job goes on."""
        return job_id in self._at_work

    def end_all(self, grace: float | None = None) -> None:
        """End every run, those that begin from now on too, since the process ends.

        Args:
            grace: seconds that calls in flight may still take; None for the usual one.
        """
        self._ending = True
        for interrupts in self._at_work.values():
            for interrupt in interrupts:
                interrupt.cancel(grace)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                states = await self._jobs.states([*self._at_work])
            except StoreError as error:
                log.debug("the states of jobs cannot be read", error=str(error))
                states = {}
            for job_id, state in states.items():
                if state != "running":
                    for interrupt in [*self._at_work.get(job_id, ())]:
                        interrupt.cancel()
            await asyncio.sleep(LOOK_SECONDS)
