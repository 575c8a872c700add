"""Reads answers and holds them against the OpenAPI document."""

import json
import os
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import redis
from fastapi import FastAPI

from service.problem_kinds import BY_SLUG
from tests.service.pictures import png

EVENTS = {"accept": "text/event-stream"}


def files(data: bytes | None = None) -> dict[str, Any]:
    return {"image": ("../../etc/passwd", png() if data is None else data, "text/html")}


def problem(response: httpx.Response, app: FastAPI | None = None) -> dict[str, Any]:
    """Check that an answer is a sound problem document, documented for its route."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    kind = BY_SLUG[body["type"].removeprefix("/problems/")]
    assert (body["status"], body["title"]) == (response.status_code, kind.title)
    assert kind.status == response.status_code
    assert body["detail"].strip()
    assert body["instance"] == response.request.url.path
    if app is not None:
        path, method = body["instance"], response.request.method.lower()
        paths = app.openapi()["paths"]
        template = next(p for p in paths if re.fullmatch(re.sub(r"{\w+}", "[^/]+", p), path))
        told = paths[template][method]["responses"][str(response.status_code)]
        assert kind.slug in told["content"]["application/problem+json"]["examples"]
    return body


def slug(body: dict[str, Any]) -> str:
    return body["type"].removeprefix("/problems/")


def parse(text: str) -> list[tuple[str, Any]]:
    """Events of a whole stream; comments come as (":", text)."""
    found = []
    for block in text.split("\n\n"):
        if not block.strip():
            continue
        if block.startswith(":"):
            found.append((":", block[1:].strip()))
            continue
        event, data = block.split("\n", 1)
        assert data.startswith("data: ")
        found.append((event.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """Events as they arrive."""
    kept = ""
    async for text in response.aiter_text():
        kept += text
        *blocks, kept = kept.split("\n\n")
        for block in blocks:
            for event in parse(block + "\n\n"):
                yield event


def left_behind(app: FastAPI) -> dict[str, Any]:
    """Whatever a request may have left: nothing, after one that was refused."""
    surety = app.state.surety
    prefix = surety.settings.redis_prefix
    always = ("deployment", "keys", "process")
    return {
        "runs": app.state.running.runs.list(),
        "kept": [key for key in stored(prefix) if key.split(":")[0] not in always],
        "held": dict(surety.machine.ledgers._locks),
        "waiting": surety.requests.taken,
    }


def stored(prefix: str) -> list[str]:
    """Keys in the store, without the prefix."""
    with redis.Redis.from_url(os.environ["SURETY_REDIS_URL"]) as client:
        found = client.scan_iter(match=f"{prefix}*", count=1000)
        return sorted(key.decode().removeprefix(prefix) for key in found)


NOTHING = {"runs": [], "kept": [], "held": {}, "waiting": 0}
