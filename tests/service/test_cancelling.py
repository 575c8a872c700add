"""A run can be seen and cancelled in every process of the deployment, wherever it is."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient
from pydantic import SecretStr

from service.errors import StoreUnavailable
from service.settings import Settings
from service.state import State
from tests.service import providers
from tests.service.conftest import SECRET, connect, serve
from tests.service.edges.test_prefer import ASYNC, ended
from tests.service.pictures import png
from tests.service.reading import problem, slug

LONG = {"provider": "slow", "good_enough": "none", "max_votes": "2000"}


async def begin(live: AsyncClient) -> str:
    """Begin a run that would take a minute."""
    files = {"image": ("a.png", png(8, 8), "image/png")}
    begun = await live.post("/certify", files=files, data=LONG, headers=ASYNC)
    assert begun.status_code == 202
    return str(begun.headers["surety-run"])


async def test_a_run_of_another_process_is_listed_and_cancelled(make_app: Any) -> None:
    async with make_app() as at_it, serve(at_it) as live:
        run = await begin(live)
        async with make_app() as other, connect(other) as client:
            (listed,) = (await client.get("/runs")).json()["runs"]
            (mine,) = (await live.get("/runs")).json()["runs"]
            assert listed == mine | {"progress": None}
            assert (listed["id"], listed["cancelling"]) == (run, False)
            answer = await client.delete(f"/runs/{run}")
            assert (answer.status_code, answer.json()) == (202, {"id": run, "cancelling": True})
            (listed,) = (await client.get("/runs")).json()["runs"]
            assert listed["cancelling"]
            told = await ended(client, f"/runs/{run}")
            assert not told["cancelling"]
            certificate = f"/certificates/{told['outcome']['certificate']}"
            proof = (await client.get(certificate)).json()["proof"]
            assert proof["votes"]["n"] < 2000
            assert (await client.get("/runs")).json() == {"runs": []}
            again = await client.delete(f"/runs/{run}")
            assert slug(problem(again, other)) == "not-found"
            assert "has ended" in again.json()["detail"]


async def test_one_that_nobody_is_at_ends_as_soon_as_it_is_taken_up(
    make_app: Any, tmp_path: Path
) -> None:
    async with make_app() as first, serve(first) as live:
        run = await begin(live)
    state = await State.open(Settings(data_dir=tmp_path / "data", secret=SecretStr(SECRET)))
    assert await state.runs.cancel(run)
    await state.close()
    asked = providers.Slow.calls
    async with make_app(lease_seconds=1) as second, connect(second) as client:
        assert (await ended(client, f"/runs/{run}"))["outcome"]
    assert providers.Slow.calls == asked


async def test_an_entry_that_is_no_run_hides_no_other(
    make_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_app() as app, serve(app) as live:
        run = await begin(live)
        store = app.state.surety.state.store
        for name, value in (("wrong", "kind"), ("empty", None)):
            await store.brisk(lambda r, n=name: r.sadd(store.key("runs:open"), n))
            if value is not None:
                await store.brisk(lambda r, n=name, v=value: r.set(store.key("run", n), v))
        assert [one["id"] for one in (await live.get("/runs")).json()["runs"]] == [run]
        state, noted = app.state.surety.state.runs, []
        (listed,) = await state.open()
        assert listed["id"] == run
        cancel = state.cancel

        async def noting(run_id: str) -> bool:
            noted.append(run_id)
            return bool(await cancel(run_id))

        monkeypatch.setattr(state, "cancel", noting)
        assert (await live.delete(f"/runs/{run}")).status_code == 202
        assert noted == [run]  # for whoever takes it up, if this process dies before it has ended


async def test_a_store_that_is_away_is_said(make_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of this process can be cancelled all the same."""
    async with make_app() as app, serve(app) as live:
        run = await begin(live)
        state = app.state.surety.state.runs

        async def away(*_: object) -> None:
            raise StoreUnavailable("the store is away")

        for name in ("open", "cancel", "to_cancel"):
            monkeypatch.setattr(state, name, away)
        await asyncio.sleep(1.2)  # the look for cancelled ones fails, and goes on
        assert (await live.get("/runs")).status_code == 503
        assert (await live.delete(f"/runs/{'0' * 24}")).status_code == 503
        assert (await live.delete(f"/runs/{run}")).status_code == 202
        monkeypatch.undo()
        assert (await ended(live, f"/runs/{run}"))["outcome"]
