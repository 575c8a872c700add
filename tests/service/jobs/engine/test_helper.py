"""Working on a job in the process that follows it, while nobody else does."""

import asyncio
import contextlib
import os
import signal

import pytest

from denoisers.errors import NotUsable
from service.core import Surety
from service.jobs import following
from service.jobs.engine import helper
from service.jobs.engine.helper import Helper
from service.jobs.following import follow
from service.store.embedded import EmbeddedServer
from service.store.workers import WorkerInfo
from tests.service.jobs.running import eventually, grey, opened, submitted, until

pytestmark = pytest.mark.usefixtures("small_providers")

COMPUTE = "cpu/int16"
SLOW = {"good_enough": None, "max_votes": 300}


@pytest.fixture(autouse=True)
def _brisk(monkeypatch):
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(helper, "LOOK_SECONDS", 0.02)


def told(name, *, inside):
    return WorkerInfo(name, "elsewhere:1", [COMPUTE], 2, inside=inside)


async def test_it_begins_when_nobody_is_there_and_leaves_when_a_worker_comes(tmp_path):
    async with opened(tmp_path, provider="slow") as surety:
        workers, own = surety.state.workers, surety.state.process.id
        await workers.tell(told("service", inside=True))
        job = await submitted(surety, grey(2), SLOW)

        async def here():
            return own in [w.id for w in await surety.state.workers.covering(COMPUTE)]

        async def gone():
            return not await here()

        async with Helper(surety, job.spec.compute):
            await asyncio.sleep(0.2)
            assert await gone()  # a service covers it
            await workers.leave("service")
            await eventually(here)
            await workers.tell(told("service", inside=True))
            await asyncio.sleep(0.2)
            assert await here()  # two of a kind: none gives way
            await until(surety, job.id, lambda job: job.images > 0)
            await workers.tell(told("worker", inside=False))
            await eventually(gone)
            job = await until(surety, job.id, lambda job: not job.counts["working"])
            assert job.left == 2
            await workers.leave("worker")
            await workers.leave("service")
            await eventually(here)
        assert await gone()


async def test_it_leaves_the_work_to_others_if_asked_to(tmp_path):
    async with opened(tmp_path) as surety:
        job = await submitted(surety, grey(1))
        async with Helper(surety, COMPUTE, work=False) as idle:
            await asyncio.sleep(0.2)
            assert await surety.state.workers.covering(COMPUTE) == []
            assert idle.able is None
        assert (await surety.state.jobs.get(job.id)).counts["waiting"] == 1


async def test_a_compute_type_that_is_not_here(tmp_path):
    async with opened(tmp_path) as surety:
        job = await submitted(surety, grey(1))
        async with Helper(surety, "cuda/bfloat16") as unable:
            async with contextlib.aclosing(follow(surety, job.id, unable)) as looks:
                async for look in looks:
                    if look.able is False:
                        break
            assert await surety.state.workers.covering(COMPUTE) == []


async def test_what_its_work_breaks_off_with_reaches_whoever_waits(tmp_path, monkeypatch):
    async def broken(self):
        raise NotUsable("no such device")

    monkeypatch.setattr(Surety, "compute_types", broken)
    async with opened(tmp_path) as surety:
        job = await submitted(surety, grey(1))
        async with Helper(surety, COMPUTE) as failing:
            with pytest.raises(NotUsable):
                async for look in follow(surety, job.id, failing):
                    assert not look.over
            with pytest.raises(NotUsable):
                await failing.beside(until(surety, job.id))


async def test_whoever_follows_is_told_that_the_store_is_away_and_back(
    tmp_path, tmp_path_factory, monkeypatch
):
    monkeypatch.setattr(following, "PATIENCE", 0.1)
    server = EmbeddedServer(tmp_path_factory.mktemp("s"))
    url, pid = f"unix://{server.start()}", server.pid
    try:
        async with opened(tmp_path, redis_url=url) as surety, Helper(surety, "", work=False) as no:
            job = await submitted(surety, grey(1))
            seen = []
            async with contextlib.aclosing(follow(surety, job.id, no)) as looks:
                async for look in looks:
                    if seen == [] and not look.away:
                        os.kill(pid, signal.SIGSTOP)
                        seen.append("there")
                    if seen == ["there"] and look.away:
                        assert look.job == job  # as it was seen last
                        os.kill(pid, signal.SIGCONT)
                        seen.append("away")
                    if seen == ["there", "away"] and not look.away:
                        break
    finally:
        os.kill(pid, signal.SIGCONT)
        server.stop()
