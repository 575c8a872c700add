"""Jobs over HTTP, for tests."""

import asyncio
import io
import json
import zipfile
from typing import Any

import httpx

from tests.service.jobs.running import PATIENCE
from tests.service.pictures import encode, gradient

FORM = {"sigma": "0.5", "max_votes": "40"}


def picture(number: int) -> bytes:
    return encode(gradient(8 + number % 40, 8 + number // 40))


def archive(members: dict[str, bytes]) -> dict[str, Any]:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return {"archive": ("pictures.zip", data.getvalue())}


def pictures(count: int) -> dict[str, Any]:
    return archive({f"dark/{n}.png": picture(n) for n in range(count)})


def manifest(*lines: dict[str, str]) -> dict[str, Any]:
    return {"manifest": ("m.jsonl", "\n".join(map(json.dumps, lines)).encode())}


async def submitted(
    client: httpx.AsyncClient, files: dict[str, Any] | None = None, **fields: str
) -> str:
    """Submit a job; returns where it is."""
    answer = await client.post("/jobs", files=files or pictures(3), data=FORM | fields)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
    return str(answer.headers["location"])


async def until(client: httpx.AsyncClient, where: str, *states: str) -> dict[str, Any]:
    """Wait until a job is in one of these states."""
    async with asyncio.timeout(PATIENCE):
        while (job := (await client.get(where)).json())["state"] not in states:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return dict(job)
