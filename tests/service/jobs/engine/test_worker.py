"""What a worker takes."""

import asyncio
import dataclasses

import pytest

from service.jobs.engine.worker import JobWorker
from service.jobs.submit import spec_of, submit
from tests.service.jobs.running import (
    eventually,
    given,
    grey,
    opened,
    submitted,
    until,
    working,
)

pytestmark = pytest.mark.usefixtures("small_providers")


@pytest.fixture
def _with_odd(install_denoisers):
    install_denoisers(odd="tests.service.stranger:odd")


@pytest.mark.usefixtures("_with_odd")
async def test_it_works_on_jobs_of_a_denoiser_that_is_run_in_a_way_of_its_own(tmp_path):
    async with opened(tmp_path, denoiser="odd") as surety:
        job = await submitted(surety, grey(2))
        assert job.spec.compute == "npu/int8"
        async with working(surety) as worker:
            assert "npu/int8" in worker.computes
            job = await until(surety, job.id)
    assert job.counts["done"] == 2


@pytest.mark.usefixtures("_with_odd")
async def test_no_compute_type_waits_until_another_one_has_no_work(tmp_path):
    async with opened(tmp_path, max_runs=1) as surety:
        jobs = [await submitted(surety, grey(20), {"denoiser": name}) for name in ("none", "odd")]
        states = []

        async def twenty_done():
            states[:] = [await surety.state.jobs.get(job.id) for job in jobs]
            return sum(job.counts["done"] for job in states) >= 20

        async with working(surety, 1):
            await eventually(twenty_done)
    assert all(job.counts["done"] >= 2 for job in states)


async def test_a_job_of_another_compute_type_is_left_to_others(tmp_path):
    async with opened(tmp_path) as surety:
        asked = await spec_of(surety, {"sigma": 0.5, "max_votes": 40})
        other = dataclasses.replace(asked, compute="npu/int8")  # as another machine would have it
        job = await submit(surety, other, given(grey(1)))
        running = asyncio.create_task(JobWorker(surety, 1, ["npu/int8"]).run())

        def told(job):
            return job.problem is not None

        job = await until(surety, job.id, told)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        job = await surety.state.jobs.get(job.id)
    assert job.state == "running"
    assert job.counts["waiting"] == 1
    assert "a worker of its own type" in job.problem["detail"]


async def test_it_remembers_no_picture_that_has_ended(tmp_path):
    async with opened(tmp_path) as surety, working(surety) as worker:
        await until(surety, (await submitted(surety, grey(5))).id)

        async def idle():
            return worker.busy == 0

        await eventually(idle)
        assert not worker._busy
