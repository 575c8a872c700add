"""Every route: what it answers, and which problems it gives."""

import json
from typing import Any

import httpx
import pytest
import rfc8785
from fastapi import FastAPI
from structlog.testing import capture_logs

import adapters.errors
from certification.certificate import certificate_id
from certification.signing import parse_public_keys
from service.problem_kinds import KINDS
from tests.docs.test_verifier import verifier
from tests.service import providers
from tests.service.conftest import connect
from tests.service.reading import EVENTS, files, parse, problem, slug


async def test_certify(app: FastAPI, client: httpx.AsyncClient) -> None:
    fields = {"target_radius": "0.2", "label": "Dark ", "alpha": "0.01", "sigma": "0.5"}
    response = await client.post("/certify", files=files(), data=fields)
    assert response.status_code == 200
    body = response.json()
    assert body["proof"]["label"] == "dark"
    assert body["proof"]["radius"] >= 0.2
    assert (body["proof"]["alpha"], body["proof"]["sigma"]) == (0.01, 0.5)
    assert body["proof"]["stop_reason"] == "target_reached"
    assert body["truth"] == {"label": "Dark ", "correct": True}
    assert body["id"] == certificate_id(body)
    assert (await client.get(f"/certificates/{body['id']}")).json() == body
    assert (await client.get("/runs")).json() == {"runs": []}
    again = await client.post("/certify", files=files(), data=fields)
    assert again.content == response.content == rfc8785.dumps(body)
    assert json.loads(again.headers["surety-accounting"])["calls"] == 0


async def test_certify_takes_every_field(client: httpx.AsyncClient) -> None:
    fields = {
        "provider": "closed",
        "denoiser": "none",
        "sigma": "0.1",
        "alpha": "0.05",
        "max_votes": "30",
        "max_cost": "1",
        "max_seconds": "30",
        "good_enough": "",
        "milestone": "20",
        "label": "yes",
        "size": "6x4",
        "rule": '{"rule": "any_of", "labels": ["dark"], "threshold": 0.5}',
        "synonyms": '{"bright": "light"}',
    }
    body = (await client.post("/certify", files=files(), data=fields)).json()
    assert body["proof"]["votes"] | {"sha256": ""} == {
        "n": 30,
        "counts": {"yes": 30},
        "abstentions": 0,
        "sha256": "",
    }
    assert body["truth"]["correct"] is True
    assert (body["image"]["width"], body["image"]["height"]) == (6, 4)
    assert body["request"]["good_enough"] is None
    assert body["proof"]["confidence"]["milestone"] == 20
    assert body["proof"]["subject"]["label_map"] == {"bright": "light"}


@pytest.mark.parametrize("path", ["/certify", "/predict"])
async def test_the_caller_chooses_how_samples_are_sent(
    client: httpx.AsyncClient, path: str
) -> None:
    for given, sent in (({}, "png"), ({"encoding": "png"}, "png"), ({"encoding": "jpeg"}, "jpeg")):
        fields = {"provider": "reading", **given}
        body = (await client.post(path, files=files(), data=fields)).json()
        subject = body["subject"] if path == "/predict" else body["proof"]["subject"]
        assert subject["postprocess"]["encoding"] == sent
        assert subject["provider"]["model_version"] == sent.upper()


@pytest.mark.parametrize("value", ["none", "NONE", "", " "])
async def test_good_enough_can_be_turned_off(client: httpx.AsyncClient, value: str) -> None:
    fields = {"good_enough": value, "max_votes": "50"}
    body = (await client.post("/certify", files=files(), data=fields)).json()
    assert body["request"]["good_enough"] is None
    assert body["proof"]["votes"]["n"] == 50


async def test_a_bare_or_quoted_rule(client: httpx.AsyncClient) -> None:
    for rule in ("top1", '"top1"', '{"rule": "top1"}'):
        answer = await client.post("/certify", files=files(), data={"rule": rule, "max_votes": "3"})
        assert answer.json()["proof"]["subject"]["rule"] == {"rule": "top1"}


async def test_predict(app: FastAPI, client: httpx.AsyncClient) -> None:
    response = await client.post("/predict", files=files(), data={"n": "40"})
    assert response.status_code == 200
    body = response.json()
    assert (body["label"], body["n"], body["n_fixed"]) == ("dark", 40, 40)
    other = await client.post("/predict", files=files(), data={"n": "50"})
    assert slug(problem(other, app)) == "ledger-conflict"
    streamed = await client.post("/predict", files=files(), headers=EVENTS)
    names = [name for name, _ in parse(streamed.text)]
    assert (names[0], names[-1]) == ("run", "prediction")
    assert parse(streamed.text)[-1][1]["counts"] == body["counts"]


async def test_a_milestone_chosen_afterwards_is_refused_with_a_status(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    await client.post("/certify", files=files(), data={"max_votes": "30"})
    for headers in ({}, EVENTS):
        fields = {"milestone": "20", "max_votes": "30"}
        answer = await client.post("/certify", files=files(), data=fields, headers=headers)
        assert slug(problem(answer, app)) == "ledger-conflict"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (adapters.errors.AuthenticationFailed("the key is wrong"), "provider-authentication"),
        (adapters.errors.PermissionDenied("no"), "provider-permission"),
        (adapters.errors.QuotaExceeded("spent"), "provider-quota"),
        (adapters.errors.CallRejected("no such model"), "provider-rejects-call"),
        (adapters.errors.ProviderDown("ten failures"), "provider-down"),
        (adapters.errors.BrokenReply("gibberish"), "provider-failed"),
        (RuntimeError("a secret of the inside"), "provider-failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize(
    ("good", "headers"),
    [(0, {}), (0, EVENTS), (3, {})],
    ids=["first call", "first call, events", "later"],
)
async def test_provider_failures(
    app: FastAPI,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    kind: str,
    good: int,
    headers: dict[str, str],
) -> None:
    monkeypatch.setattr(providers.Failing, "error", error)
    monkeypatch.setattr(providers.Failing, "good", good)
    fields = {"provider": "failing"}
    answer = await client.post("/certify", files=files(), data=fields, headers=headers)
    assert slug(problem(answer, app)) == kind
    assert "secret" not in answer.text


async def test_a_provider_that_cannot_be_reached(make_app: Any) -> None:
    async with make_app() as app, connect(app) as client:
        app.state.surety.machine.patience.first_wait = 0.001
        answer = await client.post("/certify", files=files(), data={"provider": "flaky"})
        assert slug(problem(answer, app)) == "provider-failed"


async def test_a_model_that_changes(app: FastAPI, client: httpx.AsyncClient) -> None:
    answer = await client.post("/certify", files=files(), data={"provider": "fickle"})
    assert slug(problem(answer, app)) == "model-version-changed"


async def test_a_deadline_before_any_answer(app: FastAPI, client: httpx.AsyncClient) -> None:
    fields = {"provider": "stuck", "max_seconds": "0.05"}
    answer = await client.post("/certify", files=files(), data=fields)
    assert slug(problem(answer, app)) == "run-interrupted"


async def test_no_money_for_the_first_call(app: FastAPI, client: httpx.AsyncClient) -> None:
    for headers in ({}, EVENTS):
        fields = {"max_cost": "0"}
        answer = await client.post("/certify", files=files(), data=fields, headers=headers)
        body = problem(answer, app)
        assert body["errors"][0]["field"] == "max_cost"


@pytest.mark.parametrize(
    ("provider", "kind"),
    [
        ("bare", "provider-not-ready"),
        ("keyless", "provider-not-ready"),
        ("crashing", "provider-broken"),
    ],
)
async def test_providers_that_are_not_ready(
    app: FastAPI, client: httpx.AsyncClient, provider: str, kind: str
) -> None:
    answer = await client.post("/certify", files=files(), data={"provider": provider})
    assert slug(problem(answer, app)) == kind


async def test_providers(client: httpx.AsyncClient) -> None:
    body = (await client.get("/providers")).json()
    found = {entry["name"]: entry for entry in body["providers"]}
    assert body["default"] == "half"
    assert found["half"]["ready"] is True
    assert found["half"]["summary"] == "a half-space on mean brightness"
    assert found["half"]["traits"]["price"] == 0.001
    assert found["bare"]["reason"] == "install surety[bare]"
    assert found["keyless"]["reason"] == "set BARE_KEY"
    assert (
        found["crashing"]["reason"] == "the adapter 'crashing' cannot be built (ZeroDivisionError)"
    )
    assert not any(found[name]["ready"] for name in ("bare", "keyless", "crashing"))


async def test_denoisers(client: httpx.AsyncClient) -> None:
    body = (await client.get("/denoisers")).json()
    (none,) = (entry for entry in body["denoisers"] if entry["name"] == "none")
    assert none["ready"] is True
    assert none["weights_sha256"] is None


async def test_health(app: FastAPI, client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live")).json() == {"status": "live"}
    ready = await client.get("/health/ready")
    body = ready.json()
    parts = body.pop("parts")
    assert body == {"status": "ready", "provider": "half", "denoiser": "none"}
    assert parts.keys() == {"store", "device", "weights", "provider"}


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({"provider": "keyless"}, {"provider"}),
        ({"provider": "crashing", "denoiser": "nothing"}, {"provider", "weights"}),
        ({"device": "cuda:99"}, {"device"}),
    ],
)
async def test_not_ready(make_app: Any, settings: dict[str, str], fields: set[str]) -> None:
    async with make_app(**settings) as app, connect(app) as client:
        body = problem(await client.get("/health/ready"), app)
        assert slug(body) == "not-ready"
        assert {error["field"] for error in body["errors"]} == fields
        assert (await client.get("/health/live")).status_code == 200


async def test_version(client: httpx.AsyncClient) -> None:
    body = (await client.get("/version")).json()
    assert (body["name"], body["certificate_schema"]) == ("surety", "surety.certificate/1")


async def test_problems_are_explained(app: FastAPI, client: httpx.AsyncClient) -> None:
    listed = (await client.get("/problems")).json()["problems"]
    assert len(listed) == len(KINDS)
    for kind in listed:
        assert (await client.get(kind["type"])).json() == kind
        assert kind["explanation"].endswith(".")
    assert slug(problem(await client.get("/problems/none-such"), app)) == "not-found"


async def test_nothing_there(app: FastAPI, client: httpx.AsyncClient) -> None:
    for path in ("/certificates/none-such", f"/certificates/{'0' * 32}"):
        assert slug(problem(await client.get(path), app)) == "not-found"
    assert slug(problem(await client.delete("/runs/none-such"), app)) == "not-found"
    for path in ("/nowhere", "/certify/", "/runs/a/b"):
        assert slug(problem(await client.get(path))) == "not-found"
    response = await client.get("/certify")
    assert slug(problem(response)) == "method-not-allowed"
    assert response.headers["allow"] == "POST"


async def test_a_query_counts_nowhere_unseen(app: FastAPI, client: httpx.AsyncClient) -> None:
    """A `key` there would else not be the one that a certificate is checked with."""
    none = "0" * 32
    paths = ["/runs", f"/runs/{none}", "/providers", "/denoisers", f"/certificates/{none}"]
    paths += [f"/certificates/{none}/{part}" for part in ("votes", "image", "picture")]
    asked = [("GET", path) for path in paths] + [("POST", "/verify"), ("DELETE", f"/runs/{none}")]
    for method, path in asked:
        told = problem(await client.request(method, f"{path}?key=00"), app)
        assert slug(told) == "invalid-request", path
        assert told["errors"][0]["field"] == "key"


async def test_neither_json_nor_events(app: FastAPI, client: httpx.AsyncClient) -> None:
    for path in ("/certify", "/predict"):
        response = await client.post(path, files=files(), headers={"accept": "image/png"})
        assert slug(problem(response, app)) == "not-acceptable"


async def test_one_line_of_log_without_names_or_pictures(client: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        response = await client.post("/certify", files=files(), data={"max_votes": "3"})
    (line,) = (entry for entry in lines if entry["event"] == "request")
    assert (line["method"], line["path"], line["status"]) == ("POST", "/certify", 200)
    assert line["run"] == response.headers["surety-run"]
    assert line["ms"] > 0
    assert "passwd" not in str(lines)


async def test_an_unknown_exception_is_logged_and_not_told(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise KeyError("inside information")

    monkeypatch.setattr(app.state.surety, "prepare", broken)
    with capture_logs() as lines:
        response = await client.post("/certify", files=files())
    assert slug(problem(response, app)) == "internal"
    assert "inside information" not in response.text
    assert [line["error"] for line in lines if line["event"] == "internal error"] == ["KeyError"]


@pytest.mark.parametrize("path", ["/version", "/health/live", "/providers", "/problems"])
async def test_head_is_get_without_the_body(client: httpx.AsyncClient, path: str) -> None:
    head, get = await client.head(path), await client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize(
    ("path", "instance"),
    [
        ("/certificates/a%20b%22%3Cx%3E", "/certificates/a%20b%22%3Cx%3E"),
        ("//evil.example/x", "/.//evil.example/x"),
        ("/certificates/%00", "/certificates/%00"),
        ("/certificates/gr%C3%BCn", "/certificates/gr%C3%BCn"),
    ],
)
async def test_the_instance_is_a_reference(
    client: httpx.AsyncClient, path: str, instance: str
) -> None:
    answer = await client.get(f"http://127.0.0.1{path}")
    assert answer.status_code == 404
    assert answer.json()["instance"] == instance


async def test_a_deployment_that_allows_few_votes(make_app: Any) -> None:
    async with make_app(max_votes=50) as app, connect(app) as client:
        body = (await client.post("/certify", files=files())).json()
        assert body["request"]["max_votes"] == 50
        fewer = {"n": "20", "sigma": "0.1"}
        assert (await client.post("/predict", files=files(), data=fewer)).status_code == 200
        for path, field in (("/certify", "max_votes"), ("/predict", "n")):
            answer = await client.post(path, files=files(), data={field: "51"})
            assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("part", ["provider", "denoiser"])
async def test_a_default_that_is_not_there_is_not_the_clients_fault(
    make_app: Any, part: str
) -> None:
    async with make_app(**{part: "nobody"}) as app, connect(app) as client:
        answer = await client.post("/certify", files=files())
        assert slug(problem(answer, app)) == f"{part}-not-ready"
        assert f"SURETY_{part.upper()}" in answer.json()["detail"]
        named = await client.post("/certify", files=files(), data={part: "nobody"})
        assert slug(problem(named, app)) == f"unknown-{part}"


async def test_asking_for_more_pays_for_the_new_votes_alone(client: httpx.AsyncClient) -> None:
    bills, found = [], []
    for data in ({"max_votes": "40"}, {"max_votes": "100"}, {"max_votes": "70", "alpha": "0.1"}):
        answer = await client.post("/certify", files=files(), data={"good_enough": ""} | data)
        bills.append(json.loads(answer.headers["surety-accounting"]))
        found.append(answer.json())
    assert [bill["votes_reused"] for bill in bills] == [0, 40, 70]
    assert [bill["images"] for bill in bills] == [41, 60, 0]
    assert len({certificate["id"] for certificate in found}) == 3
    assert len({certificate["proof"]["subject_sha256"] for certificate in found}) == 1


async def test_what_belongs_to_a_certificate(client: httpx.AsyncClient) -> None:
    form = {"max_votes": "40", "keep_image": "true"}
    body = (await client.post("/certify", files=files(), data=form)).json()
    place = f"/certificates/{body['id']}"
    image = await client.get(f"{place}/image")
    assert image.headers["content-type"] == "image/png"
    votes = await client.get(f"{place}/votes")
    assert len(votes.json()["votes"]) == 40
    page = await client.get(f"{place}/picture")
    assert page.headers["content-type"].startswith("image/svg+xml")
    assert "data:image/png" in page.text
    (line,) = (await client.get(f"/certificates?image={body['image']['sha256']}")).json()[
        "certificates"
    ]
    assert line["id"] == body["id"]
    answer = await client.get("/keys")
    keys = answer.json()["keys"]
    # As it comes, without white space: for `surety verify --key`, and for the verifier of the docs.
    assert [*parse_public_keys(answer.text)] == [key["id"] for key in keys]
    assert verifier.read_keys(answer.text) == [bytes.fromhex(k["public_key"]) for k in keys]
    assert [key["id"] for key in keys] == [body["signature"]["key_id"]]
    beside = {"certificate": rfc8785.dumps(body), "votes": votes.content, "image": image.content}
    told = (await client.post("/verify", files=beside)).json()
    assert told["verified"]
    passed = {check["level"] for check in told["checks"] if check["status"] == "passed"}
    assert passed == {"form", "signature", "radius", "image", "votes", "ledger"}
    beside["certificate"] = rfc8785.dumps(body | {"created": "2026-01-01T00:00:00+00:00"})
    told = (await client.post("/verify", files=beside)).json()
    assert not told["verified"]
    assert [c["level"] for c in told["checks"] if c["status"] == "failed"] == ["signature"]


async def test_pictures_are_kept_only_if_asked_for(client: httpx.AsyncClient, app: FastAPI) -> None:
    body = (await client.post("/certify", files=files(), data={"max_votes": "5"})).json()
    assert slug(problem(await client.get(f"/certificates/{body['id']}/image"), app)) == "not-found"
    page = await client.get(f"/certificates/{body['id']}/picture")
    assert "data:image/png" not in page.text


async def test_what_came_of_a_run_can_be_looked_up(client: httpx.AsyncClient) -> None:
    answer = await client.post("/certify", files=files(), data={"max_votes": "5"})
    told = (await client.get(f"/runs/{answer.headers['surety-run']}")).json()
    assert told["outcome"]["certificate"] == answer.json()["id"]
    answer = await client.post("/predict", files=files(), data={"n": "5"})
    assert answer.status_code == 409  # the subject's n was fixed before
    answer = await client.post("/predict", files=files())
    told = (await client.get(f"/runs/{answer.headers['surety-run']}")).json()
    assert told["outcome"]["prediction"] == answer.json()


async def test_a_search_by_date(client: httpx.AsyncClient) -> None:
    made = (await client.post("/certify", files=files(), data={"max_votes": "5"})).json()
    for query, holds in (
        (f"since={made['created'][:10]}", True),
        ("until=2020-01-01", False),
        (f"until={made['created'][:10]}", True),  # a date alone is the whole day
        (f"until={made['created'][:10]}T00:00:00Z", False),
        ("since=2020-01-01T00:00:00Z", True),
        ("since=2999-12-31T23:59:59%2B02:00", False),
    ):
        found = (await client.get(f"/certificates?{query}")).json()["certificates"]
        assert [line["id"] for line in found] == [made["id"]] * holds, query


@pytest.mark.parametrize(
    "query",
    [
        *("image=x", "limit=0", "since=yesterday", "provder=local", "after=nothing"),
        *("since=0", "until=1764374400", "since=1e9", "until=2026"),
    ],
)
async def test_a_search_that_is_wrong(client: httpx.AsyncClient, app: FastAPI, query: str) -> None:
    problem(await client.get(f"/certificates?{query}"), app)


async def test_a_browser_at_the_root_finds_the_docs(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


async def test_synonyms_of_a_closed_set_are_checked(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    data = {"provider": "closed", "max_votes": "5", "synonyms": '{"drak": "light"}'}
    body = problem(await client.post("/certify", files=files(), data=data), app)
    assert slug(body) == "unknown-label"
    assert body["errors"][0]["field"] == "synonyms"
    data["synonyms"] = '{"Dark": "gloomy"}'
    answer = await client.post("/certify", files=files(), data=data)
    assert answer.json()["proof"]["subject"]["label_map"] == {"dark": "gloomy"}
