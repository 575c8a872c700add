"""What is done with a job at the same time as something else: all of it or nothing."""

from collections import Counter

import pytest

from service.errors import JobConflict, NotFound
from service.jobs import actions
from service.jobs.rows import Row
from tests.service import providers
from tests.service.jobs.running import grey, opened, rows, submitted, until, working

pytestmark = pytest.mark.usefixtures("small_providers")
COMPUTE = "cpu/int16"
MORE = {"max_cost": 900.0, "priority": "high"}


@pytest.fixture
async def surety(tmp_path):
    async with opened(tmp_path) as there:
        yield there


@pytest.fixture
def meanwhile(monkeypatch):
    """Have something done after an `extend` has looked at the job, and before it changes it."""
    real = actions.spec_of

    def have(act):
        async def interrupted(*arguments, **fields):
            monkeypatch.setattr(actions, "spec_of", real)
            await act()
            return await real(*arguments, **fields)

        monkeypatch.setattr(actions, "spec_of", interrupted)

    return have


async def finished(surety):
    job = await submitted(surety, grey(2), max_cost=1.0)
    for one in await surety.state.pictures.take(COMPUTE, 10, 10):
        await surety.state.pictures.end(job, Row(one.number, "p.png", "aa", "done"))
    return await surety.state.jobs.get(job.id)


async def share(surety, job):
    return await surety.state.store.brisk(lambda r: r.hget(surety.state.jobs.key(job.id), "share"))


async def test_an_extend_changes_the_job_and_its_share(surety):
    job = await finished(surety)
    extended = await actions.extend(surety, job.id, MORE)
    assert (extended.state, extended.counts["waiting"]) == ("running", 2)
    assert (extended.spec.max_cost, extended.spec.priority) == (900.0, "high")
    assert await share(surety, job) == b"16"


async def test_an_extend_that_comes_second_is_refused_and_changes_nothing(surety, meanwhile):
    job = await finished(surety)
    meanwhile(lambda: actions.extend(surety, job.id, {"max_cost": 2.0}))
    with pytest.raises(JobConflict, match="the job is running"):
        await actions.extend(surety, job.id, MORE)
    found = await surety.state.jobs.get(job.id)
    assert (found.state, found.spec.max_cost, found.spec.priority) == ("running", 2.0, "normal")
    assert await share(surety, job) == b"4"


async def test_an_extend_that_is_refused_last_of_all_changes_nothing(surety, monkeypatch):
    job, pictures = await finished(surety), surety.state.pictures
    real = pictures.again

    async def again(*arguments):
        count = await real(*arguments)
        await surety.state.jobs.move(job.id, "extend")  # another process's
        return count

    monkeypatch.setattr(pictures, "again", again)
    with pytest.raises(JobConflict, match="the job is running"):
        await actions.extend(surety, job.id, MORE)
    assert (await surety.state.jobs.get(job.id)).spec == job.spec
    assert await share(surety, job) == b"4"


async def test_an_extend_of_a_job_that_is_deleted_meanwhile_leaves_nothing(surety, meanwhile):
    job = await finished(surety)
    meanwhile(lambda: actions.delete(surety, job.id))
    with pytest.raises(NotFound, match="deleted"):
        await actions.extend(surety, job.id, MORE)
    keys = surety.state.store.key(f"job:{job.id}*")
    assert not await surety.state.store.brisk(lambda redis: redis.keys(keys))


async def test_a_job_that_is_being_deleted_is_gone_for_who_would_change_it(surety):
    job = await finished(surety)
    key, store = surety.state.jobs.key(job.id), surety.state.store
    real = surety.state.jobs.get

    async def get(job_id):
        found = await real(job_id)
        await store.brisk(lambda redis: redis.hset(key, "state", "deleting"))
        return found

    surety.state.jobs.get = get
    with pytest.raises(NotFound, match="deleted"):
        await surety.state.jobs.move(job.id, "extend")


@pytest.mark.parametrize("allocation", ["in_order", "closest"])
async def test_a_job_that_is_extended_paused_and_cancelled_has_ended_as_it_had(
    tmp_path, allocation
):
    """The pictures were being worked on, and some had further votes."""
    async with opened(tmp_path, provider="slow") as surety, working(surety, pictures=2):
        chosen = {"target_radius": 0.1, "max_votes": 30}
        job = await submitted(surety, grey(4), chosen, allocation=allocation)
        job = await until(surety, job.id)
        before, calls = await rows(surety, job), providers.Slow.calls
        assert {row.state for row in before} == {"done"}
        await actions.extend(surety, job.id, {"target_radius": 0.9, "max_votes": 400})
        await until(surety, job.id, lambda _: providers.Slow.calls > calls + 60)
        await actions.pause(surety, job.id)
        await until(surety, job.id, lambda job: not job.counts["working"])
        job = await actions.cancel(surety, job.id)
        after = await rows(surety, job)
        assert {name: n for name, n in job.counts.items() if n} == {"done": 4}
        for old, new in zip(before, after, strict=True):
            assert (new.state, new.n, new.certificate) == ("done", old.n, old.certificate)
            assert new.images >= old.images
        assert sum(row.images for row in after) == job.images > calls
        await actions.extend(surety, job.id, {"max_votes": 40, "target_radius": 0.2})
        job = await until(surety, job.id)
        states = Counter(row.state for row in await rows(surety, job))
        assert {name: n for name, n in job.counts.items() if n} == states == {"done": 4}
