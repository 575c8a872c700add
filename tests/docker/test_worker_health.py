"""The worker's healthcheck, against a store in which workers tell of themselves."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from service.store.connection import Store
from service.store.workers import RedisWorkers, WorkerInfo
from tests.docker.files import FOLDER, ROOT
from tests.service.conftest import _no_environment  # noqa: F401  a fixture

HERE = socket.gethostname()


async def asked(**more):
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, FOLDER / "worker_health.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **more},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("host", "inside", "code"),
    [
        (f"{HERE}:7", False, 0),
        (f"{HERE}:7", True, 1),  # the service's own
        (f"{HERE}x:7", False, 1),
        (None, False, 1),
    ],
)
async def test_signs_of_life(host, inside, code):
    if host is not None:
        store = Store(os.environ["SURETY_REDIS_URL"], os.environ["SURETY_REDIS_PREFIX"])
        await store.open()
        await RedisWorkers(store, 60).tell(WorkerInfo("w", host, ["cpu/float32"], 1, inside))
        await store.close()
    done = await asked()
    assert done.returncode == code, done.stderr
    assert ("no worker of this machine" in done.stderr) == bool(code)


async def test_no_store():
    done = await asked(SURETY_REDIS_URL="redis://:hidden@127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.startswith("no sign of life can be looked for: the store")
    assert "hidden" not in done.stderr
