"""A store for tests: `TEST_REDIS_URL`, else an embedded server for the whole session."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import redis

from service.store.locks import FileLock

# Ends in order when its standard input does, so also when the process that tests is killed.
PROGRAM = """
import shutil, sys
from pathlib import Path
import structlog
from service.store.embedded import EmbeddedServer

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
server = EmbeddedServer(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(server.start(), server.pid, sep="\\n", flush=True)
sys.stdin.read()
server.stop()
if "--remove" in sys.argv:
    shutil.rmtree(sys.argv[1])
"""


class User:
    """A process of its own that uses the server of a data directory.

    Attributes:
        process: it.
        socket: what `start` returned in it.
        pid: of the server.
    """

    def __init__(self, data_dir, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, data_dir, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ready(self):
        """Wait until it is about to start."""
        assert self.process.stdout.readline() == "ready\n"

    def go(self):
        """Let it start."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def join(self):
        """Wait until it uses a server."""
        self.socket = self.process.stdout.readline().rstrip("\n")
        assert self.socket, "the embedded server did not start: see standard error"
        self.pid = int(self.process.stdout.readline())
        return self

    def joined(self):
        """Do all of this."""
        self.ready()
        self.go()
        return self.join()

    def leave(self):
        """Let it stop in order."""
        with self.process as process:
            process.stdin.close()
            assert process.wait(60) == 0

    def kill(self):
        """End it as a crash would."""
        with self.process as process:
            process.kill()  # nothing, if it has ended


def client(path):
    """Connect to a socket."""
    return redis.Redis(unix_socket_path=str(path), socket_timeout=10)


def lives(data_dir):
    """Ask the kernel whether a server holds the lock."""
    with FileLock(data_dir / "store" / "server.lock") as lock:
        return not lock.take()


def wait_for(condition):
    """Poll, for as long as a busy machine may need."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(scope="session")
def redis_url():
    """Return the URL of a server of version 7 or newer; its data is the tests' to overwrite."""
    if url := os.environ.get("TEST_REDIS_URL"):
        yield url
        return
    folder = Path(tempfile.mkdtemp(prefix="surety-test-", dir="/tmp"))
    user = User(folder, "--remove")
    try:
        yield f"unix://{user.joined().socket}"
    finally:
        user.leave()
