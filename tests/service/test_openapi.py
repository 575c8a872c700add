"""The OpenAPI document: examples for every route and every error, all references resolved."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.openapi.models import OpenAPI

from service.openapi_schemas import SCHEMAS
from service.problem_kinds import KINDS, MALFORMED_REQUEST, OTHER_IMAGE_ERROR

PROBLEM = "application/problem+json"
EVERYWHERE = {429}  # there may be too many connections
ASKING = {200, 202, 400, 401, 402, 403, 405, 406, 408, 409, 413, 415, 422, 500, 502, 503, 507}
ROUTES = {
    ("post", "/certify"): ASKING,
    ("post", "/predict"): ASKING,
    ("get", "/certificates"): {200, 401, 403, 405, 422, 500, 503},
    ("get", "/certificates/{certificate_id}"): {200, 401, 403, 404, 405, 422, 500, 503},
    ("get", "/certificates/{certificate_id}/votes"): {200, 401, 403, 404, 405, 422, 500, 503},
    ("get", "/certificates/{certificate_id}/image"): {200, 401, 403, 404, 405, 422, 500, 503},
    ("get", "/certificates/{certificate_id}/picture"): {200, 401, 403, 404, 405, 422, 500, 503},
    ("post", "/verify"): {200, 400, 401, 403, 405, 408, 413, 415, 422, 500, 503, 507},
    ("get", "/keys"): {200, 403, 405, 500, 503},
    ("get", "/runs"): {200, 401, 403, 405, 422, 500, 503},
    ("get", "/runs/{run_id}"): {200, 401, 403, 404, 405, 422, 500, 503},
    ("delete", "/runs/{run_id}"): {202, 401, 403, 404, 405, 422, 500, 503},
    ("post", "/jobs"): {200, 201, 400, 401, 403, 405, 408, 409, 413, 415, 422, 500, 503, 507},
    ("get", "/jobs"): {200, 401, 403, 404, 405, 422, 500, 503},
    ("get", "/jobs/compare"): {200, 401, 403, 404, 405, 406, 422, 500, 503},
    ("get", "/jobs/{job_id}"): {200, 401, 403, 404, 405, 422, 500, 503},
    ("delete", "/jobs/{job_id}"): {204, 401, 403, 404, 405, 409, 422, 500, 503},
    ("get", "/jobs/{job_id}/pictures"): {200, 401, 403, 404, 405, 422, 500, 503},
    ("get", "/jobs/{job_id}/pictures/{number}"): {200, 401, 403, 404, 405, 422, 500, 503},
    ("get", "/jobs/{job_id}/events"): {200, 401, 403, 404, 405, 422, 500, 503},
    ("get", "/jobs/{job_id}/results"): {200, 401, 403, 404, 405, 406, 422, 500, 503},
    ("get", "/jobs/{job_id}/report"): {200, 401, 403, 404, 405, 422, 500, 503},
    ("post", "/jobs/{job_id}/pause"): {200, 401, 403, 404, 405, 409, 422, 500, 503},
    ("post", "/jobs/{job_id}/resume"): {200, 400, 401, 403, 404, 405, 409, 422, 500, 503},
    ("post", "/jobs/{job_id}/cancel"): {200, 401, 403, 404, 405, 409, 422, 500, 503},
    ("post", "/jobs/{job_id}/retry"): {200, 400, 401, 403, 404, 405, 409, 422, 500, 503},
    ("post", "/jobs/{job_id}/extend"): {
        200,
        400,
        401,
        403,
        404,
        405,
        408,
        409,
        413,
        415,
        422,
        500,
        503,
    },
    ("post", "/pictures"): {201, 400, 401, 403, 405, 408, 413, 415, 422, 500, 503, 507},
    ("post", "/estimate"): {
        200,
        400,
        401,
        402,
        403,
        405,
        408,
        409,
        413,
        415,
        422,
        500,
        502,
        503,
        507,
    },
    ("get", "/workers"): {200, 401, 403, 405, 422, 500, 503},
    ("get", "/providers"): {200, 401, 403, 405, 422, 500, 503},
    ("get", "/denoisers"): {200, 401, 403, 405, 422, 500, 503},
    ("get", "/apikeys"): {200, 401, 403, 405, 422, 500, 503},
    ("post", "/apikeys"): {201, 400, 401, 403, 405, 409, 413, 415, 422, 500, 503},
    ("get", "/apikeys/{key_id}"): {200, 401, 403, 404, 405, 422, 500, 503},
    ("patch", "/apikeys/{key_id}"): {200, 400, 401, 403, 404, 405, 409, 413, 415, 422, 500, 503},
    ("delete", "/apikeys/{key_id}"): {200, 401, 403, 404, 405, 422, 500, 503},
    ("post", "/apikeys/{key_id}/rotate"): {200, 400, 401, 403, 404, 405, 413, 415, 422, 500, 503},
    ("get", "/usage"): {200, 401, 403, 405, 406, 422, 500, 503},
    ("get", "/health/live"): {200, 403, 405, 500},
    ("get", "/health/ready"): {200, 403, 405, 500, 503},
    ("get", "/metrics"): {200, 401, 403, 405, 500, 503},
    ("get", "/version"): {200, 403, 405, 500},
    ("get", "/problems"): {200, 403, 405, 500},
    ("get", "/problems/{slug}"): {200, 403, 404, 405, 500},
}


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield (method, path), operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_it_is_sound(document: dict[str, Any]) -> None:
    OpenAPI.model_validate(document)
    assert document["openapi"].startswith("3.1")
    for reference in references(document):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_route_says_which_statuses_it_gives(document: dict[str, Any]) -> None:
    found = {
        route: {int(status) for status in operation["responses"]}
        for route, operation in operations(document)
    }
    assert found == {route: statuses | EVERYWHERE for route, statuses in ROUTES.items()}


def test_every_route_has_words_and_examples(document: dict[str, Any]) -> None:
    for route, operation in operations(document):
        assert operation["summary"], route
        assert operation["description"], route
        answers = [told for status, told in operation["responses"].items() if status != "204"]
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for answer in [*bodies, *answers]:
            assert answer["content"], route
            for media in answer["content"].values():
                assert media.get("example") or media.get("examples"), route


def test_every_kind_of_problem_has_an_example(document: dict[str, Any]) -> None:
    shown: dict[str, Any] = {}
    for _, operation in operations(document):
        for status, answer in operation["responses"].items():
            examples = answer.get("content", {}).get(PROBLEM, {}).get("examples", {})
            for slug, example in examples.items():
                assert example["value"]["status"] == int(status)
                assert set(example["value"]) <= set(SCHEMAS["Problem"]["properties"])
                shown[slug] = example
    # One is a parent that nobody raises, and what is no request has no route.
    never = {OTHER_IMAGE_ERROR.slug, MALFORMED_REQUEST.slug}
    assert set(shown) == {kind.slug for kind in KINDS} - never


def test_the_forms_are_described(document: dict[str, Any]) -> None:
    body = document["paths"]["/certify"]["post"]["requestBody"]
    schema = body["content"]["multipart/form-data"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["image"]
    assert set(schema["properties"]) == {
        *("image", "provider", "sigma", "denoiser", "alpha", "target_radius", "max_votes"),
        *("max_cost", "max_seconds", "good_enough", "milestone", "label", "size", "rule"),
        *("synonyms", "encoding", "keep_image"),
    }
    for name, field in schema["properties"].items():
        assert field["description"], name


def test_the_forms_of_jobs_are_those_of_a_picture_and_more(document: dict[str, Any]) -> None:
    def fields(path: str) -> Any:
        body = document["paths"][path]["post"]["requestBody"]
        return body["content"]["multipart/form-data"]["schema"]["properties"]

    one, many = fields("/certify"), fields("/jobs")
    of_job = {"archive", "manifest", "labels", "name", "rate", "priority", "allocation", "dry_run"}
    assert {*many} - {*one} == of_job
    assert {*one} - {*many} == {"image", "label", "max_seconds"}
    for name in {*one} & {*many} - {"max_cost"}:  # there it is of all pictures together
        assert one[name] == many[name]
    asked = {"pictures", "pilot", "pilot_max_cost"}
    assert {*fields("/estimate")} == {*many} - {"dry_run"} | asked
    for field in (*many.values(), *fields("/estimate").values()):
        assert field["description"]


async def test_it_is_served(client: httpx.AsyncClient) -> None:
    assert (await client.get("/openapi.json")).status_code == 200
    assert (await client.get("/docs")).status_code == 200
