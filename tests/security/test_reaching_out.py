"""No request makes the service read a file of its machine or call an address."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from tests.service.conftest import connect
from tests.service.pictures import png

ADDRESSES = re.compile(r"(^|_)(ur[il]|uris|urls|href|endpoint|address|host|webhook|callback)(_|$)")


def fields(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield the properties of a schema, however deep."""
    if isinstance(node, dict):
        yield from node.get("properties", {}).items()
        for value in node.values():
            yield from fields(value)
    elif isinstance(node, list):
        for value in node:
            yield from fields(value)


async def test_no_field_of_a_request_is_an_address(make_app: Any, monkeypatch: Any) -> None:
    async with make_app() as app:
        document = app.openapi()
        operations = [o for methods in document["paths"].values() for o in methods.values()]
        names = {p["name"] for o in operations for p in o.get("parameters", ())}
        names |= {name for o in operations for name, _ in fields(o.get("requestBody", {}))}
        assert "provider" in names
        assert not {name for name in names if ADDRESSES.search(name)}
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            await ask_everywhere(app, f"http://127.0.0.1:{listener.getsockname()[1]}/x.png")
            with pytest.raises(BlockingIOError):
                listener.accept()


async def ask_everywhere(app: FastAPI, address: str) -> None:
    """Send an address in each field of each form, one after the other."""
    async with connect(app) as client:
        for path in ("/certify", "/verify", "/jobs", "/estimate"):
            form = app.openapi()["paths"][path]["post"]["requestBody"]
            for name in sorted({name for name, _ in fields(form)} - {"image"}):
                data = {"max_votes": "2", name: address}
                answer = await client.post(path, files={"image": ("x.png", png())}, data=data)
                assert answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    "image",
    ["secret.png", "/etc/passwd", "../secret.png", "file:///etc/passwd", "http://127.0.0.1/"],
)
async def test_a_manifest_by_http_names_no_file_of_the_machine(
    make_app: Any, tmp_path: Path, image: str
) -> None:
    (tmp_path / "secret.png").write_bytes(png())  # the application runs in this folder
    async with make_app() as app, connect(app) as client:
        line = json.dumps({"image": image}).encode()
        answer = await client.post("/jobs", files={"manifest": ("m.jsonl", line)})
        assert answer.status_code == 422, answer.text
        assert answer.json()["type"] == "/problems/bad-table"
        assert (await client.get("/jobs")).json()["jobs"] == []
