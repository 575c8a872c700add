"""The table of transitions is what the store does, for every state and every action."""

import dataclasses
from collections import Counter

import pytest

from service.errors import JobConflict, NotFound
from service.jobs.engine.outcome import Used, charged, partly
from service.jobs.rows import State
from service.jobs.states import FROM, JOB_STATES, TO, actions
from service.store.job_rows import USED
from tests.service.jobs.running import grey, opened, submitted


@pytest.mark.usefixtures("small_providers")
async def test_every_action_in_every_state(tmp_path):
    async with opened(tmp_path) as surety:
        jobs = surety.state.jobs
        job = await submitted(surety, grey(2))
        key = jobs.key(job.id)
        for state in JOB_STATES:
            for action, leads_to in TO.items():

                async def put(redis, state=state):
                    await redis.hset(key, "state", state)
                    await redis.hset(key, mapping={"waiting": 2, "working": 0, "cancelled": 0})
                    await redis.zadd(jobs.key(job.id, "pending"), {"0": 0, "1": 1})

                await surety.state.store.brisk(put)
                if state in FROM[action]:
                    assert (await jobs.move(job.id, action)).state == leads_to
                else:
                    with pytest.raises(JobConflict, match=f"the job is {state}, and {action}"):
                        await jobs.move(job.id, action)
                    assert (await jobs.get(job.id)).state == state


def test_a_job_says_what_can_be_done_with_it():
    assert actions("running") == ["pause", "cancel"]
    assert actions("paused") == ["resume", "cancel", "delete"]
    assert actions("finished") == ["retry", "extend", "delete"]


@pytest.mark.usefixtures("small_providers")
async def test_cancelling_ends_what_waits_and_paused_jobs_are_handed_out_to_nobody(tmp_path):
    async with opened(tmp_path) as surety:
        state = surety.state
        job = await submitted(surety, grey(3))
        await state.jobs.move(job.id, "pause")
        assert await state.pictures.take("cpu/int16", 10, 10) == []
        await state.jobs.move(job.id, "resume")
        (taken,) = await state.pictures.take("cpu/int16", 1, 10)
        cancelled = await state.jobs.move(job.id, "cancel")
        assert cancelled.counts["cancelled"] == 2
        assert cancelled.counts["working"] == 1
        assert cancelled.ended is not None
        await state.pictures.back(job.id, "cpu/int16", taken.number)  # its worker notices
        found = await state.jobs.get(job.id)
        assert (found.counts["cancelled"], found.counts["working"]) == (3, 0)
        assert {r.state for r in await state.pictures.rows(found)} == {"cancelled"}


@pytest.mark.usefixtures("small_providers")
async def test_pictures_of_an_extended_job_that_is_cancelled_are_what_they_were(tmp_path):
    async with opened(tmp_path) as surety:
        state = surety.state
        job = await submitted(surety, grey(4))
        ends: list[State] = ["done", "done", "failed", "unpaid"]
        for end, taken in zip(ends, await state.pictures.take("cpu/int16", 4, 10), strict=True):
            (row,) = await state.pictures.rows(job, taken.number, 1)
            await state.pictures.end(job, dataclasses.replace(row, state=end))
        ended = await state.jobs.get(job.id)
        assert (ended.state, ended.counts["waiting"]) == ("finished", 0)
        assert await state.pictures.again(ended, "extend") == 4
        assert (await state.jobs.move(job.id, "extend")).counts["waiting"] == 4
        (taken,) = await state.pictures.take("cpu/int16", 1, 10)
        await state.jobs.move(job.id, "cancel")
        await state.pictures.back(job.id, "cpu/int16", taken.number)
        found = await state.jobs.get(job.id)
        rows = await state.pictures.rows(found)
        assert [row.state for row in rows] == ends
        assert {name: n for name, n in found.counts.items() if n} == Counter(ends)
        assert await state.pictures.again(found, "retry") == 2


SLICE = {"proof": {"votes": {"n": 64, "abstentions": 3}}}


async def counted(state, job_id):
    """Return a job's pictures by state, of which its counts and its table must say the same."""
    job = await state.jobs.get(job_id)
    rows = await state.pictures.rows(job)
    assert {name: n for name, n in job.counts.items() if n} == Counter(row.state for row in rows)
    return [row.state for row in rows]


@pytest.mark.parametrize("cancelled_first", [True, False])
@pytest.mark.usefixtures("small_providers")
async def test_pictures_that_were_worked_on_again_and_not_ended_are_what_they_were(
    tmp_path, cancelled_first
):
    """However each goes back: broken off, with a slice of votes, or as it was taken."""
    ends: list[State] = ["done", "done", "done", "failed", "failed", "unpaid"]
    async with opened(tmp_path) as surety:
        state, used = surety.state, Used(calls=2, images=32, units=32)
        job = await submitted(surety, grey(len(ends)))
        had = []
        for end, taken in zip(ends, await state.pictures.take("cpu/int16", 9, 9), strict=True):
            (row,) = await state.pictures.rows(job, taken.number, 1)
            told = {"n": 40, "abstentions": 1, "calls": 1, "certificate": f"c{taken.number}"}
            problem = {"title": "no"} if end == "failed" else None
            had.append(dataclasses.replace(row, state=end, problem=problem, **told))
            await state.pictures.end(job, had[-1])

        async def put_back(number):
            if number % 3 == 2:
                return await state.pictures.back(job.id, "cpu/int16", number)
            row = charged(had[number], await state.pictures.row(job.id, number), used, 0.01, 1)
            row = partly(row, SLICE, 1) if number % 3 == 1 else row
            await state.pictures.back(job.id, "cpu/int16", number, 6 + 1.0, row)

        for _ in range(2):  # the second time there is a row of before beside that of now
            assert await state.pictures.again(await state.jobs.get(job.id), "extend") == 6
            await state.jobs.move(job.id, "extend")
            assert len(await state.pictures.take("cpu/int16", 9, 9)) == 6
            assert await counted(state, job.id) == ["working"] * 6
            if cancelled_first:
                await state.jobs.move(job.id, "cancel")
            for number in range(6):
                await put_back(number)
            if not cancelled_first:
                assert await counted(state, job.id) == ["waiting"] * 6
                assert (await state.pictures.row(job.id, 1)).n == 64  # from where it goes on
                await state.jobs.move(job.id, "cancel")
            assert await counted(state, job.id) == ends
        found = await state.jobs.get(job.id)
        for row, before in zip(await state.pictures.rows(found), had, strict=True):
            times = 0 if row.number % 3 == 2 else 2
            assert (row.calls, row.images) == (1 + 2 * times, 32 * times)  # they are paid for
            assert row.cost == pytest.approx(0.32 * times)
            assert dataclasses.replace(before, **{name: getattr(row, name) for name in USED}) == row

        assert await state.pictures.again(found, "retry") == 3
        await state.jobs.move(job.id, "retry")
        assert await counted(state, job.id) == ends[:3] + ["waiting"] * 3
        for taken in await state.pictures.take("cpu/int16", 9, 9):
            row = await state.pictures.row(job.id, taken.number)
            await state.pictures.end(job, dataclasses.replace(row, state="done", n=99))
        assert await counted(state, job.id) == ["done"] * 6
        assert [row.n for row in await state.pictures.rows(job)] == [40] * 3 + [99] * 3


@pytest.mark.usefixtures("small_providers")
async def test_pictures_that_have_a_slice_alone_are_cancelled_whatever_follows(tmp_path):
    async with opened(tmp_path) as surety:
        state = surety.state
        job = await submitted(surety, grey(3))
        for action in ("cancel", "retry", "cancel"):
            if action == "retry":
                assert await state.pictures.again(await state.jobs.get(job.id), "retry") == 3
                await state.jobs.move(job.id, "retry")
                continue
            for taken in await state.pictures.take("cpu/int16", 2, 2):
                (row,) = await state.pictures.rows(job, taken.number, 1)
                waits = partly(charged(row, None, Used(calls=1), 0, 1), SLICE, 0)
                await state.pictures.back(job.id, "cpu/int16", taken.number, 3 + 1.0, waits)
            await state.jobs.move(job.id, "cancel")
            assert await counted(state, job.id) == ["cancelled"] * 3


@pytest.mark.usefixtures("small_providers")
async def test_a_job_that_is_deleted_leaves_nothing(tmp_path):
    async with opened(tmp_path) as surety:
        state = surety.state
        pictures = grey(3)
        job = await submitted(surety, pictures)
        other = await submitted(surety, pictures[:1])
        await state.jobs.move(job.id, "pause")
        (await state.pictures.take("cpu/int16", 1, 10),)
        await state.pictures.delete(await state.jobs.get(job.id))
        with pytest.raises(NotFound):
            await state.jobs.get(job.id)
        assert [found.id for found in await state.jobs.list()] == [other.id]
        kept = await state.store.brisk(lambda r: r.keys(state.store.key("upload:*")))
        assert len(kept) == 3  # the other job's picture, who uses it, and whose it is
        assert not await state.store.brisk(lambda r: r.keys(state.store.key(f"job:{job.id}*")))
