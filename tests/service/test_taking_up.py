"""Interrupted runs are taken up, each for itself and once, whatever becomes of the others."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import adapters.registry
import service.taking_up as taking_up_runs
from service.settings import Settings
from service.state import State
from service.store.connection import Store
from tests.service import providers
from tests.service.conftest import SECRET, connect, serve
from tests.service.edges.test_prefer import ASYNC, ended
from tests.service.pictures import png
from tests.service.reading import slug

FEW = {"provider": "slow", "good_enough": "none", "max_votes": "30"}


async def left_by_a_dead_process(make_app: Any, count: int) -> list[str]:
    """Return the ids of runs that a process had begun, in the order they are taken up in."""
    async with make_app() as first, serve(first) as live:
        ids = []
        for n in range(count):
            files = {"image": ("a.png", png(8 + n, 8), "image/png")}
            begun = await live.post("/certify", files=files, data=FEW, headers=ASYNC)
            assert begun.status_code == 202
            ids.append(begun.headers["surety-run"])
    return sorted(ids)


def taken_up(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    return sorted(x["run"] for x in lines if x["event"] == "an interrupted run goes on")


async def unreadable(store: Store, key: str) -> None:
    await store.brisk(lambda r: r.hset(key, "what", "no seal"))


async def not_whole(store: Store, key: str) -> None:
    await store.brisk(lambda r: r.hdel(key, "png"))


async def refused(store: Store, key: str) -> None:
    await store.brisk(lambda r: r.set(key, "what it is not"))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Of the same deployment, in a process that takes nothing up."""
    state = await State.open(Settings(data_dir=tmp_path / "data", secret=SecretStr(SECRET)))
    yield state.store
    await state.close()


@pytest.mark.parametrize("damage", [unreadable, not_whole, refused])
async def test_one_that_cannot_be_taken_up_takes_none_with_it(
    make_app: Any, store: Store, damage: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    *whole, damaged = await left_by_a_dead_process(make_app, 3)
    await damage(store, store.key("run", damaged))
    capsys.readouterr()
    async with make_app(lease_seconds=1) as second, connect(second) as client:
        for run in whole:
            assert (await ended(client, f"/runs/{run}"))["outcome"]["certificate"]
        if damage is not_whole:
            told = await ended(client, f"/runs/{damaged}")
            assert slug(told["outcome"]["problem"]) == "ledger-damaged"
        await asyncio.sleep(1.2)  # it has looked again
        assert second.state.running.runs.list() == []
        unended = await store.brisk(lambda redis: redis.smembers(store.key("runs:open")))
        assert unended == ({damaged.encode()} if damage is refused else set())
    assert taken_up(capsys) == whole


async def test_no_run_of_a_living_process_is_begun_twice(
    make_app: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither one that it began, nor one that it took up: it looks twice a second."""
    (before,) = await left_by_a_dead_process(make_app, 1)
    providers.Slow.calls = 0
    capsys.readouterr()
    async with make_app(lease_seconds=1) as app, connect(app) as client:
        files = {"image": ("a.png", png(80, 8), "image/png")}
        long = FEW | {"max_votes": "150"}
        begun = await client.post("/certify", files=files, data=long, headers=ASYNC)
        for run in (before, begun.headers["surety-run"]):
            assert (await ended(client, f"/runs/{run}"))["outcome"]["certificate"]
        await asyncio.sleep(1.2)
    assert providers.Slow.calls <= 31 + 151
    assert taken_up(capsys) == [before]


@pytest.mark.parametrize("somebody_can", [True, False])
async def test_one_that_this_process_is_not_set_up_for_is_left_to_others_first(
    make_app: Any, monkeypatch: pytest.MonkeyPatch, somebody_can: bool
) -> None:
    """As while machines are upgraded one by one, or where one alone has the credential."""
    (run,) = await left_by_a_dead_process(make_app, 1)
    monkeypatch.setattr(taking_up_runs, "UNABLE_LEASES", 30 if somebody_can else 1)
    known = adapters.registry._entries
    with monkeypatch.context() as lacking:
        fewer = {name: entry for name, entry in known().items() if name != "slow"}
        lacking.setattr(adapters.registry, "_entries", lambda: fewer)
        async with make_app(lease_seconds=1) as unable, connect(unable) as client:
            if not somebody_can:
                told = await ended(client, f"/runs/{run}")
                assert slug(told["outcome"]["problem"]) == "unknown-provider"
                return
            await asyncio.sleep(1.5)  # it has looked, more than once
            assert (await client.get(f"/runs/{run}")).json()["state"] == "running"
    async with make_app(lease_seconds=1) as able, connect(able) as client:
        assert (await ended(client, f"/runs/{run}"))["outcome"]["certificate"]
