"""The worker's healthcheck, against a store in which workers tell of themselves."""

import asyncio
import os
import runpy
import socket
import subprocess
import sys

import pytest

from service.store.connection import Store
from service.store.workers import RedisWorkers, WorkerInfo
from tests.docker.files import FOLDER, ROOT
from tests.service.conftest import _no_environment  # noqa: F401  a fixture

HERE = socket.gethostname()


async def asked():
    """Return the exit code, and what is said; here, since a process of its own imports long."""
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(
            runpy.run_path, str(FOLDER / "worker_health.py"), run_name="__main__"
        )
    said = ended.value.code
    return (1, said) if isinstance(said, str) else (said, "")


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
    given, said = await asked()
    assert given == code, said
    assert ("no worker of this machine" in said) == bool(code)


async def test_no_store(monkeypatch):
    monkeypatch.setenv("SURETY_REDIS_URL", "redis://:hidden@127.0.0.1:1")
    code, said = await asked()
    assert code == 1
    assert said.startswith("no sign of life can be looked for: the store")
    assert "hidden" not in said


def test_a_process_of_its_own():
    done = subprocess.run(
        [sys.executable, FOLDER / "worker_health.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "no worker of this machine gives signs of life\n"
