"""Applications with API keys, and clients that show them."""

import secrets
from contextlib import asynccontextmanager

import httpx

from tests.service.conftest import connect

PATHS = {
    "certificate_id": "0" * 32,
    "job_id": "0" * 16,
    "run_id": "0" * 24,
    "key_id": "0" * 16,
    "number": "0",
    "slug": "overloaded",
    "asset": "swagger-ui.css",
}


async def made(app, *scopes, **limits):
    """Make a key; return it and the headers that show it."""
    keys = app.state.surety.state.api_keys
    name = f"{'-'.join(scopes)} {secrets.token_hex(4)}"  # no two have the same
    key, text = await keys.create(name, frozenset(scopes), **limits)
    return key, shows(text)


def shows(text):
    return {"Authorization": f"Bearer {text}"}


@asynccontextmanager
async def client_with(app, *scopes, **limits):
    """Connect with a new key."""
    key, headers = await made(app, *scopes, **limits)
    async with connect(app) as client:
        client.headers.update(headers)
        client.key = key
        yield client


def kind(answer: httpx.Response) -> str:
    """Return the kind of a problem."""
    return answer.json()["type"].removeprefix("/problems/")
