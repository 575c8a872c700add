"""The healthcheck and the smoke test, against a service that runs."""

import asyncio
import subprocess
import sys

import pytest

from tests.docker.files import FOLDER
from tests.service.conftest import (  # noqa: F401  fixtures
    _no_environment,
    make_app,
    serve,
    small_providers,
)


async def python(script, *arguments):
    command = [sys.executable, "-I", FOLDER / script, *arguments]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)


@pytest.fixture
async def address(make_app):  # noqa: F811  a fixture
    async with make_app(provider="local", denoiser="auto") as app, serve(app) as client:
        yield str(client.base_url)


async def test_healthcheck(address):
    assert (await python("healthcheck.py", f"{address}/health/ready")).returncode == 0
    for missing in (f"{address}/nowhere", "http://127.0.0.1:1/health/ready"):
        assert (await python("healthcheck.py", missing)).returncode == 1


async def test_smoke(address):
    done = await python("smoke.py", address, "local")
    assert done.returncode == 0, done.stderr
    assert "local: ship, radius 0." in done.stdout
    assert done.stdout.endswith("smoke test passed\n")


async def test_smoke_fails(address):
    done = await python("smoke.py", address, "half")
    assert done.returncode == 1
    assert "FAILED: certified as ship" in done.stderr
