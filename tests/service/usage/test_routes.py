"""GET /usage, and what a key is told whose money or rate is spent."""

import asyncio
import csv
import io
import secrets

import httpx
import pytest
from fastapi import FastAPI

from service.usage import periods
from tests.service.conftest import connect
from tests.service.jobs.asking import pictures
from tests.service.pictures import png
from tests.service.reading import problem, slug
from tests.service.test_openapi_schemas import fits
from tests.service.usage.paying import summed

FORM = {"sigma": "0.5", "max_votes": "40", "good_enough": "none"}


async def keyed(app: FastAPI, *scopes: str, **limits) -> dict[str, str]:
    """Make a key; return the header that shows it."""
    keys = app.state.surety.state.api_keys
    made = await keys.create(f"k {secrets.token_hex(4)}", frozenset(scopes), **limits)
    return {"Authorization": f"Bearer {made[1]}"}


def key_id(headers: dict[str, str]) -> str:
    return headers["Authorization"].split("_")[1]


async def certify(
    client: httpx.AsyncClient, headers: dict[str, str] | None = None, size: int = 8, **more: str
) -> httpx.Response:
    return await client.post(
        "/certify", files={"image": png(size, size)}, data=FORM | more, headers=headers
    )


async def until_counted(app: FastAPI, headers: dict[str, str] | None, certificates: int) -> None:
    """What a run ended with is noted soon after its answer."""
    owner = None if headers is None else key_id(headers)
    usage = app.state.surety.state.usage
    while (await summed(usage, owner)).certificates < certificates:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_without_keys_all_that_was_asked_is_told(app, client) -> None:
    assert (await certify(client)).status_code == 200
    assert (await certify(client)).status_code == 200
    predicted = await client.post(
        "/predict", files={"image": png(9, 9)}, data={"sigma": "0.5", "n": "20"}
    )
    assert predicted.status_code == 200
    await until_counted(app, None, 2)
    told = (await client.get("/usage")).json()
    fits(told, "Usage")
    (line,) = told["usage"]
    today = periods.today()
    assert (line["day"], line["key"], line["provider"]) == (today.isoformat(), None, "half")
    assert (line["certificates"], line["cached"]) == (2, 1)
    assert line["certified"] + line["abstained"] <= 2
    assert line["expected_false_at_most"] == 0.002
    assert (line["votes"], line["images"]) == (60, 62)
    assert line["cost"] == line["cost_at_most"] == pytest.approx(0.062)
    assert told["total"] == {name: line[name] for name in told["total"]}
    assert told["from"] == today.replace(day=1).isoformat()
    assert "0.002 are expected to be false" in told["meaning"]
    assert told["budgets"] == []


async def test_a_key_sees_its_own_and_one_that_may_read_sees_all(app, client) -> None:
    first = await keyed(app, "certify", budget=1.0, budget_period="day")
    second = await keyed(app, "certify", "jobs")
    reader = await keyed(app, "read")
    await certify(client, first)
    await certify(client, second, size=9)
    await until_counted(app, first, 1)
    await until_counted(app, second, 1)
    for own in (first, second):
        told = (await client.get("/usage", headers=own)).json()
        assert [line["key"] for line in told["usage"]] == [key_id(own)]
        assert told["total"]["images"] == 41
        named = await client.get("/usage", headers=own, params={"key": key_id(own)})
        assert named.json() == told
        for other in ("none", key_id(reader)):
            refused = await client.get("/usage", headers=own, params={"key": other})
            assert slug(problem(refused, app)) == "missing-scope"
    (budget,) = (await client.get("/usage", headers=first)).json()["budgets"]
    assert budget["spent"] == pytest.approx(0.041)
    assert budget["left"] == pytest.approx(0.959)
    assert (budget["budget"], budget["period"]) == (1.0, "day")
    told = (await client.get("/usage", headers=reader)).json()
    fits(told, "Usage")
    assert {line["key"] for line in told["usage"]} == {key_id(first), key_id(second)}
    assert [left["key"] for left in told["budgets"]] == [key_id(first)]
    summed = await client.get("/usage", headers=reader, params={"by": "provider"})
    (line,) = summed.json()["usage"]
    assert (line["key"], line["day"], line["images"]) == (None, None, 82)
    none = await client.get("/usage", headers=reader, params={"provider": "aws"})
    assert none.json()["usage"] == []
    before = await client.get("/usage", headers=reader, params={"to": "2026-01-31"})
    assert (before.json()["from"], before.json()["usage"]) == ("2026-01-01", [])


async def test_a_table_for_a_spreadsheet_runs_no_formula(app, client) -> None:
    state = app.state.surety.state
    key, _ = await state.api_keys.create('=HYPERLINK("http://x")', frozenset({"read"}))
    prepared = await app.state.surety.prepare(png(8, 8), sigma=0.5, max_votes=5, owner=key.id)
    await app.state.surety.certify(prepared)
    headers = await keyed(app, "admin")
    answer = await client.get("/usage", headers={**headers, "Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    again = await client.get("/usage", headers=headers, params={"format": "csv"})
    assert again.text == answer.text
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["key"], row["name"]) == (key.id, '\'=HYPERLINK("http://x")')
    assert (row["provider"], row["images"], float(row["cost"])) == ("half", "6", 0.006)
    by = await client.get("/usage", headers=headers, params={"format": "csv", "by": "provider"})
    assert by.text.splitlines()[0].startswith("provider,certificates,")


@pytest.mark.parametrize(
    ("query", "kind", "field"),
    [
        ({"from": "2026-11-02", "to": "2026-11-01"}, "bad-request", "to"),
        ({"from": "2020-01-01", "to": "2026-11-01"}, "bad-request", "from"),
        ({"from": "9998-01-01"}, "bad-request", "from"),
        ({"key": "shop"}, "bad-request", "key"),  # a name, which might be another's tomorrow
        ({"key": ""}, "bad-request", "key"),
        ({"by": "day,day"}, "bad-request", "by"),
        ({"by": ""}, "bad-request", "by"),
        ({"by": "label"}, "bad-request", "by"),
        ({"from": "yesterday"}, "invalid-request", "from"),
        ({"from": "0"}, "invalid-request", "from"),
        ({"to": "1764374400"}, "invalid-request", "to"),
        ({"until": "2026-11-01"}, "invalid-request", "until"),
        ({"format": "xml"}, "invalid-request", "format"),
    ],
)
async def test_what_cannot_be_asked(app, client, query, kind, field) -> None:
    told = problem(await client.get("/usage", params=query), app)
    assert (slug(told), told["errors"][0]["field"]) == (kind, field)


async def test_a_request_that_the_budget_does_not_pay_for(app, client) -> None:
    headers = await keyed(app, "certify", budget=0.03, budget_period="month")
    first = await certify(client, headers)
    assert first.status_code == 200
    assert first.json()["proof"]["stop_reason"] == "max_cost"
    answer = await certify(client, headers, size=9)
    told = problem(answer, app)
    assert (answer.status_code, slug(told)) == (402, "budget-spent")
    assert "0.03 US dollars a month" in told["detail"]
    assert 0 < int(answer.headers["retry-after"]) <= 31 * 86_400
    again = await certify(client, headers, max_votes=str(first.json()["proof"]["votes"]["n"]))
    assert again.status_code == 200  # what the ledger answers costs nothing
    nothing = await keyed(app, "certify", budget=0.0, budget_period="total")
    answer = await certify(client, nothing, size=10)
    assert slug(problem(answer, app)) == "budget-spent"
    assert "retry-after" not in answer.headers


async def test_a_key_that_asks_too_fast(app, make_app) -> None:
    headers = await keyed(app, "certify", rate=0.001)
    other = await keyed(app, "certify", rate=0.001)
    async with make_app() as second, connect(second) as elsewhere, connect(app) as client:
        assert (await certify(client, headers)).status_code == 200
        for one, to in ((elsewhere, second), (client, app)):
            answer = await one.post("/certify", content=b"never read", headers=headers)
            told = problem(answer, to)
            assert (answer.status_code, slug(told)) == (429, "too-many-requests")
            assert 900 <= int(answer.headers["retry-after"]) <= 1000
        assert (await certify(elsewhere, other)).status_code == 200
        looks = [await client.get("/runs", headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in looks] == [200, 429]
        assert (await client.get("/health/live", headers=headers)).status_code == 200


async def test_a_pilot_that_the_budget_does_not_pay_for(app, client) -> None:
    headers = await keyed(app, "jobs", budget=0.0, budget_period="day")
    fields = {"sigma": "0.5", "max_votes": "40", "pilot": "1", "pilot_max_cost": "1"}
    answer = await client.post("/estimate", data=fields, files=pictures(2), headers=headers)
    assert slug(problem(answer, app)) == "budget-spent"
    assert (await client.get("/jobs", headers=headers)).json()["jobs"] == []
