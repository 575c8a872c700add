"""Clients that are slow, stop in the middle, or do not read: over real sockets."""

import asyncio
import contextlib
import itertools
import json
import socket
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import StreamingResponse

import service.sse
from service.edges.ending import Ending
from service.edges.pace import BodyPace
from service.edges.protocol import EdgeProtocol
from service.errors import ShuttingDown
from service.head import Head
from tests.service.edges.sockets import (
    PATIENCE,
    connection,
    form,
    head,
    http,
    limited,
    read_all,
    refusals,
)
from tests.service.jobs.asking import submitted
from tests.service.reading import NOTHING, left_behind
from tests.service.test_streaming import until

QUICK = {
    "upload_grace_seconds": 0.3,
    "upload_bytes_per_second": 100_000,
    "header_seconds": 0.3,
    "reader_seconds": 0.4,
}


@contextlib.asynccontextmanager
async def trickling(write: asyncio.StreamWriter, data: bytes) -> AsyncIterator[None]:
    """Send the same again and again, slowly, as long as the context lasts."""

    async def trickle() -> None:
        while True:
            write.write(data)
            await asyncio.sleep(0.05)

    task = asyncio.ensure_future(trickle())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_body_that_stops(make_app: Any, temp_dir: Any) -> None:
    body = form()
    async with make_app(**QUICK) as app, limited(app) as port, connection(port) as (read, write):
        write.write(head("/certify", len(body)) + body[:100])
        told = await read_all(read)
        assert (told.status, told.slug) == (408, "request-too-slow")
        assert told.headers["connection"] == "close"
        assert told.headers["x-request-id"]
        assert left_behind(app) == NOTHING
        assert app.state.surety.uploads.memory.taken == 0
        assert list(temp_dir.iterdir()) == []


@pytest.mark.parametrize("path", ["/certify", "/predict", "/jobs", "/pictures", "/estimate"])
async def test_a_body_that_trickles(make_app: Any, path: str) -> None:
    async with make_app(**QUICK) as app, limited(app) as port, connection(port) as (read, write):
        write.write(head(path, 10_000))

        async def trickle() -> None:
            for byte in form(bytes(9_000)):
                write.write(bytes([byte]))
                await asyncio.sleep(0.02)

        trickling = asyncio.ensure_future(trickle())
        told = await read_all(read)
        assert (told.status, told.slug) == (408, "request-too-slow")
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)


async def test_one_that_is_slow_but_not_too_slow(make_app: Any) -> None:
    settings = QUICK | {"upload_grace_seconds": 5}
    body = form(max_votes="5")
    async with make_app(**settings) as app, limited(app) as port, connection(port) as (read, write):
        write.write(head("/certify", len(body), "Connection: close"))
        for start in range(0, len(body), 50):
            write.write(body[start : start + 50])
            await asyncio.sleep(0.03)
        assert (await read_all(read)).status == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", 0), (b"GET /health/live HT", 408), (b"GET /health/live HTTP/1.1\r\nHost: a\r\n", 408)],
)
async def test_a_head_that_does_not_end(make_app: Any, sent: bytes, status: int) -> None:
    async with make_app(**QUICK) as app, limited(app) as port, connection(port) as (read, write):
        write.write(sent)
        told = await read_all(read)
        assert told.status == status
        if status:
            assert told.slug == "request-too-slow"
            assert told.headers["connection"] == "close"
            assert json.loads(told.body)["request_id"] == told.headers["x-request-id"]


async def test_the_head_of_a_second_request_that_trickles(make_app: Any) -> None:
    """uvicorn's own limit on idle connections ends with the first byte."""
    async with make_app(**QUICK) as app, limited(app) as port, connection(port) as (read, write):
        write.write(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (await read.readuntil(b'{"status":"live"}')).startswith(b"HTTP/1.1 200")
        write.write(b"GET /health/live HTTP/1.1\r\n")

        async with trickling(write, b"a: b\r\n"):
            assert (await read_all(read)).status == 408


async def test_a_body_that_nobody_wants_does_not_hold_the_connection(make_app: Any) -> None:
    async with make_app(**QUICK) as app, limited(app) as port, connection(port) as (read, write):
        write.write(head("/nowhere", 10_000_000))

        async with trickling(write, b"a"):
            assert (await read_all(read)).status == 404


@pytest.mark.parametrize("sent", [b"NONSENSE\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"])
async def test_what_is_no_request(make_app: Any, sent: bytes) -> None:
    async with make_app() as app, limited(app) as port, connection(port) as (read, write):
        write.write(sent)
        write.write_eof()
        told = await read_all(read)
        assert (told.status, told.slug) == (400, "malformed-request")
        assert told.headers["content-type"] == "application/problem+json"
        assert json.loads(told.body)["request_id"] == told.headers["x-request-id"]
        assert "Host" not in json.loads(told.body)["detail"]
        assert refusals(app.state.metrics, "other", 400) == 1


@pytest.mark.parametrize("hosts", [b"", b"Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n"])
async def test_a_request_has_one_host(make_app: Any, hosts: bytes) -> None:
    async with make_app() as app, limited(app) as port, connection(port) as (read, write):
        write.write(b"GET /health/live HTTP/1.1\r\n" + hosts + b"\r\n")
        told = await read_all(read)
        assert (told.status, told.slug) == (400, "malformed-request")
        assert "one header Host" in json.loads(told.body)["detail"]


async def test_a_head_that_is_too_long(make_app: Any) -> None:
    async with make_app() as app, limited(app) as port, connection(port) as (read, write):
        write.write(b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 40_000)
        assert (await read_all(read)).slug == "malformed-request"


async def test_a_reader_of_events_that_does_not_read(
    make_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run ends, and its connection: what waits for it is bounded all the time."""
    monkeypatch.setattr(service.sse, "INTERVAL", 0.0)
    settings = QUICK | {"max_votes": 100_000}
    async with make_app(**settings) as app, limited(app, send_buffer=4096) as port:
        body = form(provider="slow", good_enough="none", max_votes="90000")
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            accept = "Accept: text/event-stream"
            client.sendall(head("/certify", len(body), accept) + body)
            await until(app.state.running.runs.list, 20)
            (run,) = app.state.running.runs.list()
            await until(lambda: not app.state.running.runs.list(), 60)
            assert run.cancelling


async def test_a_reader_of_a_jobs_events_that_does_not_read(make_app: Any) -> None:
    async with make_app(max_followers=1, **QUICK) as app:  # noqa: SIM117
        async with limited(app) as port, http(port) as live:
            where = await submitted(live, provider="stuck")
            async with live.stream("GET", f"{where}/events") as response:
                assert response.status_code == 200
                refused = await live.get(f"{where}/events")
                assert refused.status_code == 429
                assert int(refused.headers["retry-after"]) > 0
            await until(lambda: app.state.inside.followers.taken == 0, 20)
            async with live.stream("GET", f"{where}/events") as response:
                assert response.status_code == 200


async def test_a_large_answer_that_is_not_read(make_app: Any) -> None:
    """The rest of it is not kept for ever."""
    async with make_app(**QUICK) as app, limited(app, send_buffer=4096) as port:
        async with http(port) as live:
            assert len((await live.get("/openapi.json")).content) > 200_000
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            began = time.monotonic()
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await asyncio.sleep(2)
            got = 0
            with pytest.raises(ConnectionError):
                while True:
                    part = await asyncio.wait_for(loop.sock_recv(client, 65536), 20)
                    if not part:
                        raise ConnectionError
                    got += len(part)
            assert got < 200_000
            assert time.monotonic() - began < 60


async def test_a_client_that_has_gone_stops_no_end(
    make_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn closes all connections in a row, also those whose client has gone just now."""
    made: list[EdgeProtocol] = []
    plain = EdgeProtocol.connection_made

    def noted(protocol: EdgeProtocol, transport: asyncio.Transport) -> None:
        made.append(protocol)
        plain(protocol, transport)

    monkeypatch.setattr(EdgeProtocol, "connection_made", noted)
    async with make_app() as app, limited(app) as port:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, head("/nowhere", 10_000) + b"a")
            assert (await loop.sock_recv(client, 4096)).startswith(b"HTTP/1.1 404")
        (protocol,) = made  # the event loop has not told it yet
        protocol.shutdown()
        async with asyncio.timeout(PATIENCE):
            while protocol.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


async def run_asgi(app: Any, method: str, headers: Any = ()) -> list[Any]:
    """Send a request whose client stays, and return what it is answered within five seconds."""
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/", "headers": list(headers)}
    async with asyncio.timeout(5):
        await app(scope, receive, send)
    return sent


def endless(parts: int | None) -> Any:
    """An application that streams so many parts, or for ever."""

    async def body() -> AsyncIterator[bytes]:
        for number in itertools.count():
            if number == parts:
                return
            yield b"part"
            await asyncio.sleep(0.01)

    return StreamingResponse(body())


async def test_head_of_what_streams_for_hours_ends_at_once() -> None:
    start, end = await run_asgi(Head(endless(None)), "HEAD")
    assert start["type"] == "http.response.start"
    assert (end["body"], end["more_body"]) == (b"", False)


async def test_streams_that_begin_while_the_service_ends_are_not_cut_off() -> None:
    ending = Ending()
    ending.begin()
    sent = await run_asgi(BodyPace(endless(5), 1000, 1.0, ending), "GET")
    assert sum(message.get("body") == b"part" for message in sent) == 5
    assert sent[-1]["more_body"] is False
    with pytest.raises(ShuttingDown):  # of one that waits for an upload
        length = [(b"content-length", b"100")]
        await run_asgi(BodyPace(endless(None), 1000, 1.0, ending), "GET", length)
