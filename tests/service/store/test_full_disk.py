"""The disk of the embedded store is full: small writes still succeed, and nobody is misled."""

import os
import shutil
import subprocess
import sys

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from structlog.testing import capture_logs

from service.errors import StoreUnavailable
from service.store import server_log
from service.store.embedded import EmbeddedServer
from tests.service.conftest import connect
from tests.service.reading import problem, slug
from tests.service.seeing.scraping import of, scrape
from tests.service.store.server import lives, wait_for

LARGE = b"x" * 100_000


def impatient(path):
    return redis.Redis(unix_socket_path=path, socket_timeout=10, retry=Retry(NoBackoff(), 0))


@pytest.fixture
def small_disk(tmp_path_factory):
    """A file system of 40 MiB of this test's own."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    place = tmp_path_factory.mktemp("m")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", place], check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(place):
    with (place / "ballast").open("wb", buffering=0) as file:
        for size in (1 << 20, 1):
            while True:
                try:
                    file.write(bytes(size))
                except OSError:
                    break


def test_a_full_disk_is_told_though_small_writes_succeed(small_disk):
    server = EmbeddedServer(small_disk / "data")
    with impatient(server.start()) as store:
        server.check()
        store.set("first", b"")  # the rest of its page is room for small ones
        fill(small_disk)
        assert store.set("small", b"", px=1000)
        with pytest.raises(StoreUnavailable, match=r"is full \(0.0 MiB are left"):
            server.check()
        with pytest.raises(redis.ConnectionError):
            store.set("large", LARGE)
    wait_for(lambda: not lives(small_disk / "data"))
    for _ in range(3):  # their own logs find no room, and the one that tells is kept
        with capture_logs() as logs:
            path = server.start()
        with impatient(path) as store, pytest.raises(redis.ConnectionError):
            store.set("large", LARGE)
        wait_for(lambda: not lives(small_disk / "data"))
        assert logs[0]["event"] == "store server had ended unasked"
        assert "Short write while writing to the AOF" in logs[0]["last"]
        assert "is full" in logs[0]["refuses"]
    (small_disk / "ballast").unlink()
    server.start()
    with pytest.raises(StoreUnavailable, match="ended because it could not write to its disk"):
        server.check()
    for log in (server_log.NAME, f"{server_log.NAME}.1"):  # as half a minute later
        os.utime(small_disk / "data" / "store" / log, (0, 0))
    server.check()
    server.stop()


async def test_readiness_and_metrics_go_by_it(make_app, tmp_path_factory, monkeypatch):
    monkeypatch.setattr("service.seeing.readiness.FRESH_SECONDS", 0.0)
    patience = dict.fromkeys(("store", "device", "weights", "provider"), 60.0)
    monkeypatch.setattr("service.seeing.readiness.PATIENCE", patience)
    monkeypatch.setattr("service.seeing.figures.PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr("service.seeing.figures.FRESH_SECONDS", 0.0)
    data = tmp_path_factory.mktemp("d")
    async with make_app(redis_url=None, data_dir=data) as app, connect(app) as http:
        assert (await http.get("/health/ready")).json()["parts"]["store"] == {"writable": True}
        assert of(await scrape(http), "surety_store_up") == 1
        monkeypatch.setattr(server_log, "ROOM", shutil.disk_usage(data).total)
        body = problem(await http.get("/health/ready"), app)
        assert slug(body) == "not-ready"
        assert [error["field"] for error in body["errors"]] == ["store"]
        assert "make room" in body["detail"]
        assert str(data) not in body["detail"]
        assert of(await scrape(http), "surety_store_up") == 0
