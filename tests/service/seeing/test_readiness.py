"""/health/ready: every part for itself, asked for seldom however often probes come."""

import asyncio
import json
from typing import Any

import pytest
import torch
from fastapi import FastAPI

from service.seeing.readiness import Readiness
from tests.service.conftest import connect
from tests.service.reading import problem, slug
from tests.service.test_openapi_schemas import fits
from tests.service.test_store_away import its_app, server, torment

__all__ = ["its_app", "server"]  # fixtures


async def test_each_part_is_told(app: FastAPI) -> None:
    async with connect(app) as client:
        body = (await client.get("/health/ready")).json()
    fits(body, "Ready")
    assert body["parts"] == {
        "store": {"writable": True},
        "device": {"asked": "auto", "device": "cuda:0" if torch.cuda.is_available() else "cpu"},
        "weights": [{"denoiser": "none", "sha256": None, "compute": "cpu/int16"}],
        "provider": {"provider": "half"},
    }


async def test_weights_are_named_by_their_sum(make_app: Any) -> None:
    async with make_app(denoiser="cifar", device="cpu") as app:
        parts = {part.name: part for part in await Readiness(app.state.surety).parts()}
        (found,) = parts["weights"].about
        loaded = await app.state.surety.denoiser("cifar")
    assert found["sha256"] == loaded.weights_sha256
    assert found["compute"] == loaded.compute
    assert len(found["sha256"]) == 64


@pytest.mark.parametrize("how", ["full", "read-only", "slow"])
async def test_a_store_that_takes_nothing(
    its_app: Any, server: Any, how: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("service.seeing.readiness.FRESH_SECONDS", 0.0)
    monkeypatch.setattr(
        "service.seeing.readiness.PATIENCE",
        {"store": 0.3, "device": 9.0, "weights": 9.0, "provider": 9.0},
    )
    async with its_app() as app, connect(app) as client:
        assert (await client.get("/health/ready")).status_code == 200
        mend = torment(server, how)
        try:
            answer = await client.get("/health/ready")
            body = problem(answer, app)
            assert slug(body) == "not-ready"
            assert [error["field"] for error in body["errors"]] == ["store"]
            assert int(answer.headers["retry-after"]) > 0
        finally:
            mend()
        while (await client.get("/health/ready")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_flood_of_probes_is_one_look(app: FastAPI, monkeypatch: Any) -> None:
    store, pings = app.state.surety.state.store, 0
    ping = store.ping

    async def counted() -> None:
        nonlocal pings
        pings += 1
        await ping()

    monkeypatch.setattr(store, "ping", counted)
    async with connect(app) as client:
        answers = await asyncio.gather(*(client.get("/health/ready") for _ in range(200)))
    assert {answer.status_code for answer in answers} == {200}
    assert pings == 1


async def test_what_hangs_is_asked_once(app: FastAPI, monkeypatch: Any) -> None:
    begun, goes_on = 0, asyncio.Event()

    async def hangs() -> None:
        nonlocal begun
        begun += 1
        await goes_on.wait()

    monkeypatch.setattr("service.seeing.readiness.FRESH_SECONDS", 0.0)
    monkeypatch.setattr(
        "service.seeing.readiness.PATIENCE",
        {"store": 0.02, "device": 9.0, "weights": 9.0, "provider": 9.0},
    )
    monkeypatch.setattr(app.state.surety.state.store, "ping", hangs)
    async with connect(app) as client:
        for _ in range(3):
            body = problem(await client.get("/health/ready"), app)
            assert "does not answer within 0.02 s" in body["detail"]
        assert begun == 1
        goes_on.set()
        await asyncio.sleep(0.01)
        assert (await client.get("/health/ready")).status_code == 200
        goes_on.clear()  # at the end nobody waits for what hangs still
        assert (await client.get("/health/ready")).status_code == 503


async def test_a_device_that_fails(app: FastAPI, monkeypatch: Any) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered\nmore lines")

    monkeypatch.setattr(torch, "ones", broken)
    async with connect(app) as client:
        body = problem(await client.get("/health/ready"), app)
    (error,) = body["errors"]
    assert error["field"] == "device"
    assert error["message"].endswith("fails: CUDA error: device-side assert triggered")


async def test_strangers_are_told_what_is_not_ready_but_not_why(make_app: Any) -> None:
    """The reason may name settings, files and what a credential lacks."""
    async with make_app(provider="closed-down", require_keys=True) as app, connect(app) as client:
        body = problem(await client.get("/health/ready"), app)
    assert body["errors"] == [{"field": "provider", "message": "it is not ready: the log says why"}]
    assert "closed-down" not in json.dumps(body)
    async with make_app(provider="closed-down") as app, connect(app) as client:
        (error,) = problem(await client.get("/health/ready"), app)["errors"]
    assert "closed-down" in error["message"]
