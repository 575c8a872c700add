"""Keys made, changed, rotated and revoked over HTTP, by a key with the scope admin."""

from datetime import UTC, datetime, timedelta

import pytest

from service.access.token import Token
from tests.service.access.keyed import client_with, kind, made, shows
from tests.service.conftest import connect
from tests.service.reading import problem
from tests.service.test_openapi_schemas import fits

NEW = {"name": "night jobs", "scopes": ["certify", "jobs"]}


@pytest.fixture
async def admin(app):
    async with client_with(app, "admin") as client:
        yield client


async def test_a_key_is_made_and_its_secret_is_answered_once(app, admin):
    body = {**NEW, "rate": 5, "budget": 40, "budget_period": "day"}
    body["expires"] = (datetime.now(UTC) + timedelta(days=90)).isoformat()
    answer = await admin.post("/apikeys", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    fits(told, "NewApiKey")
    text = told.pop("key")
    assert (told["rate"], told["budget"], told["budget_period"]) == (5, 40, "day")
    looked = await admin.get(answer.headers["location"])
    assert looked.json() == told
    fits(looked.json(), "ApiKey")
    listed = (await admin.get("/apikeys")).json()
    fits(listed, "ApiKeys")
    assert told in listed["api_keys"]
    assert text not in looked.text + str(listed)
    async with connect(app) as client:
        assert (await client.get("/jobs", headers=shows(text))).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\x1b[2J"}, "name"),
        ({"name": 7}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["fly"]}, "scopes"),
        ({"scopes": "admin"}, "scopes"),
        ({"rate": 0}, "rate"),
        ({"rate": "5/s"}, "rate"),
        ({"budget": -1}, "budget"),
        ({"budget": 1e-12}, "budget"),
        ({"budget": True}, "budget"),
        ({"budget_period": "week"}, "budget_period"),
        ({"expires": "2027-06-30"}, "expires"),
        ({"expires": "2027-06-30T00:00:00"}, "expires"),
        ({"expires": "2020-06-30T00:00:00Z"}, "expires"),
        ({"expires": "9999-12-31T23:59:59-14:00"}, "expires"),
        ({"id": "0" * 16}, "id"),
        ({"revoked": None}, "revoked"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_made(app, admin, wrong, field):
    for method, path in (("POST", "/apikeys"), ("PATCH", f"/apikeys/{admin.key.id}")):
        answer = await admin.request(method, path, json={**NEW, **wrong})
        assert answer.status_code == 422, answer.text
        assert field in answer.json()["errors"][0]["field"]
    assert await app.state.surety.state.api_keys.list() == [admin.key]


async def test_a_name_that_another_key_has_is_refused(app, admin):
    first = (await admin.post("/apikeys", json=NEW)).json()
    second = (await admin.post("/apikeys", json={**NEW, "name": "day jobs"})).json()
    for answer in (
        await admin.post("/apikeys", json=NEW),
        await admin.patch(f"/apikeys/{second['id']}", json={"name": NEW["name"]}),
    ):
        assert first["id"] in problem(answer, app)["detail"]
        assert (answer.status_code, kind(answer)) == (409, "key-name-taken")
    assert len((await admin.get("/apikeys")).json()["api_keys"]) == 3
    await admin.delete(f"/apikeys/{first['id']}")
    assert (await admin.post("/apikeys", json=NEW)).status_code == 201


async def test_other_bodies_are_refused(admin):
    for path in ("/apikeys", f"/apikeys/{admin.key.id}/rotate"):
        assert (await admin.post(path, content=b"{")).status_code == 415
        json = {"Content-Type": "application/json"}
        assert (await admin.post(path, content=b"{", headers=json)).status_code == 400
        assert (await admin.post(f"{path}?x=1", json=NEW)).status_code == 422
    answer = await admin.patch(f"/apikeys/{admin.key.id}", json={})
    assert (answer.status_code, kind(answer)) == (422, "bad-request")


async def test_changing_takes_limits_away_and_leaves_the_rest(app, admin):
    soon = datetime.now(UTC) + timedelta(days=1)
    key, _ = await made(app, "certify", rate=5.0, budget=40.0, expires=soon)
    answer = await admin.patch(f"/apikeys/{key.id}", json={"rate": None, "expires": None})
    told = answer.json()
    assert (told["rate"], told["expires"], told["budget"]) == (None, None, 40)
    assert told["scopes"] == ["certify"]
    later = await admin.patch(f"/apikeys/{key.id}", json={"scopes": ["read", "read"], "name": "n"})
    assert (later.json()["scopes"], later.json()["name"]) == (["read"], "n")


@pytest.mark.parametrize(
    ("sent", "kind_of_body"),
    [
        (b"{}", {"Content-Type": "application/json"}),
        (b"", {"Content-Type": "application/json"}),
        (b"", {}),
        (b"", {"Content-Type": "application/x-www-form-urlencoded"}),  # as curl -d ''
    ],
)
async def test_rotating_over_http(app, admin, sent, kind_of_body):
    key, before = await made(app, "read")
    answer = await admin.post(f"/apikeys/{key.id}/rotate", json={"overlap_seconds": 3600})
    assert answer.headers["cache-control"] == "no-store"
    fits(answer.json(), "NewApiKey")
    after = shows(answer.json()["key"])
    async with connect(app) as client:
        for headers in (before, after):
            assert (await client.get("/jobs", headers=headers)).status_code == 200
    keys = app.state.surety.state.api_keys
    answer = await admin.post(f"/apikeys/{key.id}/rotate", content=sent, headers=kind_of_body)
    assert answer.status_code == 200
    for headers in (before, after):
        text = headers["Authorization"].removeprefix("Bearer ")
        assert await keys.check(Token.of(text)) is None


async def test_revoking_over_http_is_for_good(app, admin):
    key, _ = await made(app, "read")
    answer = await admin.delete(f"/apikeys/{key.id}")
    assert (answer.status_code, answer.json()["state"]) == (200, "revoked")
    assert (await admin.delete(f"/apikeys/{key.id}")).json() == answer.json()
    changed = await admin.patch(f"/apikeys/{key.id}", json={"name": "again"})
    assert (changed.status_code, kind(changed)) == (422, "bad-request")
    rotated = await admin.post(f"/apikeys/{key.id}/rotate", json={})
    assert rotated.status_code == 422


async def test_missing_keys_are_told(admin):
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
        body = {"json": {"name": "n"} if method == "PATCH" else {}} if method[0] == "P" else {}
        answer = await admin.request(method, f"/apikeys/{'0' * 16}{path}", **body)
        assert (answer.status_code, kind(answer)) == (404, "not-found")


@pytest.mark.parametrize("public", [False, True])
async def test_nobody_makes_the_first_key_over_http(make_app, public):
    """Whoever came first would own the deployment."""
    async with make_app(allow_public=public) as app, connect(app) as client:
        key = {"name": "n", "scopes": ["admin"]}
        for method, path in (
            ("GET", "/apikeys"),
            ("POST", "/apikeys"),
            ("POST", f"/apikeys/{'0' * 16}/rotate"),
        ):
            body = {"json": key} if method == "POST" else {}
            answer = await client.request(method, path, **body)
            assert (answer.status_code, kind(answer)) == (403, "missing-scope")
            assert "surety apikeys create" in answer.json()["detail"]
        assert not await app.state.surety.state.api_keys.any()
