"""Workers that lack a job's credential, or the like: they leave it to others, if there are any."""

import asyncio

import pytest

from adapters.errors import NotConfigured
from service.jobs.engine import work
from service.store.workers import WorkerInfo
from tests.service.jobs.running import grey, opened, rows, submitted, until, working

pytestmark = pytest.mark.usefixtures("small_providers")

COMPUTE = "cpu/int16"


@pytest.fixture(autouse=True)
def _brisk(monkeypatch):
    monkeypatch.setattr(work, "ELSEWHERE_SECONDS", 0.1)
    monkeypatch.setattr(work, "HOLD_SECONDS", 0.5)


async def not_here(_):
    raise NotConfigured("no credential here")


async def both(*others):
    """Wait until all of these workers, in processes of their own, have told of themselves."""
    workers = others[0].state.workers
    async with asyncio.timeout(30):
        while len(await workers.covering(COMPUTE)) < len(others):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_where_none_of_them_is_the_job_says_so_and_goes_on_once_one_is(tmp_path, monkeypatch):
    async with opened(tmp_path) as one, opened(tmp_path) as two, opened(tmp_path) as able:
        monkeypatch.setattr(one, "adapter", not_here)
        monkeypatch.setattr(two, "adapter", not_here)
        async with working(one, 1), working(two, 1):
            await both(one, two)
            job = await submitted(able, grey(2))
            held = await until(able, job.id, lambda job: job.problem and job.left == 2)
            assert held.state == "running"
            assert "no credential here" in held.problem["detail"]
            async with working(able):
                job = await until(able, job.id)
    assert job.counts["done"] == 2


async def test_while_one_is_the_job_goes_on_without_a_word(tmp_path, monkeypatch):
    async with opened(tmp_path, provider="slow") as one, opened(tmp_path, provider="slow") as two:
        monkeypatch.setattr(one, "adapter", not_here)
        told = []
        async with working(one, 1), working(two, 1):
            await both(one, two)
            job = await submitted(two, grey(4))

            def ended(job):
                told.append(job.problem)
                return job.ended is not None

            job = await until(two, job.id, ended)
        assert {row.state for row in await rows(two, job)} == {"done"}
    assert {*told} == {None}


async def test_one_that_is_set_up_meanwhile_counts_again(tmp_path, monkeypatch):
    async with opened(tmp_path) as one, opened(tmp_path) as two, opened(tmp_path) as asking:
        monkeypatch.setattr(two, "adapter", not_here)
        async with working(one, 1), working(two, 1):
            await both(one, two)
            with monkeypatch.context() as first:
                first.setattr(one, "adapter", not_here)
                job = await submitted(asking, grey(3))
                await until(asking, job.id, lambda job: job.problem is not None)
            job = await until(asking, job.id)
        assert job.counts["done"] == 3
        store, ids = two.state.store, [one.state.process.id, two.state.process.id]
        keys = [store.key("unable", job.id, name) for name in ids]
        marks = [await store.brisk(lambda redis, key=key: redis.pttl(key)) for key in keys]
    assert marks[0] == -2  # none
    assert marks[1] > 30_000  # longer than a job is held


async def test_only_those_that_live_and_cover_the_job_count(tmp_path):
    def told(name, compute=COMPUTE):
        return WorkerInfo(name, "elsewhere:1", [compute], 2)

    async with opened(tmp_path) as surety:
        workers = surety.state.workers
        for info in (told("a"), told("b"), told("c"), told("gpu", "cuda/bfloat16")):
            await workers.tell(info)
        assert not await workers.unable("a", "job", COMPUTE)
        assert not await workers.unable("b", "job", COMPUTE)
        assert not await workers.unable("c", "another", COMPUTE)
        assert await workers.unable("c", "job", COMPUTE)
        await workers.able("c", "job")
        assert not await workers.unable("b", "job", COMPUTE)
        await workers.leave("c")
        assert await workers.unable("b", "job", COMPUTE)
        assert await workers.unable("gpu", "job", "cuda/bfloat16")
