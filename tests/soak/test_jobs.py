"""A job whose workers, store and service are killed ends as one that nothing happens to."""

import asyncio
import os
import random
import signal

import pytest

from service.core import Surety
from service.jobs.job import Job
from service.jobs.rows import Row
from service.jobs.submit import spec_of, submit
from service.jobs.worker import JobWorker
from service.load_settings import load_settings
from service.store.embedded import EmbeddedServer
from tests.service.jobs.running import given
from tests.soak.jobs_place import (
    ARGUMENTS,
    LIMIT,
    PRICE,
    JobsPlace,
    google,
    kill,
    pictures,
)
from tests.soak.place import SOAK, times

pytestmark = pytest.mark.timeout(3600 if SOAK else 150)

MINUTES = times(2, 30)


async def ended(surety: Surety, job_id: str) -> Job:
    async with asyncio.timeout(60 * MINUTES):
        while True:
            job = await surety.state.jobs.get(job_id)
            if job.ended is not None:
                return job
            await asyncio.sleep(0.2)


async def outcome(surety: Surety, job: Job) -> dict[str, Row]:
    return {row.name: row async for row in surety.state.pictures.all_rows(job)}


async def undisturbed(tmp_path, monkeypatch, count):
    """Return the rows of the same job with the same key, which nothing happens to."""
    async with google() as emulator:
        (tmp_path / "quiet").mkdir()
        place = JobsPlace(tmp_path / "quiet", emulator, 100_000)
        for name, value in place.environment.items():
            monkeypatch.setenv(name, value)
        async with Surety.opened(load_settings(redis_prefix="quiet:")) as surety:
            working = asyncio.create_task(JobWorker(surety, 4).run())
            job = await submit(surety, await spec_of(surety, ARGUMENTS), given(pictures(count)))
            job = await ended(surety, job.id)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            return await outcome(surety, job)


async def test_a_job_survives_everything(tmp_path, monkeypatch):
    count, kills = times(12, 300), times(1, 3)
    monkeypatch.delenv("SURETY_REDIS_URL")
    quiet = await undisturbed(tmp_path, monkeypatch, count)
    assert {row.state for row in quiet.values()} == {"done"}

    rate = times(4 * LIMIT, LIMIT)
    faults = {
        "rate": {"limit": rate, "per_seconds": 1.0, "unit": "image"},
        "shares": {"throttle": 0.02, "unavailable": 0.02, "drop": 0.01},
        "latency": {"median": 0.05, "spread": 0.3},
    }
    async with google(**faults) as emulator:
        (tmp_path / "data").mkdir()
        place = JobsPlace(tmp_path / "data", emulator, rate)
        for name, value in place.environment.items():
            monkeypatch.setenv(name, value)
        settings = load_settings(redis_prefix="surety:")
        try:
            async with Surety.opened(settings) as surety:
                cap = 2 * PRICE * sum(row.images for row in quiet.values())
                spec = await spec_of(surety, ARGUMENTS, max_cost=cap)
                workers = [await place.worker() for _ in range(times(2, 3))]
                service = await place.start("serve", "--port", "0", says="listens on")
                job = await submit(surety, spec, given(pictures(count)))
                await place.received(times(60, 300))
                for number in range(kills):
                    await kill(workers[number % len(workers)])
                    await place.received(random.randrange(10, times(40, 1500)))
                    workers[number % len(workers)] = await place.worker()
                os.kill(EmbeddedServer(place.data_dir).pid, signal.SIGKILL)
                await place.received(times(20, 500))
                await kill(service)
                await place.start("serve", "--port", "0", says="listens on")
                job = await ended(surety, job.id)
                loud = await outcome(surety, job)
                listed = await surety.state.certificates.count()
        finally:
            await place.end()
        counts = emulator.desk.counts
        sent, billed = counts.received.total(), counts.answered.total()
        window = counts.most_in_window(1.0)
    print(  # noqa: T201
        f"{count} pictures, {kills} workers killed: {sent} images sent, {billed} billed, "
        f"{job.cost_at_most:.3f} of {cap:.3f} dollars, at most {window} in a second of {rate}"
    )
    assert job.counts["done"] == count
    for name, row in quiet.items():
        assert (row.certificate, row.label, row.radius, row.n) == (
            loud[name].certificate,
            loud[name].label,
            loud[name].radius,
            loud[name].n,
        )
    assert listed == len({row.certificate for row in quiet.values()})
    assert window <= 1.02 * rate
    assert billed * PRICE <= cap
    assert job.cost <= billed * PRICE + 1e-9 <= job.cost_at_most + 1e-9
