"""Jobs and uploads that are past their time go, with their pictures; votes stay."""

import asyncio
import time

import pytest

from service.errors import JobConflict, NotFound
from service.housekeeping import DAY, clean
from service.jobs import actions
from service.jobs.submit import Handed, spec_of, submit
from tests.service.jobs.running import given, grey, opened, submitted, until, working
from tests.service.reading import stored

KEPT = ("ledger", "ledgers", "certificate", "certificates", "deployment", "keys", "process")


@pytest.fixture
async def surety(tmp_path, small_providers):
    async with opened(tmp_path) as there:
        yield there


def left(surety):
    """Keys that are about jobs."""
    names = stored(surety.settings.redis_prefix)
    return [n for n in names if n.startswith(("job", "upload")) and not n.startswith("jobs:clock")]


async def done(surety, count=1):
    return await until(surety, (await submitted(surety, grey(count))).id)


async def dropped(surety, now=None, **settings):
    told = await clean(surety.state, surety.settings.model_copy(update=settings), now)
    return told["jobs"], told["uploads"]


async def test_ended_jobs_go_by_age_and_by_count(surety):
    async with working(surety):
        jobs = [await done(surety) for _ in range(3)]
    waits = await submitted(surety, grey(1))
    assert await dropped(surety) == (0, 0)
    assert await dropped(surety, keep_jobs_most=2) == (1, 0)
    with pytest.raises(NotFound):
        await surety.state.jobs.get(jobs[0].id)
    later = time.time() + 31 * DAY
    settings = surety.settings
    assert (await clean(surety.state, settings, later, dry_run=True))["jobs"] == 2
    assert await dropped(surety, later) == (2, 0)
    (kept,) = await surety.state.jobs.list()
    assert kept.id == waits.id
    await actions.cancel(surety, waits.id)
    assert await dropped(surety, keep_jobs_most=0) == (1, 0)
    assert left(surety) == []
    assert await surety.state.certificates.count() == 1  # they were about the same picture


async def test_a_job_that_goes_on_again_stays(surety, monkeypatch):
    job = await submitted(surety, grey(1))
    await actions.cancel(surety, job.id)
    get = surety.state.jobs.get

    async def meanwhile(job_id):
        found = await get(job_id)
        if found.state == "cancelled":
            monkeypatch.setattr(surety.state.jobs, "get", get)
            await actions.retry(surety, job_id)
        return found

    monkeypatch.setattr(surety.state.jobs, "get", meanwhile)
    assert await dropped(surety, keep_jobs_most=0) == (0, 0)
    assert (await get(job.id)).state == "running"


async def test_loose_uploads_go_after_a_day_but_not_those_of_jobs(surety):
    named, loose = [await surety.state.uploads.put(data) for data in (b"named", b"loose")]
    await submit(surety, await spec_of(surety, {"sigma": 0.5}), given([Handed("a", named)]))
    assert await dropped(surety, time.time() + 0.9 * DAY) == (0, 0)
    tomorrow = time.time() + 1.1 * DAY
    assert (await clean(surety.state, surety.settings, tomorrow, dry_run=True))["uploads"] == 2
    assert await dropped(surety, tomorrow) == (0, 2)
    assert await surety.state.uploads.missing([named, loose]) == [loose]


async def test_what_a_dead_process_was_taking_in_goes_with_its_pictures(surety):
    spec, arrived = await spec_of(surety, {"sigma": 0.5}), asyncio.Event()

    async def stops():
        for one in grey(250):
            yield one
        arrived.set()
        await asyncio.Event().wait()

    taking = asyncio.create_task(submit(surety, spec, stops()))
    await arrived.wait()
    (job,) = await surety.state.jobs.list()
    assert (job.state, job.actions if hasattr(job, "actions") else []) == ("reading", [])
    assert await dropped(surety) == (0, 0)  # who takes it in lives
    with pytest.raises(JobConflict):
        await actions.delete(surety, job.id)
    key = surety.state.store.key("job", job.id)
    await surety.state.store.brisk(lambda r: r.hset(key, "reader", "dead"))
    assert (await clean(surety.state, surety.settings, dry_run=True))["jobs"] == 1
    assert await dropped(surety) == (1, 0)
    assert left(surety) == []
    taking.cancel()
    with pytest.raises(NotFound):  # it was taken away from under it
        await taking


async def test_an_upload_that_breaks_off_leaves_nothing(surety):
    spec = await spec_of(surety, {"sigma": 0.5})

    async def breaks():
        for one in grey(130):
            yield one
        raise ValueError("broken off")

    with pytest.raises(ValueError, match="broken off"):
        await submit(surety, spec, breaks())
    assert left(surety) == []


async def test_a_deletion_that_broke_off_is_brought_to_its_end(surety, monkeypatch):
    job = await submitted(surety, grey(3))
    await actions.cancel(surety, job.id)
    uploads = surety.state.uploads

    async def breaks(sha256, user, owner):
        raise asyncio.CancelledError

    with monkeypatch.context() as broken:
        broken.setattr(uploads, "let_go", breaks)
        with pytest.raises(asyncio.CancelledError):
            await actions.delete(surety, job.id)
    with pytest.raises(NotFound):  # nobody sees it any more
        await surety.state.jobs.get(job.id)
    assert left(surety)
    assert await dropped(surety) == (1, 0)
    assert left(surety) == []


async def test_of_two_deletions_one_does_it(surety):
    job = await submitted(surety, grey(120))
    await actions.cancel(surety, job.id)
    deleting = [actions.delete(surety, job.id) for _ in range(2)]
    told = await asyncio.gather(*deleting, return_exceptions=True)
    assert all(one is None or isinstance(one, NotFound) for one in told)
    assert left(surety) == []
