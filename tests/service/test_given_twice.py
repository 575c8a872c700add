"""What is given twice is refused, wherever: of two the last would count, and nobody be told."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.service.access.keyed import client_with
from tests.service.reading import problem, slug
from tests.service.test_cli import surety  # noqa: F401  fixture

TWICE = "given more than once: send it once"
JSON = {"Content-Type": "application/json"}


def queries(app: FastAPI) -> dict[tuple[str, str], str]:
    """Return every path with each parameter of its query, and a value that it may have."""
    return {
        (path, parameter["name"]): value(parameter["name"], parameter["schema"])
        for path, operations in app.openapi()["paths"].items()
        for parameter in operations.get("get", {}).get("parameters", [])
        if parameter["in"] == "query"
    }


def value(name: str, schema: dict[str, Any]) -> str:
    """Return one that is right, so that nothing else is wrong."""
    for kind in [schema, *schema.get("anyOf", [])]:
        if "enum" in kind:
            return str(kind["enum"][0])
    known = {"from": "2026-01-01", "to": "2026-01-01", "limit": "1", "start": "0", "by": "day"}
    known |= {"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    return known.get(name, "a" * 64)


async def test_parameters_of_every_query(app: FastAPI, client: httpx.AsyncClient) -> None:
    found = queries(app)
    assert ("/usage", "from") in found
    for (path, name), right in found.items():
        given = [(name, right)] * 2
        if path == "/jobs/compare":
            given += [(other, "a") for other in "ab" if other != name]
        where = path.replace("{job_id}", "0" * 16)
        body = problem(await client.get(where, params=given), app)
        assert slug(body) == "invalid-request", (path, name)
        assert body["errors"] == [{"field": name, "message": TWICE}], (path, name, body)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"name": "a", "scopes": ["read"], "name": "b"}', "name"),
        ('{"name": "a", "scopes": ["read"], "n\\u0061me": "a"}', "name"),
        ('{"name": "a", "scopes": [{"deep": 1, "deep": 1}]}', "deep"),
    ],
)
async def test_members_of_a_body(app: FastAPI, text: str, field: str) -> None:
    async with client_with(app, "admin") as client:
        answer = await client.post("/apikeys", content=text, headers=JSON)
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"field": field, "message": TWICE}]
        assert len((await client.get("/apikeys")).json()["api_keys"]) == 1


def test_members_on_the_command_line(surety: Any) -> None:  # noqa: F811
    ended = surety("certify", "cat.png", "--synonyms", '{"a": "b", "a": "b"}')
    assert ended.code == 2
    assert "--synonyms: 'a' is given more than once" in ended.err
