"""Commands that reach the server late, or twice, since its answer was late or got lost."""

import asyncio
import contextlib
import os
from urllib.parse import urlsplit

import pytest

from certification.canonical import canonicalise
from certification.errors import LedgerConflict
from certification.protocols import Rerolls
from service.settings import Settings
from service.state import State
from service.store.seals import Seals
from tests.service.pictures import png
from tests.service.store.keeping import DRAFT, HEADER, SECRET, VOTES, at_once

RUN = "5" * 24


class Line:
    """A way to the server on which a command can be held up, and delivered later.

    Attributes:
        url: of this way.
        held: what has not been delivered.
        lost: how many answers were lost.
    """

    def __init__(self, folder, server_url):
        self._path, self._server = str(folder / "line"), urlsplit(server_url)
        self.url = f"unix://{self._path}"
        self.held = []
        self.lost = 0
        self._marks, self._mute = [], False
        self._tasks = set()

    @contextlib.asynccontextmanager
    async def open(self):
        async with await asyncio.start_unix_server(self._joined, self._path):
            yield self
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold_next(self, *marks):
        """Hold the next command up that holds all of these."""
        self._marks, self._mute = [mark.encode() for mark in marks], False

    def lose_reply(self, *marks):
        """Deliver the next command that holds all of these, but not the answer to it."""
        self._marks, self._mute = [mark.encode() for mark in marks], True

    async def deliver(self):
        """Let the server have what was held up; return its replies."""
        replies = []
        for command in self.held:
            reader, writer = await self._connect()
            writer.write(command)
            replies.append(await reader.readline())
            writer.close()
        self.held = []
        return replies

    def _connect(self):
        if self._server.scheme == "unix":
            return asyncio.open_unix_connection(self._server.path)
        return asyncio.open_connection(self._server.hostname, self._server.port or 6379)

    async def _joined(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        there, out = await self._connect()
        back = asyncio.create_task(self._answer(there, writer))
        try:
            while data := await reader.read(1 << 20):
                if not self._marks or not all(mark in data for mark in self._marks):
                    out.write(data)
                    continue
                self._marks = []
                if self._mute:
                    back.cancel()
                    self.lost += 1
                    out.write(data)
                else:
                    self.held.append(data)
        finally:
            back.cancel()
            out.close()
            writer.close()

    async def _answer(self, reader, writer):
        while data := await reader.read(1 << 20):
            writer.write(data)


@pytest.fixture
async def deployment(tmp_path, monkeypatch):
    """Give a process whose way to the server can be held up, that way, and another process."""
    monkeypatch.setattr("service.store.connection.ANSWER_SECONDS", 0.2)
    settings = {"data_dir": tmp_path, "secret": SECRET, "lease_seconds": 1}
    line = Line(tmp_path, os.environ["SURETY_REDIS_URL"])
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(line.open())
        one = await State.open(Settings(**settings, redis_url=line.url))
        stack.push_async_callback(one.close)
        two = await State.open(Settings(**settings))
        stack.push_async_callback(two.close)
        yield one, line, two


async def test_a_claim_that_comes_after_its_release_is_void(deployment):
    one, line, two = deployment
    claim = one.store.key("claim", DRAFT)
    line.hold_next("EVALSHA", claim)
    async with one.ledgers.hold(DRAFT, at_once):
        assert len(line.held) == 1
    assert await line.deliver() == [b":0\r\n"]
    async with two.ledgers.hold_now(DRAFT):
        pass


async def test_a_claim_that_also_outlives_its_process_sign_is_soon_void(deployment):
    one, line, two = deployment
    line.hold_next("EVALSHA", one.store.key("claim", DRAFT))
    async with one.ledgers.hold(DRAFT, at_once):
        pass
    await one.store.brisk(lambda redis: redis.delete(one.store.key("process", one.process.id)))
    await line.deliver()
    async with two.ledgers.hold_now(DRAFT):  # after the next sign of life
        pass


async def test_a_release_that_comes_late_releases_nothing_of_a_later_run(deployment):
    one, line, two = deployment
    async with one.ledgers.hold(DRAFT, at_once):
        line.hold_next("EVALSHA", one.store.key("claim", DRAFT))
    assert len(line.held) == 1
    async with one.ledgers.hold(DRAFT, at_once):
        await line.deliver()
        with pytest.raises(Exception, match="a run is adding"):
            async with two.ledgers.hold_now(DRAFT):
                pass


async def test_votes_that_come_late_change_nothing(deployment):
    one, line, two = deployment
    async with one.ledgers.hold(DRAFT, at_once):
        ledger = await one.ledgers.open(DRAFT, HEADER)
        line.hold_next("EVALSHA", one.store.key("ledger", ledger.subject_sha256, "votes"), "cat")
        await ledger.append(0, VOTES[:10])
        assert len(line.held) == 1
    async with two.ledgers.hold_now(DRAFT):
        other = await two.ledgers.find(DRAFT)
        await other.append(10, VOTES[10:20])
        await line.deliver()
        await other.append(20, VOTES[20:30])
    assert await other.read() == await ledger.read() == VOTES[:30]


async def test_what_is_done_twice_since_an_answer_was_lost_counts_once(deployment):
    one, line, two = deployment
    drafts, index = one.ledgers.drafts.keys
    line.lose_reply("EVALSHA", drafts, index, one.store.key("ledger"))
    ledger = await one.ledgers.open(DRAFT, HEADER, {"cat": "Cat"})
    for mark, act in {
        '"n":10,': lambda: ledger.append(0, VOTES[:10]),
        "alpha": lambda: ledger.spend(0.01),
        "vouched": lambda: ledger.vouch(9),
    }.items():
        line.lose_reply("EVALSHA", one.store.key("ledger"), mark)
        await act()
    line.lose_reply("EVALSHA", drafts, index, '"rerolls": {')
    assert await one.ledgers.reroll(DRAFT) == Rerolls(1, 0.01)
    assert line.lost == 5
    assert await two.ledgers.rerolls(DRAFT) == Rerolls(1, 0.01)
    assert await (await two.ledgers.of_subject(ledger.subject_sha256)).read() == VOTES[:10]


async def test_money_that_is_settled_twice_is_free_once(deployment):
    one, line, two = deployment
    job, cap = one.jobs.key("job"), 100
    await two.store.brisk(lambda redis: redis.hset(job, mapping={"spent": 0, "reserved": 0}))
    for call in ("first", "second"):
        line.lose_reply("EVALSHA", one.jobs.key("job", "calls"), call)
        assert await one.jobs.reserve("job", call, 50, cap)
    line.lose_reply("EVALSHA", one.jobs.key("job", "calls"), "first")
    await one.jobs.settle("job", "first", 20)
    assert line.lost == 3
    assert await two.store.brisk(lambda redis: redis.hgetall(job)) == {
        b"spent": b"70",
        b"reserved": b"50",
    }
    assert not await two.jobs.reserve("job", "third", 50, cap)


async def begin(state):
    await state.runs.begin(RUN, "certificate", {}, canonicalise(png(8, 8)), DRAFT)


async def die(state):
    key = state.store.key("process", state.process.id)
    await state.process.end()
    await state.store.brisk(lambda redis: redis.delete(key))


@pytest.mark.parametrize("lost", ["EVALSHA", "HMGET"])
async def test_a_run_that_is_taken_up_is_had_though_the_answer_was_lost(deployment, lost):
    one, line, two = deployment
    await begin(two)
    assert await one.runs.interrupted() == [RUN]
    assert await one.runs.take_up(RUN) is None
    await die(two)
    line.lose_reply(lost, one.store.key("run", RUN))
    assert (await one.runs.take_up(RUN)).id == RUN
    assert line.lost == 1
    assert await one.runs.take_up(RUN) is None  # once
    assert await one.runs.interrupted() == []
    await one.runs.end(RUN, {})
    assert await one.runs.take_up(RUN) is None
    assert await one.runs.interrupted() == []


async def test_a_run_whose_taker_did_not_learn_of_it_is_taken_up_by_it_later(deployment):
    one, line, two = deployment
    await begin(two)
    await die(two)
    line.lose_reply("EVALSHA", one.store.key("run", RUN))
    taking = asyncio.create_task(one.runs.take_up(RUN))
    while not line.lost:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    owner, key = one.process.id.encode(), one.store.key("run", RUN)
    while await two.store.brisk(lambda r: r.hget(key, "process")) != owner:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    assert await one.runs.interrupted() == [RUN]
    assert (await one.runs.take_up(RUN)).draft == DRAFT


async def test_a_run_that_another_secret_sealed_is_left_to_whoever_knows_it(deployment, tmp_path):
    one, _, two = deployment
    await begin(two)
    await die(two)
    key, store = one.store.key("run", RUN), one.store
    whole = await store.brisk(lambda redis: redis.hget(key, "what"))
    strange = Seals(bytes(32), {}).seal("{}", "run", RUN)
    await store.brisk(lambda redis: redis.hset(key, "what", strange))
    with pytest.raises(LedgerConflict):
        await one.runs.take_up(RUN)
    await store.brisk(lambda redis: redis.hset(key, "what", whole))
    assert (await two.runs.take_up(RUN)) is None  # it began it itself
    another = await State.open(Settings(data_dir=tmp_path, secret=SECRET))
    try:
        assert (await another.runs.take_up(RUN)).id == RUN
    finally:
        await another.close()


async def test_a_run_that_was_written_down_for_nobody_is_forgotten(deployment):
    one, line, two = deployment
    line.lose_reply("HSET", RUN)
    beginning = asyncio.create_task(begin(one))
    while not await two.runs.interrupted():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    beginning.cancel()  # as its client goes
    await asyncio.gather(beginning, return_exceptions=True)
    assert line.lost == 1
    assert await one.runs.interrupted() == []
    assert await two.runs.interrupted() == []
    assert await one.runs.take_up(RUN) is None
