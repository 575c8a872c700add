"""The store is away, slow, full or read-only: new requests are told, runs wait and go on."""

import asyncio
import os
import secrets
import signal
import time

import pytest
import redis

from service.store.embedded import EmbeddedServer
from tests.service.conftest import connect
from tests.service.reading import EVENTS, files, parse, problem, slug


@pytest.fixture
def server(tmp_path_factory):
    """A server of this test's own, that may be tormented."""
    embedded = EmbeddedServer(tmp_path_factory.mktemp("s"))
    embedded.start()
    yield embedded
    os.kill(embedded.pid, signal.SIGCONT) if embedded.pid else None
    embedded.stop()


@pytest.fixture
def its_app(make_app, server):
    url = f"unix://{server.start()}"
    return lambda **more: make_app(redis_url=url, redis_prefix=f"{secrets.token_hex(4)}:", **more)


def torment(server, how):
    """Make the server unusable; returns what makes it good again."""
    client = redis.Redis(unix_socket_path=server.start(), socket_timeout=20)
    if how == "full":
        client.config_set("maxmemory", "1mb")
        return lambda: client.config_set("maxmemory", "0")
    if how == "read-only":
        client.config_set("min-replicas-to-write", "1")
        return lambda: client.config_set("min-replicas-to-write", "0")
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("how", ["full", "read-only", "slow"])
async def test_requests_are_told_and_runs_go_on(its_app, server, how, monkeypatch):
    monkeypatch.setattr("service.store.connection.ANSWER_SECONDS", 0.5)
    async with its_app() as app, connect(app) as client:
        form = {"provider": "slow", "max_votes": "60", "good_enough": "none"}
        going_on = asyncio.ensure_future(
            client.post("/certify", files=files(), data=form, headers=EVENTS)
        )
        runs = app.state.running.runs
        while not any(run.latest and run.latest.n > 3 for run in runs.list()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        mend = torment(server, how)
        try:
            began = time.monotonic()
            answer = await client.post("/certify", files=files(), data={"max_votes": "5"})
            assert time.monotonic() - began < 10
            assert slug(problem(answer, app)) == "store-unavailable"
            assert int(answer.headers["retry-after"]) > 0
            assert not going_on.done()
        finally:
            mend()
        name, certificate = parse((await going_on).text)[-1]
        assert (name, certificate["proof"]["votes"]["n"]) == ("certificate", 60)
        votes = (await client.get(f"/certificates/{certificate['id']}/votes")).json()["votes"]
        assert len(votes) == 60


async def test_a_run_that_waits_for_the_store_can_be_cancelled(its_app, server, monkeypatch):
    monkeypatch.setattr("service.store.connection.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("certification.bounded_ledger.GRACE_SECONDS", 0.3)
    async with its_app() as app, connect(app) as client:
        form = {"provider": "slow", "good_enough": "none"}
        going_on = asyncio.ensure_future(client.post("/certify", files=files(), data=form))
        runs = app.state.running.runs
        while not any(run.latest and run.latest.n > 3 for run in runs.list()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        (run,) = runs.list()
        mend = torment(server, "read-only")
        await asyncio.sleep(0.2)
        run.cancel()
        answer = await asyncio.wait_for(going_on, 10)
        assert slug(problem(answer, app)) == "store-unavailable"
        mend()


async def test_a_store_that_is_not_there_is_told_at_the_start(make_app, tmp_path):
    with pytest.raises(Exception, match="the store"):
        async with make_app(redis_url=f"unix://{tmp_path}/none", redis_prefix="x:"):
            pass


async def test_a_process_with_another_secret_does_not_start(make_app):
    async with make_app():
        with pytest.raises(Exception, match="belongs to a deployment with the secret"):
            async with make_app(secret="6b" * 32):
                pass
