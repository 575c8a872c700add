"""A job whose workers, store and service are killed ends as one that nothing happens to."""

import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from adapters.emulators.faults import Faults
from service.core import Surety
from service.jobs.engine.worker import JobWorker
from service.jobs.job import Job
from service.jobs.rows import Row
from service.jobs.submit import spec_of, submit
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


UNNAMED = ("created", "software", "accounting", "signature")


async def outcome(surety: Surety, job: Job) -> dict[str, tuple[Row, dict[str, Any]]]:
    """Return the row of each picture, and what its certificate says."""
    found = {}
    async for row in surety.state.pictures.all_rows(job):
        kept = await surety.state.certificates.get(row.certificate)
        found[row.name] = row, {k: v for k, v in kept.items() if k not in UNNAMED}
    return found


async def undisturbed(place, count):
    """Do the same job with the same key, from nothing, without anything happening to it."""
    place.emulator.desk.faults = Faults()
    folder = place.data_dir.parent / "quiet"
    folder.mkdir()
    told = JobsPlace(folder, place.emulator, 100_000).environment
    file = Path(told["SURETY_PROVIDERS_FILE"])
    settings = load_settings(data_dir=folder, providers_file=file)
    async with Surety.opened(settings) as surety:
        working = asyncio.create_task(JobWorker(surety, 4, await surety.compute_types()).run())
        job = await submit(surety, await spec_of(surety, ARGUMENTS), given(pictures(count)))
        job = await ended(surety, job.id)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return await outcome(surety, job)


async def test_a_job_survives_everything(tmp_path, monkeypatch):
    count, kills = times(10, 300), times(1, 3)
    monkeypatch.delenv("SURETY_REDIS_URL", raising=False)
    monkeypatch.delenv("SURETY_REDIS_PREFIX", raising=False)
    faults = {
        "rate": {"limit": LIMIT, "per_seconds": 1.0, "unit": "image"},
        "shares": {"throttle": 0.02, "unavailable": 0.02, "drop": 0.01},
        "latency": {"median": 0.05, "spread": 0.3},
    }
    async with google(**faults) as emulator:
        (tmp_path / "data").mkdir()
        place = JobsPlace(tmp_path / "data", emulator, LIMIT)
        for name, value in place.environment.items():
            monkeypatch.setenv(name, value)
        try:
            async with Surety.opened(load_settings()) as surety:
                cap = round(2 * 45 * count * PRICE, 2)
                spec = await spec_of(surety, ARGUMENTS, max_cost=cap)
                workers = [await place.worker() for _ in range(times(2, 3))]
                service = await place.start("serve", "--port", "0", says="listens on")
                job = await submit(surety, spec, given(pictures(count)))
                await disturb(place, surety, job.id, workers, service, kills)
                job = await ended(surety, job.id)
                loud = await outcome(surety, job)
                listed = await surety.state.certificates.count()
        finally:
            await place.end()
        counts = emulator.desk.counts
        sent, billed = counts.received.total(), counts.answered.total()
        window = counts.most_in_window(1.0)
        quiet = await undisturbed(place, count)
    print(  # noqa: T201
        f"{count} pictures, {kills} workers killed: {sent} images sent, {billed} billed, "
        f"{job.cost_at_most:.3f} of {cap:.3f} dollars, at most {window} in a second of {LIMIT}"
    )
    assert job.counts["done"] == count
    for name, (row, certificate) in quiet.items():
        assert loud[name][1] == certificate
        assert loud[name][0].radius == row.radius
    assert listed == len({row.certificate for row, _ in quiet.values()})
    assert window <= 1.02 * LIMIT
    assert billed * PRICE <= cap
    assert billed * PRICE <= job.cost_at_most + 1e-9  # a call that was cut off may be billed


async def disturb(place, surety, job_id, workers, service, kills):
    """Kill workers, the store and the service, while the job goes on; start them again."""
    coming = []

    async def goes_on():
        assert (await surety.state.jobs.get(job_id)).state == "running"

    for number in range(kills):
        await place.received(random.randrange(*times((30, 60), (300, 1500))))
        await goes_on()
        await kill(workers[number])
        coming.append(asyncio.create_task(place.worker()))
    await place.received(times(30, 500))
    os.kill(EmbeddedServer(place.data_dir).pid, signal.SIGKILL)
    await place.received(times(30, 500))
    await kill(service)
    await goes_on()
    coming.append(asyncio.create_task(place.start("serve", "--port", "0", says="listens on")))
    await asyncio.gather(*coming)
