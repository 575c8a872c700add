"""The OpenAPI document tells of problems, headers, parameters and limits as they are."""

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.edges.request_id import HEADER
from service.openapi_edges import REQUEST_ID, SPENDING
from service.openapi_examples import EXAMPLES
from service.settings import Settings
from tests.service.conftest import connect
from tests.service.reading import files
from tests.service.test_openapi_schemas import fits, operations

PROBLEM = "application/problem+json"


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


async def test_problems_fit_and_look_like_their_examples(
    document: dict[str, Any], client: httpx.AsyncClient
) -> None:
    responses = document["paths"]["/certify"]["post"]["responses"]
    client.headers[HEADER] = REQUEST_ID
    real = await client.post("/certify", files=files(), data={"sigma": "3"})
    fits(real.json(), "Problem")
    shown = responses["422"]["content"][PROBLEM]["examples"]["invalid-request"]["value"]
    assert shown == real.json()
    assert list(shown) == list(real.json())
    real = await client.post("/certify", files=files(b"no picture"))
    fits(real.json(), "Problem")
    shown = responses["422"]["content"][PROBLEM]["examples"]["not-an-image"]["value"]
    assert list(shown) == list(real.json())


def test_every_problem_says_where_it_happened(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for answer in operation["responses"].values():
            for example in answer.get("content", {}).get(PROBLEM, {}).get("examples", {}).values():
                fits(example["value"], "Problem")
                instance = example["value"]["instance"]
                pattern = re.sub(r"\\?{\w+\\?}", "[^/{}]+", re.escape(path))
                assert re.fullmatch(pattern, instance), (method, path)


async def test_another_method_is_answered_as_documented(
    document: dict[str, Any], client: httpx.AsyncClient
) -> None:
    client.headers[HEADER] = REQUEST_ID
    for path, _, operation in operations(document):
        told = operation["responses"]["405"]
        shown = told["content"][PROBLEM]["examples"]["method-not-allowed"]["value"]
        for other in {"PUT", "PATCH", "OPTIONS"} - {
            name.upper() for name in document["paths"][path]
        }:
            real = await client.request(other, shown["instance"])
            assert real.status_code == 405
            assert real.json() == shown
            assert real.headers["allow"] == told["headers"]["Allow"]["example"]


async def test_retry_after_is_described_where_it_is_sent(
    document: dict[str, Any], make_app: Any
) -> None:
    described = set()
    for path, method, operation in operations(document):
        for status, answer in operation["responses"].items():
            told = "Retry-After" in answer.get("headers", {})
            if status in ("429", "507"):
                assert told
            elif told:
                assert answer["headers"]["Retry-After"]["description"]
                described.add((method, path, status))
    # Whoever looks after an API key, or whether one is needed, asks the store.
    free = {"/health/live", "/version", "/problems", "/problems/{slug}"}
    everywhere = {
        (method, path, "503") for path, method, _ in operations(document) if path not in free
    }
    budget = {("post", path, "402") for path in ("/certify", "/predict", "/estimate")}
    in_use = {("post", path, "409") for path in SPENDING}
    assert described == everywhere | in_use | budget
    async with make_app(provider="keyless") as app, connect(app) as client:
        not_ready = await client.get("/health/ready")
        assert int(not_ready.headers["retry-after"]) > 0
        fits(not_ready.json(), "Problem")
        not_set_up = await client.post("/certify", files=files())
        assert not_set_up.status_code == 503
        assert "retry-after" not in not_set_up.headers


def test_every_parameter_has_words_and_an_example(document: dict[str, Any]) -> None:
    seen = {}
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert parameter["description"]
            if parameter["in"] == "query":
                continue  # of searches, whose fields speak for themselves
            seen[parameter["name"]] = parameter["schema"]["examples"]
    assert seen == {
        "Idempotency-Key": ['"8e03978e-40d5-43e8-bc93-6894a57f9324"'],
        "Prefer": ["respond-async"],
        "X-Request-Id": [REQUEST_ID],
        "certificate_id": [EXAMPLES["Certificate"]["id"]],
        "key_id": [EXAMPLES["ApiKey"]["id"]],
        "job_id": [EXAMPLES["Job"]["id"]],
        "number": [0],
        "run_id": [EXAMPLES["Runs"]["runs"][0]["id"]],
        "slug": ["not-an-image"],
    }


async def test_the_example_of_a_kind_can_be_fetched(
    document: dict[str, Any], client: httpx.AsyncClient
) -> None:
    parameter, _ = document["paths"]["/problems/{slug}"]["get"]["parameters"]
    answer = await client.get(f"/problems/{parameter['schema']['examples'][0]}")
    assert answer.json() == EXAMPLES["ProblemKind"]


@pytest.mark.parametrize(
    ("path", "name", "told"),
    [
        ("/certify", "max_votes", "deployment"),
        ("/certify", "milestone", "max_votes"),
        ("/predict", "n", "deployment"),
    ],
)
async def test_the_forms_tell_of_the_limit_that_is_not_in_the_schema(
    document: dict[str, Any], client: httpx.AsyncClient, path: str, name: str, told: str
) -> None:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    words = content["multipart/form-data"]["schema"]["properties"][name]["description"]
    assert told in words
    if told == "deployment":
        assert f"{Settings.model_fields['max_votes'].default:,}" in words
    refused = await client.post(path, files=files(), data={name: "2001"})  # 2000 in the tests
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == name
