"""Jobs in the store: fair shares, money, rows, and what a second delivery finds."""

import asyncio
import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certification.errors import LedgerDamaged
from service.billionths import NANO
from service.errors import JobConflict
from service.jobs import actions
from service.jobs.rows import Row
from service.jobs.spec import JobSpec
from service.store.jobs import cap_of
from service.store.workers import WorkerInfo
from tests.service.jobs.running import grey, opened, submitted

pytestmark = pytest.mark.usefixtures("small_providers")
COMPUTE = "cpu/int16"


def done(number, **more):
    return Row(number, f"p{number}.png", "aa", "done", label="dark", radius=0.5, **more)


async def test_a_picture_ends_once_and_the_last_one_ends_the_job(tmp_path):
    async with opened(tmp_path) as surety:
        state = surety.state
        job = await submitted(surety, grey(2))
        taken = await state.pictures.take(COMPUTE, 10, 10)
        assert [(t.job_id, t.number) for t in taken] == [(job.id, 0), (job.id, 1)]
        assert await state.pictures.is_out(COMPUTE, taken[0])
        assert not await state.pictures.is_out(COMPUTE, taken[0]._replace(at=1))
        assert await state.pictures.end(job, done(0))
        assert not await state.pictures.end(job, done(0, n=7))  # a second delivery
        assert (await state.jobs.get(job.id)).state == "running"
        assert [r.state for r in await state.pictures.rows(job)] == ["done", "working"]
        assert await state.pictures.end(job, done(1))
        ended = await state.jobs.get(job.id)
        assert (ended.state, ended.counts["done"], ended.left) == ("finished", 2, 0)
        assert await state.pictures.row(job.id, 0) == done(0)


async def test_what_goes_back_is_handed_out_again(tmp_path):
    async with opened(tmp_path) as surety:
        state = surety.state
        job = await submitted(surety, grey(3))
        await state.pictures.take(COMPUTE, 10, 10)
        row = dataclasses.replace(done(1), state="waiting", n=32)
        await state.pictures.back(job.id, COMPUTE, 2)
        await state.pictures.back(job.id, COMPUTE, 1, order=0.5, row=row)
        await state.pictures.back(job.id, COMPUTE, 1, order=0.5)  # twice does nothing
        found = await state.jobs.get(job.id)
        assert (found.counts["waiting"], found.counts["working"]) == (2, 1)
        again = await state.pictures.take(COMPUTE, 10, 10)
        assert [t.number for t in again] == [1, 2]  # by their order
        assert (await state.pictures.row(job.id, 1)).n == 32


async def test_no_more_are_out_than_workers_take(tmp_path):
    async with opened(tmp_path) as surety:
        state = surety.state
        job = await submitted(surety, grey(9))
        assert len(await state.pictures.take(COMPUTE, 4, 10)) == 4
        assert await state.pictures.take(COMPUTE, 4, 10) == []
        await state.pictures.end(job, done(0))
        assert len(await state.pictures.take(COMPUTE, 4, 10)) == 1
        assert len(await state.pictures.take(COMPUTE, 100, 2)) == 2
        assert await state.pictures.take("cuda/bfloat16", 100, 10) == []


async def test_jobs_share_by_their_priorities(tmp_path):
    async with opened(tmp_path) as surety:
        state = surety.state
        low = await submitted(surety, grey(60), priority="low")
        normal = await submitted(surety, grey(60), priority="normal")
        high = await submitted(surety, grey(60), priority="high")
        first = [t.job_id for t in await state.pictures.take(COMPUTE, 1000, 42)]
        counts = [first.count(job.id) for job in (low, normal, high)]
        assert counts[0] in (2, 3)
        assert counts[1] in (7, 8, 9)
        assert counts[2] == 42 - counts[0] - counts[1]
        rest = [t.job_id for t in await state.pictures.take(COMPUTE, 1000, 1000)]
        assert len(rest) == 180 - 42  # none starves


async def test_who_comes_late_has_no_arrears_to_catch_up(tmp_path):
    async with opened(tmp_path) as surety:
        state = surety.state
        early = await submitted(surety, grey(40))
        await state.pictures.take(COMPUTE, 1000, 20)
        late = await submitted(surety, grey(40))
        turn = [t.job_id for t in await state.pictures.take(COMPUTE, 1000, 20)]
        assert 9 <= turn.count(early.id) <= 11
        assert 9 <= turn.count(late.id) <= 11


async def test_a_job_that_is_held_lets_others_pass(tmp_path):
    async with opened(tmp_path) as surety:
        state = surety.state
        first = await submitted(surety, grey(4))
        second = await submitted(surety, grey(4))
        await state.jobs.hold(first.id, 60, {"title": "down"})
        assert {t.job_id for t in await state.pictures.take(COMPUTE, 100, 8)} == {second.id}
        assert (await state.jobs.get(first.id)).problem == {"title": "down"}
        await state.jobs.move(first.id, "pause")
        await state.jobs.move(first.id, "resume")  # whoever resumes does not want to wait
        assert {t.job_id for t in await state.pictures.take(COMPUTE, 100, 8)} == {first.id}


@given(
    steps=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30), st.booleans()), max_size=30)
)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_the_cap_holds_at_every_moment(tmp_path, steps):
    cap, price = 100, 7
    async with opened(tmp_path) as surety:
        jobs = surety.state.jobs
        job = await submitted(surety, grey(1))
        spent = reserved = 0
        for number, (units, billed, settled) in enumerate(steps):
            amount, used = units * price, min(units, billed) * price
            allowed = await jobs.reserve(job.id, str(number), amount, cap)
            assert allowed == (spent + amount <= cap)
            if allowed:
                spent, reserved = spent + amount, reserved + amount
            if allowed and settled:
                await jobs.settle(job.id, str(number), used)
                spent, reserved = spent - amount + used, reserved - amount
            found = await jobs.get(job.id)
            assert (found.spent, found.reserved) == (spent, reserved)
            assert found.spent <= cap


async def test_many_at_once_do_not_pass_the_cap(tmp_path):
    async with opened(tmp_path) as surety:
        jobs = surety.state.jobs
        job = await submitted(surety, grey(1), max_cost=0.1)
        cap = cap_of(job.spec)
        assert cap == NANO // 10
        told = await asyncio.gather(
            *(jobs.reserve(job.id, str(call), NANO // 300, cap) for call in range(80))
        )
        assert sum(told) == 30
        assert (await jobs.get(job.id)).cost_at_most <= 0.1
        assert (await jobs.get(job.id)).cost == 0


async def test_a_second_slice_waits_until_no_first_one_is_worked_on(tmp_path):
    async with opened(tmp_path) as surety:
        pictures = surety.state.pictures
        job = await submitted(surety, grey(3))
        other = await submitted(surety, grey(1))

        async def taken():
            found = await pictures.take(COMPUTE, 10, 1)
            return [(one.job_id == job.id, one.number) for one in found]

        assert {*await taken(), *await taken(), *await taken(), *await taken()} == {
            (True, 0),
            (True, 1),
            (True, 2),
            (False, 0),
        }
        await pictures.back(job.id, COMPUTE, 0, order=3 + 7.0)
        assert await taken() == []
        await pictures.end(job, done(1))
        assert await taken() == []  # but number 2 may still need the money
        await pictures.back(other.id, COMPUTE, 0)
        assert await taken() == [(False, 0)]  # other jobs go on meanwhile
        await pictures.back(job.id, COMPUTE, 2, order=3 + 2.0)
        assert await taken() == [(True, 2)]
        assert await taken() == [(True, 0)]


async def test_pictures_of_an_ended_job_wait_again_once(tmp_path):
    async with opened(tmp_path) as surety:
        state = surety.state
        job = await submitted(surety, grey(3))
        with pytest.raises(JobConflict):
            await actions.retry(surety, job.id)
        await state.pictures.take(COMPUTE, 10, 10)
        await state.pictures.end(job, done(0))
        await state.pictures.end(job, dataclasses.replace(done(1), state="failed"))
        await state.pictures.end(job, dataclasses.replace(done(2), state="unpaid"))
        job = await state.jobs.get(job.id)
        assert await state.pictures.again(job, "retry") == 2
        assert await state.pictures.again(job, "retry") == 0
        found = await state.jobs.get(job.id)
        assert found.counts | {} == {
            "waiting": 2, "working": 0, "done": 1, "failed": 0, "unpaid": 0, "cancelled": 0,
        }  # fmt: skip
        assert [r.state for r in await state.pictures.rows(found)] == ["done", "waiting", "waiting"]


async def test_a_forged_job_is_refused(tmp_path):
    """Whoever can write to the store must not have money spent."""
    async with opened(tmp_path) as surety:
        state = surety.state
        job = await submitted(surety, grey(2), max_cost=0.001)
        key = state.jobs.key(job.id)
        spec = await state.store.brisk(lambda redis: redis.hget(key, "spec"))
        forged = spec.replace(b"0.001", b"1000.")
        await state.store.brisk(lambda redis: redis.hset(key, "spec", forged))
        with pytest.raises(LedgerDamaged, match=f"'job {job.id}'"):
            await state.jobs.get(job.id)
        other = await submitted(surety, grey(2))
        items = state.jobs.key(other.id, "items")
        second = await state.store.brisk(lambda redis: redis.hget(items, "1"))
        await state.store.brisk(lambda redis: redis.hset(items, "0", second))
        with pytest.raises(LedgerDamaged, match="item"):
            await state.pictures.item(other.id, 0)


async def test_what_a_newer_version_wrote_is_no_damage(tmp_path, monkeypatch):
    async with opened(tmp_path) as surety:
        state = surety.state
        job = await submitted(surety, grey(1))
        described = JobSpec.describe
        monkeypatch.setattr(JobSpec, "describe", lambda spec: {**described(spec), "shape": 1})
        newer = state.jobs.sealed(job.id, job.spec)
        await state.store.brisk(lambda redis: redis.hset(state.jobs.key(job.id), "spec", newer))
        with pytest.raises(JobConflict, match="newer version of Surety, which knows shape"):
            await state.jobs.get(job.id)
        monkeypatch.undo()
        other = await submitted(surety, grey(2))
        assert [one.id for one in await state.jobs.list()] == [other.id]


async def test_a_worker_of_a_newer_version_is_seen(tmp_path, monkeypatch):
    async with opened(tmp_path) as surety:
        workers, info = surety.state.workers, WorkerInfo("w", "there:1", [COMPUTE], 1, busy=1)
        described = WorkerInfo.describe
        monkeypatch.setattr(WorkerInfo, "describe", lambda one: {**described(one), "mood": "good"})
        await workers.tell(info)
        assert info in await workers.list()


async def test_jobs_are_listed_the_latest_first(tmp_path):
    async with opened(tmp_path) as surety:
        jobs = [(await submitted(surety, grey(1), name=f"job {n}")).id for n in range(5)]
        listed = [job.id for job in await surety.state.jobs.list(limit=2)]
        assert listed == jobs[:2:-1]
        more = [job.id for job in await surety.state.jobs.list(limit=10, before=listed[-1])]
        assert more == jobs[2::-1]
