"""The table of transitions is what the store does, for every state and every action."""

import dataclasses
from collections import Counter

import pytest

from service.errors import JobConflict, NotFound
from service.jobs.rows import State
from service.jobs.states import FROM, JOB_STATES, TO, actions
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
