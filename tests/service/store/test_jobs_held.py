"""Jobs that are held back: others pass, and they come back when they are due."""

import asyncio

import pytest

from service.jobs.item import Item
from service.jobs.rows import Row
from service.jobs.spec import JobSpec

COMPUTE = "cpu/int16"
DOWN = {"title": "down"}
MANY = 105  # more than are looked at in one step


@pytest.fixture
async def state(place):
    return await place()


async def running(state, count, **fields):
    """Start a job whose pictures nobody looks at."""
    job_id = await state.jobs.begin(JobSpec({}, COMPUTE, **fields), "reader")
    items = [(Item(number, f"{number}.png", "aa" * 32, None), None) for number in range(count)]
    await state.pictures.add(job_id, None, items)
    return await state.jobs.move(job_id, "start")


async def taken(state, most):
    return [(one.job_id, one.number) for one in await state.pictures.take(COMPUTE, 1000, most)]


async def ended(state, job, number):
    assert await state.pictures.end(job, Row(number, f"{number}.png", "aa" * 32, "done"))


async def test_any_number_of_jobs_that_are_held_lets_others_pass(state):
    held = [await running(state, 2) for _ in range(MANY)]
    for job in held:
        await state.jobs.hold(job.id, 60, DOWN)
    other = await running(state, 40)
    await taken(state, 0)
    assert await taken(state, 30) == [(other.id, number) for number in range(30)]
    assert await taken(state, 30) == [(other.id, number) for number in range(30, 40)]
    assert await state.pictures.any_ready(COMPUTE)  # they are when they are due


async def test_a_job_that_was_held_has_no_arrears_to_catch_up(state):
    held, other = await running(state, 60), await running(state, 60)
    await state.jobs.hold(held.id, 0.2, DOWN)
    assert {job_id for job_id, _ in await taken(state, 20)} == {other.id}
    await asyncio.sleep(0.3)
    turn = [job_id for job_id, _ in await taken(state, 20)]
    assert 9 <= turn.count(held.id) <= 11
    assert 9 <= turn.count(other.id) <= 11


async def test_a_picture_that_goes_back_to_a_job_that_is_held_waits_with_it(state):
    job = await running(state, 2)
    assert len(await taken(state, 2)) == 2
    await state.jobs.hold(job.id, 0.2, DOWN)
    for number in range(2):
        await state.pictures.back(job.id, COMPUTE, number)
        assert await taken(state, 2) == []
    await asyncio.sleep(0.3)
    assert sorted(await taken(state, 2)) == [(job.id, 0), (job.id, 1)]


async def test_a_job_that_is_held_longer_waits_longer_and_who_resumes_it_does_not_wait(state):
    job = await running(state, 2)
    await state.jobs.hold(job.id, 0.1, DOWN)
    assert await taken(state, 1) == []
    await state.jobs.hold(job.id, 60, DOWN)
    await asyncio.sleep(0.2)
    assert await taken(state, 1) == []
    await state.jobs.move(job.id, "pause")
    assert not await state.pictures.any_left(COMPUTE)
    await state.jobs.move(job.id, "resume")
    assert await taken(state, 1) == [(job.id, 0)]


async def test_any_number_of_jobs_that_wait_for_their_first_slices_lets_others_pass(state):
    waiting = [await running(state, 2) for _ in range(MANY)]
    assert len(await taken(state, 2 * MANY)) == 2 * MANY
    for job in waiting:
        await state.pictures.back(job.id, COMPUTE, 0, order=2 + 7.0)
    other = await running(state, 40)
    assert await taken(state, 50) == [(other.id, number) for number in range(40)]
    await ended(state, waiting[-1], 1)
    assert await taken(state, 50) == [(waiting[-1].id, 0)]


async def test_a_job_that_has_ended_says_no_more_why_it_was_held(state):
    job = await running(state, 2)
    await taken(state, 2)
    await state.jobs.hold(job.id, 60, DOWN)
    assert (await state.jobs.get(job.id)).problem == DOWN
    await ended(state, job, 0)
    assert (await state.jobs.get(job.id)).problem == DOWN
    await ended(state, job, 1)
    found = await state.jobs.get(job.id)
    assert (found.state, found.problem) == ("finished", None)
    assert not await state.pictures.any_left(COMPUTE)


async def test_only_a_job_that_runs_is_held(state):
    """A worker was about to hold it when it was paused, ended or deleted."""
    job = await running(state, 1)
    await state.jobs.move(job.id, "pause")
    await state.jobs.hold(job.id, 60, DOWN)
    assert (await state.jobs.get(job.id)).problem is None
    await state.jobs.move(job.id, "resume")
    assert await taken(state, 1) == [(job.id, 0)]
    await ended(state, job, 0)
    await state.jobs.hold(job.id, 60, DOWN)
    assert (await state.jobs.get(job.id)).problem is None
    await state.pictures.delete(await state.jobs.get(job.id))
    await state.jobs.hold(job.id, 60, DOWN)
    assert not await state.store.brisk(lambda r: r.keys(state.store.key(f"job:{job.id}*")))
