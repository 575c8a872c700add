"""What a job is told reaches the server twice, since the answer got lost: it is done once."""

import asyncio
import dataclasses
import os

import pytest

from service.errors import NotFound
from service.jobs.item import Item
from service.jobs.rows import Row
from service.jobs.spec import JobSpec
from service.settings import Settings
from service.state import State
from service.store.scripts import SCRIPTS
from tests.service.store.keeping import SECRET
from tests.service.store.test_late_commands import Line


@pytest.fixture
async def deployment(place, tmp_path, monkeypatch):
    """Give a process to which answers can get lost, its way to the server, and another process."""
    monkeypatch.setattr("service.store.connection.ANSWER_SECONDS", 0.2)
    async with Line(tmp_path, os.environ["SURETY_REDIS_URL"]).open() as line:
        one = await State.open(Settings(data_dir=tmp_path, secret=SECRET, redis_url=line.url))
        two = await place()
        for script in SCRIPTS.values():  # else what gets lost is that the server lacks it
            await two.store.brisk(lambda redis, script=script: redis.script_load(script))
        yield one, line, two
        await one.close()


async def read_in(state, count):
    """Take a job in; its pictures are nowhere."""
    job_id = await state.jobs.begin(JobSpec({}, "cpu/int16"), state.process.id)
    items = [Item(number, f"{number}.png", "aa" * 32, None) for number in range(count)]
    await state.pictures.add(job_id, None, [(item, None) for item in items])
    return job_id, items


@pytest.mark.parametrize(
    ("path", "action", "leads_to"),
    [
        ([], "start", "running"),
        (["start"], "pause", "paused"),
        (["start", "pause"], "resume", "running"),
        (["start"], "cancel", "cancelled"),
        (["start", "cancel"], "retry", "running"),
        (["start", "cancel"], "extend", "running"),
    ],
)
async def test_what_a_job_was_told_twice_is_done_once_and_not_refused(
    deployment, path, action, leads_to
):
    one, line, two = deployment
    job_id, _ = await read_in(two, 2)
    for before in path:
        await two.jobs.move(job_id, before)
    if action in ("retry", "extend"):
        assert await two.pictures.again(await two.jobs.get(job_id), action) == 2
    spec = JobSpec({}, "cpu/int16", priority="high")
    line.lose_reply("EVALSHA", one.jobs.key(job_id, "pending"))
    told = await one.jobs.move(job_id, action, {"skipped": 3}, spec)
    assert (line.lost, told.state, told.skipped, told.spec) == (1, leads_to, 3, spec)
    states = {"cancelled": 2} if action == "cancel" else {"waiting": 2}
    assert {name: n for name, n in told.counts.items() if n} == states


async def test_what_a_job_was_told_is_known_though_others_have_told_it_more_since(deployment):
    one, line, two = deployment
    job_id, _ = await read_in(two, 2)
    line.lose_reply("EVALSHA", one.jobs.key(job_id, "pending"))
    starting = asyncio.create_task(one.jobs.move(job_id, "start"))
    async with asyncio.timeout(30):
        while (await two.jobs.get(job_id)).state != "running":  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    for action in ("pause", "resume", "pause"):
        await two.jobs.move(job_id, action)
    assert (await starting).state == "paused"
    assert line.lost == 1


async def test_a_picture_that_is_lost_twice_has_failed_once(deployment):
    one, line, two = deployment
    job_id, items = await read_in(two, 2)
    row = Row(0, "0.png", "", "failed", problem={"title": "gone"})
    line.lose_reply(one.jobs.key(job_id, "failures"))
    await one.pictures.lost(job_id, dataclasses.replace(items[0], sha256=""), row)
    assert line.lost == 1
    job = await two.jobs.move(job_id, "start")
    assert (job.counts["waiting"], job.counts["failed"]) == (1, 1)
    assert await two.pictures.failures(job) == [row]
    with pytest.raises(NotFound):  # it is not taken in any more
        await one.pictures.lost(job_id, items[1], row)
    assert (await two.jobs.get(job_id)).counts == job.counts
