"""Too many at once: each limit says 429, before memory or the disk is full."""

import asyncio
import errno
import json
import os
import re
import resource
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from service.edges import protocol, uploads
from service.edges.places import Places
from service.edges.shares import Shares
from service.edges.uploads import Uploads
from service.errors import NoRoom, Overloaded
from service.settings import Settings
from tests.service.command import PATIENCE, Surety
from tests.service.edges.sockets import connection, form, head, http, limited, read_all, refusals
from tests.service.jobs.asking import FORM, pictures
from tests.service.reading import files, problem, slug
from tests.service.test_serve import read_until

MEGABYTE = 2**20


def test_a_place_is_given_back_once() -> None:
    places = Places(2, "full", "places", Shares())
    with places.take(None), places.take(None) as second:
        with pytest.raises(Overloaded, match="full") as refused:
            places.take(None)
        assert refused.value.retry_after > 0
        second.release()
        with places.take(None):
            pass
    assert places.taken == 0
    with places.take(None) as kept:
        kept.kept = True
    assert places.taken == 1
    kept.release()
    kept.release()
    assert places.taken == 0


def sized(length: int | None) -> Request:
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return Request({"type": "http", "headers": headers})


def uploads_of(**settings: int) -> Uploads:
    return Uploads(Settings(max_upload_bytes=MEGABYTE, **settings), Shares())


def test_uploads_hold_what_they_declare_and_the_most_otherwise() -> None:
    taking = uploads_of(max_uploads_bytes=4 * MEGABYTE)
    with taking.picture(sized(1000), None):
        assert taking.memory.taken == 1000
        with taking.picture(sized(None), None), taking.picture(sized(10**15), None):
            assert taking.memory.taken > 2 * MEGABYTE
            with taking.picture(sized(MEGABYTE), None), pytest.raises(Overloaded):
                taking.picture(sized(None), None)
    assert taking.memory.taken == 0
    small = uploads_of(max_uploads_bytes=2000)
    with small.picture(sized(MEGABYTE), None):  # one fits always
        pass


async def test_pictures_share_the_memory_that_there_is(make_app: Any) -> None:
    limits = {"max_upload_bytes": 50_000, "max_uploads_bytes": 50_000}
    async with make_app(**limits) as app, limited(app) as port, http(port) as live:
        async with connection(port) as (_, write):
            write.write(head("/certify", 300_000) + form()[:200])
            while not app.state.surety.uploads.memory.taken:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            for path in ("/certify", "/predict", "/verify"):
                refused = await live.post(path, files=files(bytes(40_000)))
                assert slug(problem(refused, app)) == "overloaded"
                assert "pictures" in refused.json()["detail"]
                assert int(refused.headers["retry-after"]) > 0
        async with asyncio.timeout(10):
            while app.state.surety.uploads.memory.taken:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        # A run holds none of it.
        slow = {"provider": "slow", "max_votes": "2000", "good_enough": "none"}
        asked = await live.post("/certify", files=files(), data=slow, headers={"prefer": "wait=0"})
        assert asked.status_code == 202
        assert app.state.surety.uploads.memory.taken == 0


async def test_a_disk_that_is_nearly_full(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tempfile.gettempdir())
    nearly = free._replace(free=uploads.FREE_BYTES + 100)
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _: nearly)
    for path in ("/jobs", "/estimate", "/pictures"):
        refused = await client.post(path, files=pictures(3), data=FORM)
        assert slug(problem(refused, app)) == "no-room"
        assert refused.status_code == 507
        assert int(refused.headers["retry-after"]) > 0


@pytest.mark.parametrize("path", ["/jobs", "/certify", "/pictures"])
async def test_a_disk_that_runs_full_meanwhile(make_app: Any, path: str) -> None:
    """As the operating system says it: a file of this process may have only so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    plain = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with make_app() as app, limited(app) as port, http(port) as live:
        name = "archive" if path == "/jobs" else "image"
        body = {name: ("a", os.urandom(3 * MEGABYTE))}
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MEGABYTE, hard))
        try:
            refused = await live.post(path, files=body)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, plain)
        assert slug(problem(refused, app)) == "no-room"


def test_only_a_full_disk_is_a_full_disk() -> None:
    with pytest.raises(NoRoom), uploads.disk_full():
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError), uploads.disk_full():
        raise PermissionError(errno.EACCES, "Permission denied")


async def test_connections_beyond_the_most_are_sent_away(
    make_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "SENT_AWAY", 2)
    async with make_app(max_connections=3) as app, limited(app) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        async with connection(port) as (read, write):
            write.write(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-Id: a\r\n\r\n")
            told = await read_all(read)
            assert (told.status, told.slug) == (429, "overloaded")
            assert int(told.headers["retry-after"]) > 0
            assert told.headers["connection"] == "close"
            assert told.headers["x-request-id"] == "a"
        held += [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        async with connection(port) as (read, write):
            write.write(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert (await read_all(read)).status == 0  # cut off
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(10), http(port) as live:
            while (await live.get("/health/live")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert refusals(app.state.metrics, "GET", 429) >= 1


def memory_of(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return 1024 * int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])  # type: ignore[index]


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")
async def test_three_hundred_uploads_at_once_take_bounded_memory(tmp_path: Any) -> None:
    """Each of 20 MB, of which so much is sent that to keep it all would be seen."""
    surety = Surety.at(tmp_path)
    surety.environment |= {
        "SURETY_MAX_UPLOADS_BYTES": str(64 * MEGABYTE),
        "SURETY_MAX_WAITING": "1000",  # it is their size that refuses them, not the queue
        "SURETY_UPLOAD_GRACE_SECONDS": "3600",  # nor time, on however busy a machine
        "SURETY_HEADER_SECONDS": "3600",
    }
    with (tmp_path / "log").open("w") as said:
        process = surety.start("serve", "--port", 0, stderr=said)
    try:
        text = await asyncio.to_thread(read_until, process, "Ctrl-C ends it")
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)", text)[1])  # type: ignore[index]
        async with http(port) as live:
            assert (await live.post("/predict", files=files(), data={"n": "20"})).is_success
            before = memory_of(process.pid)
            length = 20 * MEGABYTE
            part = form()[:100] + bytes(MEGABYTE // 2)

            async def upload() -> int:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(head("/certify", length) + part)
                    await writer.drain()
                    return int((await reader.readline()).split()[1])
                finally:
                    writer.close()

            sent = [asyncio.ensure_future(upload()) for _ in range(300)]
            fit = 3  # of the memory that there is
            async with asyncio.timeout(PATIENCE):
                while sum(task.done() for task in sent) < len(sent) - fit:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert {task.result() for task in sent if task.done()} == {429}
            assert sum(not task.done() for task in sent) == fit
            assert memory_of(process.pid) - before < 100 * MEGABYTE
            for task in sent:
                task.cancel()
            await asyncio.gather(*sent, return_exceptions=True)
            assert (await live.get("/health/live")).is_success
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def chunked(said: bytes) -> Request:
    headers = [(b"content-length", said), (b"transfer-encoding", b"chunked")]
    return Request({"type": "http", "headers": headers})


def test_what_comes_in_chunks_is_held_as_the_largest_whatever_is_said_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taking = uploads_of(max_uploads_bytes=4 * MEGABYTE, max_archive_bytes=MEGABYTE)
    with taking.picture(chunked(b"1"), None):
        assert taking.memory.taken > MEGABYTE
    free = shutil.disk_usage("/")._replace(free=uploads.FREE_BYTES + 2 * MEGABYTE)
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _: free)
    for request in (chunked(b"1"), sized(None)):
        with (
            taking.file(request, None),
            pytest.raises(NoRoom, match=r"say how large it is \(Content-Length\)"),
            taking.file(request, None),
        ):
            pass


@pytest.mark.parametrize("memory", [True, False])
def test_a_folder_in_memory_has_no_more_room_than_half_of_what_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, memory: bool
) -> None:
    """A container's /tmp: the kernel ends the process before the disk is said to be full."""
    monkeypatch.setattr(uploads, "_is_memory", lambda _: memory)
    monkeypatch.setattr(uploads, "memory_left", lambda: 4 * MEGABYTE)
    assert (uploads._free(tmp_path) == 2 * MEGABYTE) == memory
    monkeypatch.setattr(uploads, "memory_left", lambda: None)
    assert uploads._free(tmp_path) > 2 * MEGABYTE


def test_which_folders_are_in_memory() -> None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    kinds = {Path(where): kind for _, where, kind, *_ in mounts if Path(where).is_dir()}
    assert not uploads._is_memory(Path("/proc"))
    for where, kind in kinds.items():
        if kind == "tmpfs":
            assert uploads._is_memory(where)


async def test_a_body_of_a_hundred_thousand_fields_is_refused_before_it_is_looked_at(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.json_body.from_json", lambda *_, **__: pytest.fail("was parsed"))
    body = json.dumps({str(i): 0 for i in range(100_000)})
    told = await client.post(
        "/jobs/0/extend", content=body, headers={"content-type": "application/json"}
    )
    assert told.status_code == 413
    assert "over the limit of 65,536 bytes" in problem(told, app)["detail"]
