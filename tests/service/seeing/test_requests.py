"""How requests are counted that are refused early, or that nobody waits for."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.edges.outcome import GONE
from tests.service.access.keyed import made
from tests.service.conftest import connect
from tests.service.reading import EVENTS, files
from tests.service.seeing.scraping import of, scrape

REQUESTS = "surety_http_requests_total"
ENDLESS = {"provider": "slow", "max_votes": "2000", "good_enough": "none"}


async def test_refusals_count_under_the_template_of_their_path(app: FastAPI) -> None:
    _, slow = await made(app, "certify", "jobs", rate=0.001)
    _, reads = await made(app, "read")
    async with connect(app) as client:
        elsewhere = {"Host": "elsewhere.example"}
        await client.get("/jobs/0123", headers=elsewhere)  # 403, no such host
        await client.head("/jobs/0123")  # 401, no key
        await client.post("/certify")
        await client.get("/jobs/compare")
        await client.get("/nowhere")
        await client.put("/jobs/0123")
        await client.get("/openapi.json", headers=elsewhere)
        for _ in range(2):  # the second one is too fast
            await client.post("/predict", headers=slow)
        client.headers.update(reads)
        told = await scrape(client)
    for method, route, status in (
        ("GET", "/jobs/{job_id}", 403),
        ("HEAD", "/jobs/{job_id}", 401),
        ("POST", "/certify", 401),
        ("GET", "/jobs/compare", 401),
        ("GET", "other", 401),
        ("PUT", "/jobs/{job_id}", 401),
        ("GET", "/openapi.json", 403),
        ("POST", "/predict", 429),
    ):
        labels = {"method": method, "route": route, "status": str(status)}
        assert of(told, REQUESTS, **labels) == 1, labels


async def counted(client: httpx.AsyncClient) -> dict[str, float]:
    """Wait until a request of /certify has been counted; return how many by status."""
    certify = ("route", "/certify")
    while True:
        told = await scrape(client)
        found = {k: v for k, v in told.items() if k[0] == REQUESTS and certify in k[1]}
        if found:
            return {dict(labels)["status"]: value for (_, labels), value in found.items()}
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("votes", [False, True])
async def test_a_client_that_has_gone_is_counted_as_such(
    app: FastAPI, live: httpx.AsyncClient, capsys: Any, votes: bool
) -> None:
    """Whatever its run came to: nothing yet (409), or a certificate (200)."""
    asking = asyncio.ensure_future(live.post("/certify", files=files(), data=ENDLESS))
    runs = app.state.running.runs
    while not any(not votes or (run.latest and run.latest.n) for run in runs.list()):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    async with asyncio.timeout(60):
        assert await counted(live) == {str(GONE): 1}
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [x["status"] for x in lines if x.get("path") == "/certify"] == [GONE]


async def test_a_stream_that_its_reader_leaves_counts_as_it_began(
    app: FastAPI, live: httpx.AsyncClient
) -> None:
    post = live.stream("POST", "/certify", files=files(), data=ENDLESS, headers=EVENTS)
    async with post as answer:
        async for _ in answer.aiter_lines():
            break
    async with asyncio.timeout(60):
        assert await counted(live) == {"200": 1}
