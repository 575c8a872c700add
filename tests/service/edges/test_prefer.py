"""Prefer: respond-async and wait."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.edges.prefer import LONGEST_WAIT, Preference, read
from tests.service import providers
from tests.service.conftest import connect, serve
from tests.service.reading import EVENTS, files, problem, slug

SLOW = {"provider": "slow", "good_enough": "none", "max_votes": "40"}
ASYNC = {"Prefer": "respond-async"}


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], Preference()),
        (["respond-async"], Preference(True)),
        (["Respond-Async"], Preference(True)),
        (["respond-async; foo=bar"], Preference(True)),
        (["handling=lenient, respond-async , wait=10"], Preference(True, 10)),
        (["respond-async", "wait = 3"], Preference(True, 3)),
        (['wait="7"'], Preference(True, 7)),
        (["wait=0"], Preference(True, 0)),
        (["wait=5, wait=9"], Preference(True, 5)),
        (["wait=999999999"], Preference(True, LONGEST_WAIT)),
        (["wait"], Preference()),
        (["wait=-1"], Preference()),
        (["wait=soon"], Preference()),
        (["respond-asynchronously"], Preference()),
        (["return=minimal"], Preference()),
        ([',,;="\\'], Preference()),
    ],
)
def test_reading(values: list[str], found: Preference) -> None:
    assert read(values) == found


async def ended(client: httpx.AsyncClient, where: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while (told := (await client.get(where)).json())["state"] == "running":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return dict(told)


@pytest.mark.parametrize(
    ("path", "fields", "kind"),
    [
        ("/certify", SLOW, "certificate"),
        ("/predict", {"provider": "slow", "n": "40"}, "prediction"),
    ],
)
async def test_the_run_goes_on_without_its_client(
    app: FastAPI, path: str, fields: dict[str, str], kind: str
) -> None:
    async with serve(app) as live:
        begun = await live.post(path, files=files(), data=fields, headers=ASYNC)
    assert begun.status_code == 202
    assert begun.headers["preference-applied"] == "respond-async"
    where = begun.headers["location"]
    assert where == f"/runs/{begun.headers['surety-run']}"
    assert (begun.json()["state"], begun.json()["outcome"]) == ("running", None)
    async with connect(app) as client:
        told = await ended(client, where)
        assert told["outcome"]["accounting"]["calls"] > 40
        if kind == "prediction":
            assert told["outcome"][kind]["n"] == 40
        else:
            certificate = (await client.get(f"/certificates/{told['outcome'][kind]}")).json()
            assert certificate["proof"]["votes"]["n"] == 40


async def test_waiting_for_a_while(live: httpx.AsyncClient) -> None:
    headers = {"Prefer": "wait=20"}
    done = await live.post("/certify", files=files(), data={"max_votes": "5"}, headers=headers)
    assert (done.status_code, done.headers["preference-applied"]) == (200, "respond-async, wait=20")
    assert done.json()["proof"]["votes"]["n"] == 5
    headers = {"Prefer": "wait=0"}
    late = await live.post("/certify", files=files(), data=SLOW, headers=headers)
    assert late.status_code == 202
    assert (await ended(live, late.headers["location"]))["outcome"]["certificate"]


async def test_what_goes_wrong_is_told_where_the_run_is(
    live: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = await live.post("/certify", files=files(), data={"provider": "failing"}, headers=ASYNC)
    told = await ended(live, begun.headers["location"])
    assert slug(told["outcome"]["problem"]) == "provider-failed"
    refused = await live.post("/certify", files=files(), data={"sigma": "9"}, headers=ASYNC)
    assert refused.status_code == 422  # everything is checked before


async def test_a_run_without_a_client_can_be_cancelled(live: httpx.AsyncClient) -> None:
    begun = await live.post(
        "/certify", files=files(), data=SLOW | {"max_votes": "2000"}, headers=ASYNC
    )
    assert (await live.delete(begun.headers["location"])).status_code == 202
    outcome = (await ended(live, begun.headers["location"]))["outcome"]
    assert "certificate" in outcome or slug(outcome["problem"]) == "run-interrupted"


async def test_events_are_streamed_whatever_is_preferred(live: httpx.AsyncClient) -> None:
    answer = await live.post(
        "/certify", files=files(), data={"max_votes": "5"}, headers=ASYNC | EVENTS
    )
    assert answer.status_code == 200
    assert "preference-applied" not in answer.headers


async def test_there_are_so_many_places_and_no_more(make_app: Any) -> None:
    async with make_app(max_async_runs=1) as app, connect(app) as client:
        long = SLOW | {"max_votes": "2000"}
        first = await client.post("/certify", files=files(), data=long, headers=ASYNC)
        calls = providers.Slow.calls
        refused = await client.post("/certify", files=files(), data=long, headers=ASYNC)
        assert slug(problem(refused, app)) == "overloaded"
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        # Whoever waits needs none, and one that is refused for another reason keeps none.
        assert (await client.post("/certify", files=files(), data={"max_votes": "5"})).is_success
        await client.delete(first.headers["location"])
        await ended(client, first.headers["location"])
        assert app.state.running.alone.taken == 0
        bad = await client.post("/certify", files=files(b"no"), headers=ASYNC)
        assert bad.status_code == 422
        assert app.state.running.alone.taken == 0
        assert app.state.surety.uploads.memory.taken == 0
        assert calls >= 0
