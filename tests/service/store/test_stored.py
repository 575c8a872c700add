"""What pictures take in the store is counted exactly, and never more than it may be."""

import asyncio
import hashlib
import os
import random
import sys

import pytest

from service.errors import NotFound, StoredTooMuch
from service.jobs.item import Item
from service.jobs.spec import JobSpec
from service.store.stored import BESIDE
from service.store.uploads import loose
from tests.service.store.keeping import SECRET
from tests.service.stranger import ROOT

A, B = "a" * 16, "b" * 16
LATER = 4e9  # seconds since 1970


def sized(number, bytes_each=10_000 - BESIDE):
    """Return bytes that count as 10,000."""
    return number.to_bytes(4, "big") + bytes(bytes_each - 4)


def digest(data):
    return hashlib.sha256(data).hexdigest()


async def begun(state, owner, pictures=()):
    """Begin to take a job in."""
    spec = JobSpec(arguments={"sigma": 0.5}, compute="cpu/int16", owner=owner)
    job_id = await state.jobs.begin(spec, state.process.id)
    items = [(Item(n, f"{n}.png", digest(data)), None) for n, data in enumerate(pictures)]
    await state.pictures.add(job_id, owner, items)
    return job_id


async def deleted(state, job_id):
    await state.pictures.delete(await state.jobs.get(job_id), ("reading", "running"))


async def counted_anew(state):
    """Count what is there, by looking at all of it."""
    told, key = {}, state.store.key

    def add(owner, size):
        for name in ("all", owner):
            told[name] = told.get(name, 0) + size

    async def look(redis):
        for name in await redis.keys(key("upload", "*:users")):
            size = await redis.strlen(name.removesuffix(b":users")) + BESIDE
            owners = set()
            for user in await redis.smembers(name):
                kind, _, sent = user.decode().partition(":")
                if kind == "loose":
                    owners.add(sent or "-")
                else:
                    owners.add((await state.jobs.get(kind)).owner or "-")
            told["all"] = told.get("all", 0) + size
            for owner in owners:
                told[owner] = told.get(owner, 0) + size
        for job_id in await redis.zrange(key("jobs"), 0, -1):
            job = await state.jobs.get(job_id.decode())
            for part in ("items", "rows"):
                for sealed in await redis.hvals(key("job", job.id, part)):
                    add(job.owner or "-", len(sealed) + BESIDE * (part == "items"))

    await state.store.brisk(look)
    return told


async def test_an_upload_counts_once_and_once_for_each_of_its_owners(place):
    state = await place()
    stored, uploads, data = state.stored, state.uploads, sized(1)
    for _ in range(3):
        sha256 = await uploads.put(data, A)
    assert await stored.figures() == {"all": 10_000, A: 10_000}
    await uploads.put(data, B)
    await uploads.put(data)
    assert await stored.figures() == {"all": 10_000, A: 10_000, B: 10_000, "-": 10_000}
    job_id = await begun(state, A)
    assert await uploads.adopt(sha256, job_id, A)
    assert await uploads.drop_loose(LATER) == 3
    assert await stored.figures() == {"all": 10_000, A: 10_000}
    await uploads.let_go(sha256, job_id, A)
    assert await stored.figures() == {}
    assert await uploads.missing([sha256]) == [sha256]


async def test_a_job_counts_with_its_pictures_and_its_table(place):
    state, pictures = await place(), [sized(1), sized(2), sized(2)]
    job_id = await begun(state, A, pictures)
    table = (await state.stored.figures())["all"]
    assert table > 3 * BESIDE
    for data in pictures:
        await state.uploads.put(data, A, job_id)
    assert await state.stored.figures() == {"all": 20_000 + table, A: 20_000 + table}
    assert await state.stored.figures() == await counted_anew(state)
    await deleted(state, job_id)
    assert await state.stored.figures() == {}


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_done_the_count_is_right(place, seed):
    state, chance = await place(), random.Random(seed)
    jobs = []
    for _ in range(60):
        owner = chance.choice([A, B, None])
        what, data = chance.randrange(6), sized(chance.randrange(5), chance.choice([500, 900]))
        if what < 2:
            await state.uploads.put(data, owner)
        elif what == 2:
            some = [data, sized(chance.randrange(5), 500)]
            job_id = await begun(state, owner, some)
            jobs.append(job_id)
            for one in some:
                if chance.random() < 0.8:  # else who took it in died before
                    await state.uploads.put(one, owner, job_id)
        elif what == 3 and jobs:
            job = await state.jobs.get(chance.choice(jobs))
            await state.uploads.adopt(digest(data), job.id, job.owner)
            again = [(Item(n, "x", digest(data)), None) for n in range(job.count, job.count + 1)]
            await state.pictures.add(job.id, job.owner, again)
        elif what == 4 and jobs:
            await deleted(state, jobs.pop(chance.randrange(len(jobs))))
        elif chance.random() < 0.3:
            await state.uploads.drop_loose(LATER)
        assert await state.stored.figures() == await counted_anew(state)
    for job_id in jobs:
        await deleted(state, job_id)
    await state.uploads.drop_loose(LATER)
    assert await state.stored.figures() == {}


async def test_a_key_has_half_and_all_together_no_more_than_there_is(place):
    state = await place(max_stored_pictures_bytes=70_000)
    for number in range(3):
        await state.uploads.put(sized(number), A)
    with pytest.raises(StoredTooMuch, match="of one API key") as refused:
        await state.uploads.put(sized(3), A)
    assert refused.value.retry_after > 0
    await state.uploads.put(sized(0), A)  # which it has
    for number in range(10, 13):
        await state.uploads.put(sized(number), B)
    await state.uploads.put(sized(20))
    with pytest.raises(StoredTooMuch) as full:
        await state.uploads.put(sized(21))
    assert "API key" not in str(full.value)
    assert (await state.stored.figures())["all"] == 70_000
    assert await state.uploads.missing([digest(sized(n)) for n in (3, 21)]) == [
        digest(sized(n)) for n in (3, 21)
    ]
    await state.uploads.put(sized(1))  # is there, and takes no more
    await state.uploads.drop_loose(LATER)
    await state.uploads.put(sized(21))


async def test_a_table_that_is_too_large_is_refused(place):
    state = await place(max_stored_pictures_bytes=20_000)
    job_id = await begun(state, A)
    items = [(Item(n, f"{n}.png", "0" * 64), None) for n in range(14)]
    with pytest.raises(StoredTooMuch, match="of one API key"):
        await state.pictures.add(job_id, A, items)
    assert await state.stored.figures() == {}
    await state.pictures.add(job_id, A, items[:3])
    with pytest.raises(StoredTooMuch):
        await state.pictures.add(await begun(state, None), None, items)
    assert await state.stored.figures() == await counted_anew(state)


async def test_of_several_all_are_kept_or_none(place):
    state = await place(max_stored_pictures_bytes=60_000)

    def reads(*numbers):
        async def read(number):
            return sized(number)

        return [lambda number=number: read(number) for number in numbers]

    before = await state.uploads.put_together(reads(0, 1), A)
    with pytest.raises(StoredTooMuch):
        await state.uploads.put_together(reads(1, 2, 3), A)
    assert await state.stored.figures() == {"all": 20_000, A: 20_000}
    assert await state.uploads.missing(before, A) == []
    assert await state.uploads.count_loose(LATER) == 2


async def test_many_processes_at_once_never_pass_the_bound(place):
    states = [await place(max_stored_pictures_bytes=100_000) for _ in range(3)]
    owners = [A, B, None]
    putting = [
        states[number % 3].uploads.put(sized(number), owners[number // 3 % 3])
        for number in range(60)
    ]
    told = await asyncio.gather(*putting, return_exceptions=True)
    kept = [one for one in told if isinstance(one, str)]
    assert len(kept) == 10
    assert all(isinstance(one, str | StoredTooMuch) for one in told)
    figures = await states[0].stored.figures()
    assert figures == await counted_anew(states[0])
    assert figures["all"] == 100_000
    assert max(figures[A], figures[B]) <= 50_000


ENDLESS = """
import asyncio, itertools, os
from service.settings import Settings
from service.state import State
from tests.service.store.test_stored import A, begun, sized

async def main():
    state = await State.open(Settings(data_dir=os.environ["FOLDER"], secret=os.environ["SECRET"]))
    for number in itertools.count(0, 2):
        pictures = [sized(number), sized(number + 1)]
        job_id = await begun(state, A, pictures)
        for data in pictures:
            await state.uploads.put(data, A, job_id)
            await state.uploads.put(data, A)
        print(number, flush=True)

asyncio.run(main())
"""


async def test_after_a_kill_the_count_is_right(place, tmp_path):
    state = await place()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ENDLESS),
        cwd=ROOT,
        env=os.environ | {"FOLDER": str(tmp_path), "SECRET": SECRET},
        stdout=asyncio.subprocess.PIPE,
    )
    for _ in range(3):
        assert await process.stdout.readline()
    process.kill()
    await process.wait()
    assert await state.stored.figures() == await counted_anew(state)
    for job, _ in await state.jobs.begun():  # as the housekeeping does
        await state.pictures.delete(job, ("reading",))
    await state.uploads.drop_loose(LATER)
    assert await state.stored.figures() == {}


async def test_an_answer_that_was_lost_counts_nothing_twice(place, monkeypatch):
    """The command reaches the store once more then."""
    state = await place()
    plain = state.store.brisk_script

    async def twice(name, keys, args):
        first = await plain(name, keys, args)
        await plain(name, keys, args)
        return first

    monkeypatch.setattr(state.store, "brisk_script", twice)
    monkeypatch.setattr(state.store, "script", twice)
    job_id = await begun(state, A, [sized(1)])
    sha256 = await state.uploads.put(sized(1), A, job_id)
    await state.uploads.put(sized(1), A)
    await state.uploads.adopt(sha256, job_id, A)
    assert await state.stored.figures() == await counted_anew(state)
    await deleted(state, job_id)
    await state.uploads.drop_loose(LATER)
    assert await state.stored.figures() == {}


async def test_nothing_is_added_to_a_job_that_was_taken_for_dead(place):
    """What nobody would drop any more would be counted for ever."""
    state = await place()
    job_id = await begun(state, A, [sized(1)])
    stale = await state.jobs.get(job_id)
    await state.pictures.add(job_id, A, [(Item(1, "late.png", digest(sized(2))), None)])
    for number in (1, 2):
        await state.uploads.put(sized(number), A, job_id)
    await state.pictures.delete(stale, ("reading",))  # as it was read before the second one came
    assert await state.stored.figures() == {}
    with pytest.raises(NotFound):
        await state.pictures.add(job_id, A, [(Item(2, "later.png", "0" * 64), None)])
    with pytest.raises(NotFound):
        await state.uploads.put(sized(3), A, job_id)
    sha256 = await state.uploads.put(sized(4), A)
    with pytest.raises(NotFound):
        await state.uploads.adopt(sha256, job_id, A)
    assert await state.stored.figures() == await counted_anew(state)


async def test_uploads_of_before_there_were_counts_take_nothing_away(place):
    state, data = await place(), sized(1)
    sha256 = await state.uploads.put(sized(2), A)
    old = state.store.key("upload", digest(data))

    async def write(redis):
        await redis.set(old, data)
        await redis.sadd(f"{old}:users", loose(A))
        await redis.zadd(state.store.key("uploads:loose"), {f"{digest(data)}:{A}": 1.0})

    await state.store.brisk(write)
    job_id = await begun(state, A)
    assert await state.uploads.adopt(digest(data), job_id, A)  # from now on it is counted
    assert await state.stored.figures() == {"all": 20_000, A: 20_000}
    await state.uploads.drop_loose(LATER)
    await state.uploads.let_go(digest(data), job_id, A)
    assert await state.stored.figures() == {}
    assert await state.uploads.missing([sha256]) == [sha256]
