"""Real answers fit the schemas of the OpenAPI document, and so do its examples."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.openapi_examples import CERTIFICATE, EXAMPLES, PROGRESS
from service.openapi_schemas import SCHEMAS
from tests.service.reading import EVENTS, files, parse

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
FILES = (
    "/image",
    "/picture",
    "/results",
    "/report",
    "/events",
    "/metrics",
)  # answers that are no JSON
SILENT = {"description", "format", "contentEncoding"}  # say nothing that is checked here
CHECKED = {
    *("$ref", "type", "required", "properties", "additionalProperties", "items", "anyOf"),
    *("enum", "const", "pattern", "minimum", "maximum", "exclusiveMinimum"),
    *("minItems", "maxItems"),
}


def faults(value: Any, schema: dict[str, Any], at: str = "$") -> list[str]:
    """Hold a value against a schema; a member that is not described is a fault, too."""
    assert set(schema) <= CHECKED | SILENT, at  # nothing goes unchecked
    if "$ref" in schema:
        return faults(value, SCHEMAS[schema["$ref"].removeprefix("#/components/schemas/")], at)
    if "anyOf" in schema:
        found = [faults(value, choice, at) for choice in schema["anyOf"]]
        return [] if [] in found else [fault for choice in found for fault in choice]
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if not any(is_a(value, kind) for kind in kinds):
        return [f"{at}: {value!r} is no {kinds}"]
    wrong = [f"{at}: {value!r} {said}" for said in bounds(value, schema)]
    if isinstance(value, dict):
        return wrong + members(value, schema, at)
    if isinstance(value, list):
        for index, item in enumerate(value):
            wrong += faults(item, schema["items"], f"{at}[{index}]")
    return wrong


def is_a(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (isinstance(value, bool) <= (kind == "boolean"))


def bounds(value: Any, schema: dict[str, Any]) -> Iterator[str]:
    tests = {
        "enum": lambda limit: value in limit,
        "const": lambda limit: value == limit,
        "pattern": lambda limit: re.search(limit, value),
        "minimum": lambda limit: value >= limit,
        "maximum": lambda limit: value <= limit,
        "exclusiveMinimum": lambda limit: value > limit,
        "minItems": lambda limit: len(value) >= limit,
        "maxItems": lambda limit: len(value) <= limit,
    }
    for name, holds in tests.items():
        if name in schema and value is not None and not holds(schema[name]):
            yield f"against {name} {schema[name]}"


def members(value: dict[str, Any], schema: dict[str, Any], at: str) -> list[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", False)
    wrong = [f"{at}: {name} is missing" for name in schema.get("required", ()) if name not in value]
    for name, item in value.items():
        if name in known:
            wrong += faults(item, known[name], f"{at}.{name}")
        elif others is False:
            wrong.append(f"{at}: {name} is not described")
        elif others is not True:
            wrong += faults(item, others, f"{at}.{name}")
    return wrong


def fits(value: Any, name: str) -> None:
    assert faults(value, SCHEMAS[name]) == []


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def test_the_checker_finds_faults() -> None:
    proof = CERTIFICATE["proof"]
    for wrong in (
        proof | {"abstained": 0},
        proof | {"sigma": True},
        proof | {"sigma": 0},
        proof | {"norm": "l1"},
        proof | {"subject_sha256": "abc"},
        proof | {"more": 1},
        proof | {"noise": proof["noise"] | {"law": None}},
        proof | {"votes": proof["votes"] | {"counts": {"cat": "62"}}},
        {name: value for name, value in proof.items() if name != "radius"},
    ):
        assert len(faults(wrong, SCHEMAS["Proof"])) == 1, wrong
    assert faults({"runs": [{}]}, SCHEMAS["Runs"])
    assert faults(None, SCHEMAS["Run"]["properties"]["progress"]) == []


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_example_fits_its_schema(name: str) -> None:
    fits(EXAMPLES[name], name)


def test_every_schema_says_what_its_members_are() -> None:
    for name, schema in SCHEMAS.items():
        for node in nodes(schema):
            if node.get("type") == "object":
                assert node["description"], name
                assert "properties" in node or "additionalProperties" in node, name
            for member, field in node.get("properties", {}).items():
                words = field.get("description", "described there" if "$ref" in field else "")
                assert words, (name, member)
                assert "\n" not in words


def test_every_answer_has_a_schema_and_an_example_with_its_nulls(
    document: dict[str, Any],
) -> None:
    assert document["components"]["schemas"] == SCHEMAS
    shown = document["components"]["examples"]
    assert {name: entry["value"] for name, entry in shown.items()} == EXAMPLES
    assert "truth" in shown["Certificate"]["value"]  # null: FastAPI drops it elsewhere
    for path, method, operation in operations(document):
        answer = next(told for status, told in operation["responses"].items() if status < "300")
        if "application/json" not in answer.get("content", {}):
            assert method == "delete" or path.endswith(FILES)
            continue
        media = answer["content"]["application/json"]
        name = media["schema"]["$ref"].removeprefix("#/components/schemas/")
        assert media["schema"] == {"$ref": f"#/components/schemas/{name}"}, (method, path)
        (example,) = media["examples"].values()
        assert example == {"$ref": f"#/components/examples/{name}"}, (method, path)


CERTIFY_FORMS = [
    {"target_radius": "0.1"},
    {"max_votes": "1"},
    {"label": "dark", "max_cost": "1", "max_seconds": "30", "good_enough": "none"},
    {
        "provider": "closed",
        "size": "6x4",
        "rule": '{"rule": "any_of", "labels": ["dark"], "threshold": 0.5}',
        "synonyms": '{"bright": "light"}',
        "milestone": "20",
        "max_votes": "30",
    },
    {"provider": "reading", "encoding": "jpeg", "max_votes": "20"},
    {"rule": '{"rule": "in_top_k", "labels": ["dark"], "k": 1}', "max_votes": "1", "label": "no"},
]


@pytest.mark.parametrize("form", CERTIFY_FORMS)
async def test_certificates_fit(client: httpx.AsyncClient, form: dict[str, str]) -> None:
    answer = await client.post("/certify", files=files(), data=form)
    fits(answer.json(), "Certificate")
    fetched = await client.get(f"/certificates/{answer.json()['id']}")
    fits(fetched.json(), "Certificate")


@pytest.mark.parametrize("form", [{}, {"n": "1"}, {"max_cost": "0.01"}])
async def test_predictions_and_progress_fit(
    client: httpx.AsyncClient, form: dict[str, str]
) -> None:
    answer = await client.post("/predict", files=files(), data=form, headers=EVENTS)
    schemas = {
        "progress": "Progress",
        "accounting": "Accounting",
        "prediction": "Prediction",
    }
    events = parse(answer.text)
    assert {name for name, _ in events} == {"run", *schemas}
    for name, data in events[1:]:
        fits(data, schemas[name])


async def test_runs_fit(client: httpx.AsyncClient) -> None:
    asking = [
        asyncio.ensure_future(client.post("/certify", files=files(), data=form))
        for form in ({"provider": "stuck"}, {"provider": "slow", "good_enough": "none"})
    ]
    while True:
        body = (await client.get("/runs")).json()
        if len([run for run in body["runs"] if run["progress"]]) == 1 and len(body["runs"]) == 2:
            break
        await asyncio.sleep(0.01)
    fits(body, "Runs")
    assert set(body["runs"][0]) == set(SCHEMAS["Run"]["properties"])
    assert sorted(body["runs"][0]["progress"] or PROGRESS) == sorted(PROGRESS)
    for run in body["runs"]:
        fits((await client.delete(f"/runs/{run['id']}")).json(), "Cancelled")
    refused, answered = [await answer for answer in asking]
    fits(refused.json(), "Problem")
    fits(answered.json(), "Certificate")


async def test_other_answers_fit(client: httpx.AsyncClient) -> None:
    for path, name in (
        ("/providers", "Providers"),  # the broken ones of the tests among them
        ("/denoisers", "Denoisers"),
        ("/health/live", "Live"),
        ("/health/ready", "Ready"),
        ("/version", "Version"),
        ("/problems", "ProblemKinds"),
        ("/problems/overloaded", "ProblemKind"),
    ):
        answer = await client.get(path)
        assert answer.status_code == 200
        fits(answer.json(), name)
