"""Runs over a real server on loopback: events, cancelling, clients that go away, overload."""

import asyncio
import os
import time
from typing import Any

import httpx
import pytest
import redis
from fastapi import FastAPI

import service.answers
import service.sse
from adapters.errors import QuotaExceeded
from service import core
from tests.service import providers
from tests.service.conftest import connect, serve
from tests.service.reading import EVENTS, events, files, left_behind, parse, problem, slug, stored

SLOW = {"provider": "slow", "good_enough": "none", "max_votes": "2000"}
STUCK = {"provider": "stuck"}


async def until(condition: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  conditions are plain functions
            await asyncio.sleep(0.01)


def votes_kept(app: FastAPI) -> int:
    with redis.Redis.from_url(os.environ["SURETY_REDIS_URL"]) as client:
        prefix = app.state.surety.settings.redis_prefix
        (name,) = (n for n in stored(prefix) if n.startswith("ledger:") and n.count(":") == 1)
        return int(client.strlen(f"{prefix}{name}:votes"))


async def test_a_stream_tells_the_run_its_progress_and_the_certificate(
    live: httpx.AsyncClient,
) -> None:
    fields = SLOW | {"max_votes": "60"}
    arrived: list[float] = []
    seen = []
    async with live.stream("POST", "/certify", files=files(), data=fields, headers=EVENTS) as r:
        assert r.status_code == 200
        assert r.headers["content-type"].startswith("text/event-stream")
        assert r.headers["cache-control"] == "no-store"
        async for name, data in events(r):
            seen.append((name, data))
            arrived.append(time.monotonic())
    names = [name for name, _ in seen]
    assert names[0] == "run"
    assert seen[0][1] == {"id": r.headers["surety-run"]}
    assert names[-1] == "certificate"
    assert names[-2] == "accounting"
    assert set(names[1:-2]) == {"progress"}
    counted = [data["n"] for name, data in seen if name == "progress"]
    assert counted == sorted(counted)
    assert counted[0] == 0
    assert counted[-1] == seen[-1][1]["proof"]["votes"]["n"]
    assert 3 <= len(counted) <= (arrived[-1] - arrived[0]) / service.sse.INTERVAL + 3
    same = await live.get(f"/certificates/{seen[-1][1]['id']}")
    assert same.json() == seen[-1][1]


async def test_cancelling_a_stream_gives_the_certificate_of_that_moment(
    app: FastAPI, live: httpx.AsyncClient
) -> None:
    last: Any = None
    asked = False
    async with live.stream("POST", "/certify", files=files(), data=SLOW, headers=EVENTS) as r:
        async for name, data in events(r):
            if name == "progress" and data["n"] > 5 and not asked:
                asked = True
                (listed,) = (await live.get("/runs")).json()["runs"]
                assert listed["id"] == r.headers["surety-run"]
                assert listed["progress"]["n"] >= data["n"]
                answer = await live.delete(f"/runs/{listed['id']}")
                assert (answer.status_code, answer.json()["cancelling"]) == (202, True)
            last = (name, data)
    assert last[0] == "certificate"
    assert last[1]["proof"]["stop_reason"] == "cancelled"
    assert 5 < last[1]["proof"]["votes"]["n"] < 2000
    assert app.state.running.runs.list() == []
    gone = await live.delete(f"/runs/{r.headers['surety-run']}")
    assert slug(problem(gone)) == "not-found"


async def test_cancelling_a_json_request_answers_it(app: FastAPI, live: httpx.AsyncClient) -> None:
    asked = asyncio.ensure_future(live.post("/certify", files=files(), data=SLOW))
    await until(lambda: any(r.latest and r.latest.n > 3 for r in app.state.running.runs.list()))
    (run,) = app.state.running.runs.list()
    await live.delete(f"/runs/{run.id}")
    response = await asked
    assert response.status_code == 200
    assert response.headers["surety-run"] == run.id
    assert response.json()["proof"]["stop_reason"] == "cancelled"


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["json", "events"])
async def test_cancelled_before_any_answer(
    app: FastAPI, live: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    asked = asyncio.ensure_future(live.post("/certify", files=files(), data=STUCK, headers=headers))
    await until(app.state.running.runs.list)
    await live.delete(f"/runs/{app.state.running.runs.list()[0].id}")
    assert slug(problem(await asked, app)) == "run-interrupted"
    assert not any(name.startswith("ledger") for name in left_behind(app)["kept"])


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["json", "events"])
async def test_a_client_that_goes_away_ends_its_run(
    app: FastAPI, live: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    before = asyncio.all_tasks()
    if headers:
        async with live.stream("POST", "/certify", files=files(), data=SLOW, headers=headers) as r:
            async for name, data in events(r):
                if name == "progress" and data["n"] > 3:
                    break
    else:
        with pytest.raises(httpx.ReadTimeout):
            await live.post("/certify", files=files(), data=SLOW, timeout=0.4)
    await until(lambda: app.state.running.runs.list() == [])
    calls = providers.Slow.calls
    await asyncio.sleep(0.1)
    assert providers.Slow.calls == calls  # nobody is asked any more
    assert 3 < votes_kept(app) <= calls  # what was paid for is kept
    await until(lambda: len(asyncio.all_tasks() - before) == 0)
    left = left_behind(app)
    assert (left["held"], left["waiting"]) == ({}, 0)


async def test_failures_after_the_stream_began_are_events(
    live: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.answers, "HEAD_START", 0.0)
    monkeypatch.setattr(providers.Failing, "error", QuotaExceeded("the quota is spent"))
    response = await live.post(
        "/certify", files=files(), data={"provider": "failing"}, headers=EVENTS
    )
    assert response.status_code == 200
    name, body = parse(response.text)[-1]
    assert (name, slug(body)) == ("problem", "provider-quota")
    assert body["detail"] == "the quota is spent"
    assert body["instance"] == "/certify"


async def test_a_fault_of_an_adapter_in_a_stream_tells_nothing(
    live: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.answers, "HEAD_START", 0.0)
    response = await live.post(
        "/certify", files=files(), data={"provider": "failing"}, headers=EVENTS
    )
    name, body = parse(response.text)[-1]
    assert (name, slug(body)) == ("problem", "provider-failed")
    assert "secret" not in response.text


async def test_silence_is_filled_with_comments(
    app: FastAPI, live: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.sse, "KEEP_ALIVE", 0.05)
    monkeypatch.setattr(service.answers, "HEAD_START", 0.0)
    async with live.stream("POST", "/certify", files=files(), data=STUCK, headers=EVENTS) as r:
        seen = []
        async for event in events(r):
            seen.append(event)
            if len(seen) == 3:
                break
    assert seen[0][0] == "run"
    assert {name for name, _ in seen[1:]} == {":"}
    await until(lambda: app.state.running.runs.list() == [])


async def test_a_full_house_says_when_to_come_back(make_app: Any) -> None:
    async with make_app(max_runs=1, max_waiting=1) as app, connect(app) as client:
        first = asyncio.ensure_future(client.post("/certify", files=files(), data=SLOW))
        await until(lambda: any(r.latest for r in app.state.running.runs.list()))
        second = asyncio.ensure_future(client.post("/certify", files=files(), data=SLOW))
        await until(lambda: len(app.state.running.runs.list()) == 2)  # it is admitted before
        assert app.state.surety.requests.taken == 2
        for headers in ({}, EVENTS):
            refused = await client.post("/certify", files=files(), headers=headers)
            assert slug(problem(refused, app)) == "overloaded"
            assert int(refused.headers["retry-after"]) > 0
        waiting = app.state.running.runs.list()[1]
        await client.delete(f"/runs/{waiting.id}")
        # It is about the same picture, so it ends with the votes that the first one has.
        assert (await second).json()["proof"]["stop_reason"] == "cancelled"
        assert app.state.surety.requests.taken == 1
        await client.delete(f"/runs/{app.state.running.runs.list()[0].id}")
        assert (await first).json()["proof"]["stop_reason"] == "cancelled"
        again = await client.post("/certify", files=files(), data={"max_votes": "5"})
        assert again.status_code == 200


async def test_shutting_down_ends_runs_in_order(make_app: Any) -> None:
    async with make_app() as app, connect(app) as client:
        asked = asyncio.ensure_future(client.post("/certify", files=files(), data=SLOW))
        await until(lambda: any(r.latest and r.latest.n for r in app.state.running.runs.list()))
        began = time.monotonic()
        await app.state.running.runs.close()
        assert time.monotonic() - began < 3
        assert (await asked).json()["proof"]["stop_reason"] == "cancelled"


async def test_two_requests_for_one_picture_pay_once(make_app: Any) -> None:
    async with make_app() as app, serve(app) as client:
        fields = {"provider": "slow", "max_votes": "40", "good_enough": "none"}
        answers = await asyncio.gather(
            *(client.post("/certify", files=files(), data=fields) for _ in range(3))
        )
        proofs = [answer.json()["proof"] for answer in answers]
        assert proofs[0] == proofs[1] == proofs[2]
        assert providers.Slow.calls <= 41 + 40 * 0.5


async def test_a_run_without_an_answer_when_the_service_ends(make_app: Any) -> None:
    async with make_app() as app, connect(app) as client:
        asked = asyncio.ensure_future(
            client.post("/certify", files=files(), data={"provider": "stuck"})
        )
        await until(lambda: bool(app.state.running.runs.list()))
        app.state.running.runs.shut_down()
        answer = await asked
        assert answer.status_code == 503
        assert slug(problem(answer, app)) == "shutting-down"


async def test_uploads_that_wait_for_the_decoder_are_counted_too(
    make_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, decoded = core.canonicalise, []

    def slowly(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.1)
        decoded.append(1)
        return plain(*arguments, **options)

    monkeypatch.setattr(core, "canonicalise", slowly)
    async with make_app(max_runs=1, max_waiting=1) as app, connect(app) as client:
        data = {"max_votes": "5"}
        asked = [client.post("/certify", files=files(), data=data) for _ in range(6)]
        statuses = sorted([a.status_code for a in await asyncio.gather(*asked)])
        assert statuses == [200, 200, 429, 429, 429, 429]
        assert len(decoded) == 2
        assert app.state.surety.requests.taken == 0
