"""While the store is away the metrics alone are answered: they are what says so."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from service.access import away, known
from tests.service.access.keyed import kind, made
from tests.service.access.test_door import never, through
from tests.service.conftest import connect
from tests.service.seeing.scraping import of, read
from tests.service.test_store_away import torment


@pytest.fixture
def hanging_app(its_app, monkeypatch):
    """An application that asks the store anew each time, and would wait for it without end."""
    monkeypatch.setattr("service.store.connection.ANSWER_SECONDS", 3600.0)
    monkeypatch.setattr("service.store.connection.BRISK_SECONDS", 3600.0)
    monkeypatch.setattr(known, "FRESH_SECONDS", 0.0)
    return its_app


async def store_up(answer):
    assert answer.status_code == 200
    return of(read(answer.text), "surety_store_up")


async def test_a_key_that_was_right_just_before_reads_the_metrics(hanging_app, server):
    async with hanging_app() as app, connect(app) as client, asyncio.timeout(120):
        used = [(await made(app, "read", **more))[1] for more in ({}, {"rate": 5.0})]
        _, narrow = await made(app, "certify")
        _, unused = await made(app, "read")
        for headers in (*used, narrow):
            assert (await client.get("/denoisers", headers=headers)).status_code == 200
        mend = torment(server, "slow")
        try:
            for headers in used:
                assert await store_up(await client.get("/metrics", headers=headers)) == 0
            assert (await client.get("/metrics", headers=narrow)).status_code == 403
            assert (await client.get("/metrics")).status_code == 401
            answer = await client.get("/metrics", headers=unused)
            assert (answer.status_code, kind(answer)) == (503, "store-unavailable")
        finally:
            mend()
        app.state.figures._read = 0.0
        assert await store_up(await client.get("/metrics", headers=used[0])) == 1


async def test_nothing_else_is_answered(its_app, server, monkeypatch):
    monkeypatch.setattr("service.store.connection.BRISK_SECONDS", 0.3)
    monkeypatch.setattr(known, "FRESH_SECONDS", 0.0)
    async with its_app() as app, connect(app) as client:
        _, shown = await made(app, "read")
        assert (await client.get("/metrics", headers=shown)).status_code == 200
        mend = torment(server, "slow")
        try:
            for path in ("/denoisers", "/jobs", "/metrics/", "/usage"):
                assert (await client.get(path, headers=shown)).status_code == 503, path
        finally:
            mend()


@pytest.mark.parametrize("why", ["revoked", "expired", "long ago"])
async def test_a_key_that_may_not_count_any_more(hanging_app, server, monkeypatch, why):
    monkeypatch.setattr(away, "PATIENCE_SECONDS", 0.3)
    async with hanging_app() as app, connect(app) as client, asyncio.timeout(120):
        expires = datetime.now(UTC) + timedelta(seconds=1) if why == "expired" else None
        key, shown = await made(app, "read", expires=expires)
        await made(app, "read")  # keys are needed, whatever becomes of this one
        await client.get("/denoisers", headers=shown)
        if why == "revoked":
            await app.state.surety.state.api_keys.revoke(key.id)
            assert (await client.get("/denoisers", headers=shown)).status_code == 401
        elif why == "expired":
            await asyncio.sleep(1.01)
        else:  # the store has answered since, so it could have been revoked
            monkeypatch.setattr(known, "REMEMBERED_SECONDS", 0.0)
        mend = torment(server, "slow")
        try:
            answer = await client.get("/metrics", headers=shown)
            assert answer.status_code == (401 if why == "expired" else 503)
        finally:
            mend()


async def test_without_keys_this_machine_reads_the_metrics(hanging_app, server):
    async with hanging_app() as app, connect(app) as client, asyncio.timeout(120):
        assert (await client.get("/denoisers")).status_code == 200
        mend = torment(server, "slow")
        try:
            assert await store_up(await client.get("/metrics")) == 0
            far = {"path": "/metrics", "client": ("192.0.2.7", 5000)}
            status, _, body = await through(app, far, never)
            assert (status, json.loads(body)["type"]) == (403, "/problems/local-only")
        finally:
            mend()


async def test_where_it_was_not_known_whether_a_key_is_needed(hanging_app, server):
    async with hanging_app() as app, connect(app) as client, asyncio.timeout(120):
        mend = torment(server, "slow")
        try:
            assert (await client.get("/metrics")).status_code == 503
        finally:
            mend()
