"""Web pages of other origins: refused, unless a setting names them; and the page at /docs."""

import math
import re

import pytest

from service.access.origins import origins
from service.settings import Settings
from tests.service.access.keyed import kind, made, shows
from tests.service.conftest import connect
from tests.service.reading import files

APP = "https://app.example"
CROSS = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
ASKING = {
    "Origin": APP,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,idempotency-key",
}


@pytest.mark.parametrize(
    "text",
    [
        *("*", "https://*.example", "app.example", "null", "file://", "https://", "ftp://x"),
        *("https://app.example/", "https://app.example/x", "https://App.example"),
        *("https://user@app.example", "https://app.example?x"),
    ],
)
def test_what_is_no_origin(text):
    with pytest.raises(ValueError, match="is no origin"):
        origins(f"{APP},{text}")
    with pytest.raises(ValueError, match="is no origin"):
        Settings(cors_origins=text)


def test_origins_are_read():
    assert origins("") == origins(" , ") == ()
    assert origins(f" {APP},http://localhost:5173 ") == (APP, "http://localhost:5173")


async def test_without_the_setting_no_page_may_read_or_send(client):
    looked = await client.get("/denoisers", headers=CROSS)
    sent = await client.post("/predict", files=files(), headers=CROSS)
    asked = await client.options("/predict", headers=ASKING)
    assert {kind(answer) for answer in (looked, sent, asked)} == {"foreign-request"}
    for answer in (looked, sent, asked):
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_named_origin_may_call_with_and_without_a_key(make_app):
    async with make_app(cors_origins=f"http://localhost:5173,{APP}") as app, connect(app) as client:
        asked = await client.options("/predict", headers=ASKING)
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == APP
        assert "Authorization" in asked.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in asked.headers
        form = {"n": "5"}
        sent = await client.post("/predict", files=files(), data=form, headers=CROSS)
        assert sent.status_code == 200
        assert sent.headers["access-control-allow-origin"] == APP
        assert "Surety-Run" in sent.headers["access-control-expose-headers"]
        _, shown = await made(app, "certify")
        app.state.known._unneeded_at = -math.inf  # as two seconds later
        refused = await client.post("/predict", files=files(), headers=CROSS)
        assert refused.status_code == 401  # and the page may read why
        assert refused.headers["access-control-allow-origin"] == APP
        sent = await client.post("/predict", files=files(), data=form, headers=CROSS | shown)
        assert sent.status_code == 200
        asked = await client.options("/predict", headers=ASKING)
        assert asked.status_code == 200  # browsers send no key with this question


async def test_a_page_may_read_every_header_that_an_answer_has(make_app):
    always = {"Cache-Control", "Content-Language", "Content-Length", "Content-Type"}  # by Fetch
    async with make_app(cors_origins=APP) as app:
        operations = [op for path in app.openapi()["paths"].values() for op in path.values()]
        described = {
            name
            for operation in operations
            for answer in operation["responses"].values()
            for name in answer.get("headers", {})
        }
        async with connect(app) as client:
            answer = await client.get("/nowhere", headers=CROSS)
    exposed = {name.lower() for name in answer.headers["access-control-expose-headers"].split(", ")}
    assert {"Link", "Allow", "Idempotency-Replayed"} <= described
    assert {name.lower() for name in described - always} <= exposed


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", f"{APP}.evil.example", f"{APP}:8443", "http://app.example"),
        *("null", "https://x.app.example", ""),
    ],
)
async def test_no_other_origin_may(make_app, origin):
    async with make_app(cors_origins=APP) as app, connect(app) as client:
        headers = CROSS | {"Origin": origin}
        sent = await client.post("/predict", files=files(), headers=headers)
        assert (sent.status_code, kind(sent)) == (403, "foreign-request")
        asked = await client.options("/predict", headers=ASKING | {"Origin": origin})
        assert asked.status_code == 400
        for answer in (sent, asked, await client.get("/denoisers", headers=headers)):
            assert "access-control-allow-origin" not in answer.headers


async def test_a_named_origin_does_not_open_other_names(make_app):
    """A page's name that is made to point here (DNS rebinding) is still not ours."""
    async with make_app(cors_origins=APP) as app, connect(app) as client:
        refused = await client.get("/denoisers", headers=CROSS | {"Host": "app.example"})
        assert (refused.status_code, kind(refused)) == (403, "foreign-request")


async def test_an_unforeseen_error_can_be_read_by_a_named_origin(make_app, monkeypatch):
    async with make_app(cors_origins=APP) as app, connect(app) as client:
        monkeypatch.delattr(app.state.surety.settings, "denoiser")
        answer = await client.get("/denoisers", headers=CROSS)
        assert answer.status_code == 500
        assert answer.headers["access-control-allow-origin"] == APP


async def test_the_documentation_needs_no_other_machine(app, client):
    await made(app, "read")
    page = await client.get("/docs")
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded
    for path in loaded:
        assert not re.match(r"\w+:|//", path)
        found = await client.get(f"/{path}")
        assert found.status_code == 200
        assert found.headers["content-type"].partition(";")[0] in (
            *("text/javascript", "application/javascript", "text/css", "image/png"),
        )
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "SwaggerUIBundle" in (await client.get("/docs/swagger-ui-bundle.js")).text
    assert (await client.get("/docs/other.js")).status_code == 422
    assert shows("x")["Authorization"] not in page.text


async def test_the_script_of_the_page_is_the_one_that_its_policy_allows(client):
    import base64
    import hashlib

    page = await client.get("/docs")
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page.headers["content-security-policy"]
