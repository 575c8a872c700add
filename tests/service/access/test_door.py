"""Who is let in, before anything is read, and what the others are told."""

import asyncio
import json
import math
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from service.access import known
from service.access.token import Token
from tests.service.access.keyed import client_with, kind, made, shows
from tests.service.conftest import connect
from tests.service.pictures import png
from tests.service.reading import files
from tests.service.test_store_away import torment

PUBLIC = ["/health/live", "/version", "/problems", "/keys", "/docs", "/openapi.json"]


async def through(app, scope, receive):
    """Call an application as a server does; return status, headers and body."""
    sent = []

    async def send(message):
        sent.append(message)

    base = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")],
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 5000),
    }
    path = scope["path"]
    await app({**base, "raw_path": path.encode(), **scope}, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


async def never():
    raise AssertionError("the body was asked for")


async def test_without_keys_all_is_open(app, client):
    answer = await client.get("/providers")
    assert answer.status_code == 200
    assert (await client.post("/predict", files=files(), data={"n": "5"})).status_code == 200
    # What a proxy has asked for is its own affair.
    headers = {"Authorization": "Basic dTpw"}
    assert (await client.get("/providers", headers=headers)).status_code == 200


async def test_with_a_key_nobody_is_served_without(app, client):
    await made(app, "read")
    for path in ("/providers", "/jobs", "/certificates", "/runs", "/nowhere", "/apikeys"):
        answer = await client.get(path)
        assert answer.status_code == 401
        assert kind(answer) == "unauthenticated"
        assert answer.headers["www-authenticate"] == 'Bearer realm="surety"'
        assert answer.headers["content-type"] == "application/problem+json"
    for path in PUBLIC:
        assert (await client.get(path)).status_code == 200, path


async def test_a_key_opens_what_its_scopes_say(app):
    async with client_with(app, "certify") as client:
        answer = await client.post("/predict", files=files(), data={"n": "5"})
        assert answer.status_code == 200
        refused = await client.get("/jobs")
        assert refused.status_code == 403
        assert kind(refused) == "missing-scope"
        assert "jobs or read" in refused.json()["detail"]
        assert 'scope="jobs read"' in refused.headers["www-authenticate"]


async def test_every_key_that_does_not_count_is_answered_alike(app, client):
    """Unknown, wrong, revoked, expired, malformed: nobody learns which ids there are."""
    keys = app.state.surety.state.api_keys
    good, _ = await made(app, "read")
    revoked, of_revoked = await made(app, "read")
    expired, of_expired = await made(app, "read", expires=datetime.now(UTC) + timedelta(hours=1))
    await keys.revoke(revoked.id)
    await keys.change(expired.id, expires=datetime.now(UTC))
    shown = [of_revoked, of_expired, shows(Token.new().text), shows(Token.new(good.id).text)]
    shown += [{"Authorization": text} for text in ("", "Bearer", "Bearer surety_x", "Basic dTpw")]
    answers = [await client.get("/jobs", headers=headers) for headers in shown]
    first = answers[0]
    assert first.status_code == 401
    for answer in answers[1:]:
        assert answer.status_code == 401
        assert {**answer.json(), "request_id": ""} == {**first.json(), "request_id": ""}
        assert answer.headers["www-authenticate"] == first.headers["www-authenticate"]


async def test_a_key_that_nobody_knows_is_refused_even_where_none_is_needed(client):
    """A client that shows one believes that it is needed: the store may have been lost."""
    answer = await client.get("/providers", headers=shows(Token.new().text))
    assert answer.status_code == 401


@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
async def test_nothing_is_read_of_a_stranger(app, method):
    await made(app, "read")
    status, _, body = await through(app, {"path": "/certify", "method": method}, never)
    assert status == 401
    assert json.loads(body)["instance"] == "/certify"


async def test_nothing_is_read_of_a_caller_without_the_scope(app):
    _, shown = await made(app, "read")
    headers = [(b"host", b"127.0.0.1"), (b"authorization", shown["Authorization"].encode())]
    headers += [(b"content-type", b"multipart/form-data; boundary=x")]
    for path in ("/certify", "/predict", "/jobs", "/pictures", "/estimate"):
        scope = {"path": path, "method": "POST", "headers": headers}
        status, _, body = await through(app, scope, never)
        assert (status, json.loads(body)["type"]) == (403, "/problems/missing-scope")


async def test_revoking_the_last_key_opens_nothing(app, client):
    key, shown = await made(app, "read")
    assert (await client.get("/jobs", headers=shown)).status_code == 200
    await app.state.surety.state.api_keys.revoke(key.id)
    assert (await client.get("/providers")).status_code == 401


async def test_a_process_that_has_seen_a_key_needs_one_until_it_ends(app, client, make_app):
    key, shown = await made(app, "read")
    assert (await client.get("/jobs", headers=shown)).status_code == 200
    keys = app.state.surety.state.api_keys
    await keys.revoke(key.id)
    await keys.forget()
    assert (await client.get("/providers")).status_code == 401
    async with make_app() as again, connect(again) as anew:
        assert (await anew.get("/providers")).status_code == 200


async def test_revoking_counts_within_seconds(app, client, monkeypatch):
    """Of a key that was just used, so that it is remembered."""
    monkeypatch.setattr(known, "FRESH_SECONDS", 0.3)
    key, shown = await made(app, "read")
    assert (await client.get("/jobs", headers=shown)).status_code == 200
    await app.state.surety.state.api_keys.revoke(key.id)
    async with asyncio.timeout(30):
        while (await client.get("/jobs", headers=shown)).status_code != 401:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_an_expiry_counts_to_the_moment_though_the_key_is_remembered(app, client):
    soon = datetime.now(UTC) + timedelta(seconds=1)
    _, shown = await made(app, "read", expires=soon)
    first = await client.get("/jobs", headers=shown)
    await asyncio.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()) + 0.01)
    assert (await client.get("/jobs", headers=shown)).status_code == 401
    assert first.status_code in (200, 401)  # a machine may be slow


async def test_a_remembered_key_asks_the_store_once(app, client, monkeypatch):
    monkeypatch.setattr(known, "FRESH_SECONDS", 1000.0)
    _, shown = await made(app, "certify")
    asked = []
    keys = app.state.surety.state.api_keys
    real = keys.check

    async def check(token):
        asked.append(token)
        return await real(token)

    monkeypatch.setattr(keys, "check", check)
    for _ in range(3):
        assert (await client.get("/denoisers", headers=shown)).status_code == 200
    assert len(asked) == 1
    for _ in range(3):  # what is wrong is never remembered
        assert (await client.get("/denoisers", headers=shows(Token.new().text))).status_code == 401
    assert len(asked) == 4
    monkeypatch.setattr(known, "MOST", 1)
    _, other = await made(app, "certify")
    for headers in (other, shown, other):
        assert (await client.get("/denoisers", headers=headers)).status_code == 200
    assert len(app.state.known._seen) == 1


async def test_while_the_store_is_away_nobody_is_let_in(its_app, server, monkeypatch):
    monkeypatch.setattr("service.store.connection.ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(known, "FRESH_SECONDS", 0.0)
    async with its_app() as app, connect(app) as client:
        _, shown = await made(app, "admin")
        assert (await client.get("/denoisers", headers=shown)).status_code == 200
        mend = torment(server, "slow")
        try:
            for headers in (shown, shows(Token.new().text)):
                answer = await client.get("/denoisers", headers=headers)
                assert answer.status_code == 503
                assert kind(answer) == "store-unavailable"
                assert int(answer.headers["retry-after"]) > 0
            assert (await client.get("/health/live")).status_code == 200
        finally:
            mend()
        assert (await client.get("/denoisers", headers=shown)).status_code == 200


async def test_where_it_is_not_known_whether_a_key_is_needed_nobody_is_let_in(
    its_app, server, monkeypatch
):
    monkeypatch.setattr("service.store.connection.ANSWER_SECONDS", 0.3)
    async with its_app() as app, connect(app) as client:
        mend = torment(server, "slow")
        try:
            assert (await client.get("/denoisers")).status_code == 503
        finally:
            mend()
        assert (await client.get("/denoisers")).status_code == 200


async def test_keys_may_be_required_before_there_is_one(make_app):
    async with make_app(require_keys=True) as app, connect(app) as client:
        assert (await client.get("/providers")).status_code == 401
        _, shown = await made(app, "read")
        assert (await client.get("/providers", headers=shown)).status_code == 200


OTHERS = [("192.0.2.7", 5000), ("::ffff:192.0.2.7", 5000), ("10.0.0.2", 1), ("unix", 0), None]


@pytest.mark.parametrize("near", [("127.0.0.1", 5000), ("::1", 5000), ("127.8.0.1", 0)])
async def test_without_keys_this_machine_is_answered(app, near):
    status, _, _ = await through(app, {"path": "/denoisers", "client": near}, never)
    assert status == 200


@pytest.mark.parametrize("far", OTHERS)
async def test_without_keys_other_machines_are_not_whatever_server_runs_it(app, far):
    status, _, body = await through(app, {"path": "/denoisers", "client": far}, never)
    assert (status, json.loads(body)["type"]) == (403, "/problems/local-only")
    status, _, _ = await through(app, {"path": "/health/live", "client": far}, never)
    assert status == 200


async def test_other_machines_are_answered_with_a_key_or_leave(app, make_app):
    far = {"path": "/denoisers", "client": ("192.0.2.7", 5000)}
    _, shown = await made(app, "read")
    headers = [(b"host", b"127.0.0.1"), (b"authorization", shown["Authorization"].encode())]
    assert (await through(app, {**far, "headers": headers}, never))[0] == 200
    assert (await through(app, far, never))[0] == 401


async def test_leave_to_answer_everybody(make_app):
    async with make_app(allow_public=True) as app:
        far = {"path": "/denoisers", "client": ("192.0.2.7", 5000)}
        assert (await through(app, far, never))[0] == 200
        await made(app, "read")
        app.state.known._unneeded_at = -math.inf  # as two seconds later
        assert (await through(app, far, never))[0] == 401


async def test_a_guest_is_let_in_for_as_long_as_it_is_one(app, client):
    key, _ = await made(app, "read")
    with app.state.known.guest() as text:
        answer = await client.post("/predict", files=files(), data={"n": "5"}, headers=shows(text))
        assert answer.status_code == 200
    assert (await client.get("/runs", headers=shows(text))).status_code == 401
    assert await app.state.surety.state.api_keys.list() == [key]


async def test_no_key_reaches_the_log(app, client, capsys):
    key, shown = await made(app, "read")
    token = shown["Authorization"].removeprefix("Bearer ")
    wrong = Token.new()
    await client.get(f"/jobs/{token}", headers=shown)
    await client.get(f"/jobs?before={token}", headers=shown)
    await client.get(f"/problems/{wrong.text}", headers=shows(wrong.text))
    await client.get("/jobs", headers=shows(wrong.text))
    await client.get("/jobs", headers={"Authorization": f"Basic {token}"})
    written = "".join(capsys.readouterr())
    lines = [json.loads(line) for line in written.splitlines() if '"request"' in line]
    assert [line["key"] for line in lines] == [key.id, key.id, None, None, None]
    for secret in (token.rpartition("_")[2], wrong.secret):
        assert secret[:20] not in written


async def test_a_picture_sent_without_a_key_over_a_real_socket_is_answered(app, live):
    """The client is told, though it still has much to send."""
    await made(app, "read")
    body = png(8, 8) + b"\0" * 3_000_000
    try:
        answer = await live.post("/certify", files={"image": body})
    except httpx.WriteError:
        pytest.fail("the connection was cut before the answer could be read")
    assert answer.status_code == 401
