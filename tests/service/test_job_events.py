"""A job that is followed over a real server: changes, silence, its end, and clients that go."""

import asyncio
import itertools
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import service.routes.job_events
from tests.service.conftest import serve
from tests.service.jobs.asking import pictures, submitted, until
from tests.service.reading import events, slug
from tests.service.test_openapi_schemas import fits

SLOW = {"provider": "slow", "good_enough": "none", "max_votes": "30"}


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.routes.job_events, "LOOK_SECONDS", 0.05)


async def test_it_tells_of_changes_and_ends_with_the_job(live: httpx.AsyncClient) -> None:
    where = await submitted(live, **SLOW)
    seen = []
    async with live.stream("GET", f"{where}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        async for name, data in events(response):
            assert name == "job"
            fits(data, "JobEvent")
            seen.append(data)
    assert [one for one, two in itertools.pairwise(seen) if one == two] == []
    ended = (await live.get(where)).json()
    assert {k: v for k, v in seen[-1].items() if k != "progress"} == ended
    assert ended["state"] == "finished"
    assert all(one["ended"] is None for one in seen[:-1])
    images = [one["images"] for one in seen]
    assert images == sorted(images)
    assert images[-1] == 3 * 31
    async with live.stream("GET", f"{where}/events") as response:  # of one that has ended: one
        assert [name async for name, _ in events(response)] == ["job"]


async def test_silence_is_filled_with_comments(
    live: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.routes.job_events, "KEEP_ALIVE", 0.1)
    where = await submitted(live, provider="stuck")
    await live.post(f"{where}/pause")
    names = []
    async with live.stream("GET", f"{where}/events") as response:
        async for name, _ in events(response):
            names.append(name)
            if names.count(":") >= 2 and "job" in names:  # the first look may take its time
                break
    assert names.count("job") == 1


async def test_a_job_that_is_deleted_ends_with_a_problem(live: httpx.AsyncClient) -> None:
    where = await submitted(live, provider="stuck")
    await live.post(f"{where}/pause")
    async with live.stream("GET", f"{where}/events") as response:
        last: Any = None
        async for name, data in events(response):
            if last is None:
                assert (await live.delete(where)).status_code == 204
            last = name, data
    assert last[0] == "problem"
    assert slug(last[1]) == "not-found"
    assert last[1]["instance"] == f"{where}/events"


async def test_a_client_that_goes_away_is_noticed(app: FastAPI) -> None:
    async with serve(app) as live:
        where = await submitted(live, provider="stuck")
        before = asyncio.all_tasks()
        async with live.stream("GET", f"{where}/events") as response:
            async for _ in events(response):
                break
        async with asyncio.timeout(10):
            while any("_pump" in repr(task) for task in asyncio.all_tasks() - before):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await live.get(where)).json()["state"] == "running"  # the job itself goes on


async def test_the_end_of_the_service_ends_the_stream(app: FastAPI) -> None:
    async with serve(app) as live:
        where = await submitted(live, provider="stuck")
        async with live.stream("GET", f"{where}/events") as response:
            async for _ in events(response):
                app.state.inside.shut_down()
        job = await until(live, where, "running")
        assert job["ended"] is None


async def test_pictures_of_a_job_go_on_where_the_last_service_stopped(make_app: Any) -> None:
    """It was killed, or ended: nothing is lost, and nobody has to ask again."""
    async with make_app(lease_seconds=1) as first, serve(first) as live:
        where = await submitted(live, pictures(2), **SLOW | {"max_votes": "90"})
        async with live.stream("GET", f"{where}/events") as response:
            async for _, data in events(response):
                if data["images"] or data["by_state"]["working"]:
                    break
    async with make_app(lease_seconds=1) as second, serve(second) as live:
        job = await until(live, where, "finished")
        assert job["by_state"]["done"] == 2
        assert job["images"] <= 2 * 91 + 20
