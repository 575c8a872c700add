"""Jobs against the Google emulator: what they cost is what it counts, and never more than asked."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image

from adapters.emulators.brain import Brain
from adapters.emulators.faults import Faults
from adapters.emulators.registry import emulator_class
from adapters.emulators.server import Emulator
from adapters.errors import AuthenticationFailed
from tests.adapters.stands import Brightness
from tests.service import providers
from tests.service.conftest import connect
from tests.service.jobs.asking import archive, picture, pictures, submitted, until
from tests.service.pictures import encode, raw_png
from tests.service.reading import left_behind, problem, slug
from tests.service.test_openapi_schemas import fits

PRICE = 0.0015
ASKED = {"provider": "google", "sigma": "0.25", "target_radius": "0.2", "max_votes": "60"}


def billed(google: Emulator) -> int:
    return google.desk.counts.answered.total()


@pytest.fixture
async def google(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Emulator]:
    async with emulator_class("google")(Brain(Brightness()), Faults()) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        yield emulator


@pytest.fixture
async def app(google: Emulator, make_app: Any, tmp_path: Path) -> AsyncIterator[FastAPI]:
    file = tmp_path / "providers.toml"
    file.write_text(f"[google]\nrate = 1000\nprice = {PRICE}\n")
    async with make_app(providers_file=file) as running:
        yield running


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(app) as connected:
        yield connected


async def test_the_money_of_a_job_is_what_the_provider_counts(
    google: Emulator, client: httpx.AsyncClient
) -> None:
    where = await submitted(client, pictures(4), **ASKED)
    job = await until(client, where, "finished")
    assert job["by_state"]["done"] == 4
    assert job["images"] == billed(google)
    assert job["cost"] == pytest.approx(billed(google) * PRICE)


async def test_max_cost_is_never_passed_and_more_of_it_goes_on(
    google: Emulator, client: httpx.AsyncClient
) -> None:
    where = await submitted(client, pictures(4), max_cost="0.06", **ASKED)
    job = await until(client, where, "finished")
    assert billed(google) * PRICE <= 0.06
    assert job["by_state"]["done"] < 4 or job["by_state"]["unpaid"]
    await client.post(f"{where}/extend", json={"max_cost": 5})
    job = await until(client, where, "finished")
    assert job["by_state"]["done"] == 4
    assert job["cost"] == pytest.approx(billed(google) * PRICE)


async def test_what_was_paid_for_is_certified_though_the_money_ended(
    google: Emulator, client: httpx.AsyncClient
) -> None:
    # It names no version, so the clean picture has to be asked about once more at the end.
    asked = ASKED | {"target_radius": "0.6", "max_votes": "2000"}
    where = await submitted(client, pictures(2), max_cost="0.45", **asked)
    await until(client, where, "finished")
    rows = (await client.get(f"{where}/pictures")).json()["pictures"]
    assert [row["state"] for row in rows] == ["done", "done"]
    assert all(row["n"] > 0 and row["stop_reason"] == "max_cost" for row in rows)
    assert sum(row["n"] for row in rows) >= billed(google) - 3 * 2 - 2 * 16  # clean ones; no room
    assert sum(row["images"] for row in rows) == billed(google) <= 0.45 / PRICE
    report = (await client.get(f"{where}/report")).text
    assert "no version told" in report
    assert "canary [" not in report


async def test_an_estimate_asks_nobody(google: Emulator, client: httpx.AsyncClient) -> None:
    fields = ASKED | {"max_cost": "1"}
    for files, more in ((pictures(7), {}), ({"pictures": (None, "7")}, {})):
        answer = await client.post("/estimate", data=fields | more, files=files)
        fits(answer.json(), "Estimate")
        assert (answer.json()["pictures"], answer.json()["basis"]) == (7, "reference")
        assert answer.json()["budget"]["max_cost"] == 1
    dry = await client.post("/jobs", data=fields | {"dry_run": "true"}, files=pictures(7))
    assert (dry.status_code, dry.json()) == (200, answer.json())
    some = archive({f"{n}.png": picture(n) for n in range(7)} | {"8.png": b"no picture"})
    told = (await client.post("/estimate", data=fields, files=some)).json()
    fits(told, "Estimate")
    (problem,) = told["problems"]
    assert problem["name"] == "8.png"
    assert "not a picture of a known format" in problem["detail"]
    assert told == answer.json() | {"unreadable": 1, "problems": [problem]}
    assert billed(google) == 0
    assert (await client.get("/jobs")).json()["jobs"] == []


async def test_an_estimate_looks_at_headers_too(
    google: Emulator, client: httpx.AsyncClient
) -> None:
    wide = encode(Image.new("1", (900, 8)))  # read, and more than 100 times as long as wide
    members = {f"{n}.png": picture(n) for n in range(3)}
    members |= {
        "wide.png": wide,
        "cut.png": picture(3)[:20],
        "huge.png": raw_png(6000, 5000, 8, 2, b""),
    }
    for path, fields in (("/estimate", {}), ("/jobs", {"dry_run": "true"})):
        answer = await client.post(path, data=ASKED | fields, files=archive(members))
        told = answer.json()
        fits(told, "Estimate")
        assert (told["pictures"], told["unreadable"]) == (3, 3)
        details = {one["name"]: one["detail"] for one in told["problems"]}
        assert "more than 100 times as long" in details["wide.png"]
        assert "header is damaged" in details["cut.png"]
        assert "the limit is 25,000,000" in details["huge.png"]
    assert billed(google) == 0


async def test_a_pilot_is_paid_once_and_leaves_its_votes(
    app: FastAPI, google: Emulator, client: httpx.AsyncClient
) -> None:
    fields = ASKED | {"pilot": "2", "pilot_max_cost": "1"}
    answer = await client.post("/estimate", data=fields, files=pictures(5))
    fits(answer.json(), "Estimate")
    told = answer.json()
    assert (told["basis"], told["pilot"]["pictures"]) == ("pilot", 2)
    assert told["pilot"]["images"] == billed(google) > 0
    assert told["pilot"]["cost"] == pytest.approx(billed(google) * PRICE, abs=1e-4)
    assert (await client.get("/jobs")).json()["jobs"] == []  # it has gone
    kept = left_behind(app)["kept"]
    assert not [k for k in kept if k.startswith(("job:", "upload"))]
    paid = billed(google)
    where = await submitted(client, pictures(5), **ASKED)
    job = await until(client, where, "finished")
    rows = (await client.get(f"{where}/pictures")).json()["pictures"]
    free = [row["number"] for row in rows if not row["images"]]
    assert len(free) == 2
    assert job["images"] == billed(google) - paid


@pytest.mark.parametrize(
    ("files", "fields", "field"),
    [
        (pictures(2), {"pilot": "1"}, "pilot_max_cost"),
        (pictures(2), {"pilot_max_cost": "1"}, "pilot"),
        (pictures(2), {"pictures": "3"}, "pictures"),
        ({"pictures": (None, "3")}, {"pilot": "1", "pilot_max_cost": "1"}, "pilot"),
        ({"provider": (None, "google")}, {}, "archive"),
    ],
)
async def test_what_an_estimate_needs(
    app: FastAPI,
    google: Emulator,
    client: httpx.AsyncClient,
    files: dict[str, Any],
    fields: dict[str, str],
    field: str,
) -> None:
    asked = {name: value for name, value in ASKED.items() if name not in files}
    told = problem(await client.post("/estimate", data=asked | fields, files=files), app)
    assert slug(told) == "bad-request"
    assert told["errors"][0]["field"] == field
    assert billed(google) == 0


async def test_a_pilot_that_the_provider_refuses(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers.Failing, "error", AuthenticationFailed("the key is wrong"))
    monkeypatch.setattr(providers.Failing, "good", 0)
    fields = ASKED | {"pilot": "2", "pilot_max_cost": "1", "provider": "failing"}
    told = problem(await client.post("/estimate", data=fields, files=pictures(3)), app)
    assert (slug(told), told["detail"]) == ("provider-authentication", "the key is wrong")
    assert (await client.get("/jobs")).json()["jobs"] == []


async def test_a_pilot_without_anybody_who_works(make_app: Any) -> None:
    async with make_app(work_inside=False) as app, connect(app) as client:
        fields = {"pilot": "1", "provider": "closed"}
        told = problem(await client.post("/estimate", data=fields, files=pictures(2)), app)
        assert told["errors"][0]["field"] == "pilot"
