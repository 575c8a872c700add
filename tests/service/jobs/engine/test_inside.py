"""The service's own worker: there while it is needed, and no longer."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

import service.jobs.engine.inside
from service.errors import StoreUnavailable
from service.jobs.engine.inside import Inside
from service.jobs.engine.worker import JobWorker
from service.store.workers import WorkerInfo
from tests.service.jobs.running import eventually, grey, opened, submitted, until


@pytest.fixture(autouse=True)
def _often(small_providers, monkeypatch):
    monkeypatch.setattr(service.jobs.engine.inside, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(service.jobs.engine.inside, "AFTER_FAILURE", 0.05)


async def inside_workers(surety):
    return [w for w in await surety.state.workers.list() if w.inside]


@asynccontextmanager
async def another(surety, computes):
    """Another worker, as far as anybody can see."""
    info = WorkerInfo("other", "elsewhere:1", computes, 1)
    await surety.state.workers.tell(info)
    yield
    await surety.state.workers.leave("other")


async def test_it_does_the_work_and_begins_with_the_first_job(tmp_path):
    async with opened(tmp_path) as surety, Inside(surety) as inside:
        await asyncio.sleep(0.15)
        assert await surety.state.workers.list() == []
        job = await submitted(surety, grey(3))
        inside.look()
        ended = await until(surety, job.id)
        assert ended.counts["done"] == 3
        (worker,) = await inside_workers(surety)
        assert worker.pictures == surety.settings.max_runs // 2
    async with opened(tmp_path) as surety:
        assert await surety.state.workers.list() == []


async def test_it_loads_what_others_bring_for_a_job_that_needs_it(tmp_path, install_denoisers):
    install_denoisers(odd="tests.service.stranger:odd")
    async with opened(tmp_path) as surety:
        first = await submitted(surety, grey(1))
        other = await submitted(surety, grey(2), {"denoiser": "odd"})
        surety._denoisers.clear()  # as after a restart
        async with Inside(surety):
            await until(surety, first.id)
            await until(surety, other.id)


async def test_it_can_be_turned_off(tmp_path):
    async with opened(tmp_path) as surety, Inside(surety, work=False) as inside:
        job = await submitted(surety, grey(1))
        inside.look()
        await asyncio.sleep(0.15)
        assert (await surety.state.jobs.get(job.id)).counts["waiting"] == 1


async def test_it_leaves_the_work_to_others_and_takes_it_back(tmp_path):
    async with opened(tmp_path) as surety, Inside(surety) as inside:
        chosen = {"provider": "slow", "good_enough": None, "max_votes": 2000}
        job = await submitted(surety, grey(3), chosen)
        inside.look()
        await until(surety, job.id, lambda now: now.counts["working"] > 0)
        (worker,) = await inside_workers(surety)

        async def gone():
            now = await surety.state.jobs.get(job.id)
            return not await inside_workers(surety) and now.counts["waiting"] == 3

        async with another(surety, ["tpu/float8"]):  # it cannot do everything
            await asyncio.sleep(0.15)
            assert await inside_workers(surety)
        async with another(surety, worker.computes):
            await eventually(gone)
        await until(surety, job.id, lambda now: now.counts["working"] > 0)


async def test_what_is_worked_on_goes_back_promptly_when_the_service_ends(tmp_path):
    async with opened(tmp_path) as surety:
        async with Inside(surety) as inside:
            job = await submitted(surety, grey(12), {"provider": "stuck"})
            inside.look()
            await until(surety, job.id, lambda now: now.counts["working"] >= 5)
        # What was fetched ahead is among them.
        assert (await surety.state.jobs.get(job.id)).counts["waiting"] == 12


async def test_a_worker_that_fails_is_told_to_the_log_and_begun_again(tmp_path, monkeypatch):
    run, failures = JobWorker.run, iter([RuntimeError("broken")])

    async def fails_once(self):
        for failure in failures:
            raise failure
        await run(self)

    monkeypatch.setattr(JobWorker, "run", fails_once)
    async with opened(tmp_path) as surety:
        with capture_logs() as told:
            async with Inside(surety) as inside:
                job = await submitted(surety, grey(1))
                inside.look()
                assert (await until(surety, job.id)).counts["done"] == 1
        assert [line["log_level"] for line in told if "own worker" in line["event"]] == ["error"]


async def test_a_store_that_is_away_is_waited_for(tmp_path, monkeypatch):
    async with opened(tmp_path) as surety:
        looks, there = [], surety.state.jobs.any

        async def sometimes():
            looks.append(1)
            if len(looks) < 3:
                raise StoreUnavailable("away")
            return await there()

        monkeypatch.setattr(surety.state.jobs, "any", sometimes)
        async with Inside(surety):
            job = await submitted(surety, grey(1))
            assert (await until(surety, job.id)).counts["done"] == 1
