"""A stream of events that stays open is for those alone who may still look at the job."""

import asyncio
from datetime import timedelta

import pytest

import service.routes.job_events
from service.access import known
from tests.service.access.keyed import made
from tests.service.conftest import serve
from tests.service.jobs.asking import submitted
from tests.service.reading import events


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(service.routes.job_events, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(known, "FRESH_SECONDS", 0.2)


@pytest.fixture
async def live(app):
    async with serve(app) as client:
        yield client


async def paused(client, headers=None):
    """Submit a job that does nothing; returns where it is."""
    client.headers.update(headers or {})
    where = await submitted(client, provider="stuck")
    await client.post(f"{where}/pause")
    return where


async def last(client, where, change):
    """Follow a job, do something after the first event, and return the last one."""
    told = []
    async with asyncio.timeout(30), client.stream("GET", f"{where}/events") as response:
        assert response.status_code == 200
        async for event in events(response):
            told.append(event)
            if len(told) == 1:
                await change()
    assert told[0][0] == "job"
    assert len(told) > 1
    name, data = told[-1]
    return name, data["type"].removeprefix("/problems/")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda keys, key: keys.revoke(key.id), "unauthenticated"),
        (lambda keys, key: keys.rotate(key.id, timedelta(0)), "unauthenticated"),
        (lambda keys, key: keys.change(key.id, scopes=frozenset({"certify"})), "missing-scope"),
    ],
    ids=["revoked", "rotated", "without its scope"],
)
async def test_a_key_that_counts_no_more_is_told_no_more(app, live, change, why):
    key, shown = await made(app, "jobs")
    where = await paused(live, shown)
    keys = app.state.surety.state.api_keys
    assert await last(live, where, lambda: change(keys, key)) == ("problem", why)


async def test_whoever_may_see_anothers_job_no_more(app, live):
    where = await paused(live, (await made(app, "jobs"))[1])
    key, shown = await made(app, "jobs", "read")
    live.headers.update(shown)
    less = frozenset({"jobs"})
    keys = app.state.surety.state.api_keys
    told = await last(live, where, lambda: keys.change(key.id, scopes=less))
    assert told == ("problem", "not-found")


async def test_whoever_came_before_there_were_keys(app, live):
    where = await paused(live)
    assert await last(live, where, lambda: made(app, "read")) == ("problem", "unauthenticated")
