"""Figures that nobody counts up: they are looked at when somebody asks for the metrics.

What all processes share is read from the store, at most every few seconds however often it is
asked for, and never for long: an operator asks most when the store is in trouble.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from service.core import Surety
from service.errors import StoreError
from service.jobs.states import JOB_STATES, PICTURE_STATES
from service.log_writer import LOG
from service.seeing.metrics import Metrics

FRESH_SECONDS = 3.0  # within which the store is not read again
PATIENCE_SECONDS = 3.0  # for the store; Prometheus waits for ten
MOST_JOBS = 2_000  # the latest ones; a deployment keeps 1,000 ended ones unless it is told else

log = structlog.get_logger("surety.metrics")


@dataclass(frozen=True)
class Shared:
    """What the store said.

    Attributes:
        up: whether it answered, and took what was written.
        jobs: by state.
        pictures: of jobs, by state.
        workers: by kind: "own" for `surety worker`, "inside" for a service's.
        memory: bytes of the store's, `used` and `most`.
    """

    up: bool = False
    jobs: Mapping[str, int] = field(default_factory=dict)
    pictures: Mapping[str, int] = field(default_factory=dict)
    workers: Mapping[str, int] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)


class Figures:
    """A collector of Prometheus's client; see the module's text.

    Args:
        surety: an opened deployment.
        metrics: are told which providers there are.
        whole: whether to tell of jobs and workers too. One process of a deployment suffices.
    """

    def __init__(self, surety: Surety, metrics: Metrics, *, whole: bool) -> None:
        self._surety, self._metrics, self._whole = surety, metrics, whole
        self._shared, self._read = Shared(), -FRESH_SECONDS
        self._reading = asyncio.Lock()

    async def refresh(self) -> None:
        """Look around, and read the store again unless that was done just now."""
        for adapter in self._surety.loaded_adapters():
            self._metrics.know(adapter.name)
        async with self._reading:
            if time.monotonic() - self._read < FRESH_SECONDS:
                return
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    self._shared = await self._looked()
            except (StoreError, TimeoutError) as error:
                log.warning("the store cannot be read", error=str(error) or "it does not answer")
                self._shared = Shared()
            self._read = time.monotonic()

    def store_is_away(self) -> None:
        """Take note that it is, of somebody who has asked it just now in vain."""
        self._shared, self._read = Shared(), time.monotonic()

    def describe(self) -> Iterable[Metric]:
        """Name what :meth:`collect` returns."""
        return self.collect()

    def collect(self) -> Iterable[Metric]:
        """Return what was read last, and what this process does now."""
        shared = self._shared
        yield _one(
            "surety_store_up",
            "Whether the store takes what is written.",
            float(shared.up),
        )
        if self._whole:
            yield _by("surety_jobs", "Jobs.", "state", shared.jobs)
            yield _by("surety_job_pictures", "Pictures of jobs.", "state", shared.pictures)
            yield _by("surety_workers", "Workers that live.", "kind", shared.workers)
            yield _by("surety_store_bytes", "Memory of the store.", "kind", shared.memory)
        activity = self._surety.machine.activity
        waiting = activity.runs - activity.working
        yield _one("surety_runs_working", "Runs that are worked on.", activity.working)
        yield _one("surety_runs_waiting", "Runs that wait for a slot or their subject.", waiting)
        labels = ("denoiser", "compute")
        queue = GaugeMetricFamily("surety_denoiser_queue", "Turns that wait.", labels=labels)
        for one in self._surety.loaded_denoisers():
            queue.add_metric([one.name, one.compute], float(getattr(one, "waiting", 0)))
        yield queue
        dropped = "Lines of the log that nobody read in time."
        yield CounterMetricFamily("surety_log_lines_dropped", dropped, value=LOG.dropped)

    async def _looked(self) -> Shared:
        state = self._surety.state
        await state.store.ping()  # one that is full or read-only still tells all the rest
        if not self._whole:
            return Shared(up=True)
        jobs, pictures = await state.jobs.figures(MOST_JOBS)
        workers = dict.fromkeys(("own", "inside"), 0)
        for worker in await state.workers.list():
            workers["inside" if worker.inside else "own"] += 1
        return Shared(
            True,
            {name: jobs[name] for name in JOB_STATES},
            {name: pictures[name] for name in PICTURE_STATES},
            workers,
            await state.store.memory(),
        )


def _one(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _by(name: str, text: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family
