"""A real server with limited connections, and clients that are plain sockets."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from service.edges.protocol import ConnectionLimits, config_of, watch_connections
from service.seeing.metrics import Metrics
from tests.service.pictures import png

PATIENCE = 20.0
BOUNDARY = "-----------------surety"


@asynccontextmanager
async def limited(app: FastAPI, send_buffer: int | None = None) -> AsyncIterator[int]:
    """Serve an application whose lifespan already runs, as `surety serve` does; yield its port.

    Args:
        app: with its settings.
        send_buffer: bytes that the operating system keeps for a client that does not read.
    """
    settings = app.state.settings
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        server = uvicorn.Server(
            config_of(app, settings, lifespan="off", timeout_graceful_shutdown=2)
        )
        serving = asyncio.ensure_future(server.serve([listener]))
        watching = asyncio.ensure_future(
            watch_connections(server.server_state, ConnectionLimits.of(settings))
        )
        try:
            while not server.started:  # noqa: ASYNC110  it has no event
                await asyncio.sleep(0.01)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


@asynccontextmanager
async def http(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
        yield client


@asynccontextmanager
async def connection(
    port: int, **options: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def head(path: str, length: int, *more: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {length}",
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def form(picture: bytes | None = None, **fields: str) -> bytes:
    """A body with a picture."""
    data = png() if picture is None else picture
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'.encode()  # noqa: E501
        + data
    ]
    parts += [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, value in fields.items()
    ]
    return b"\r\n".join(parts) + f"\r\n--{BOUNDARY}--\r\n".encode()


class Told:
    """An answer, read to the end of the connection.

    Attributes:
        status: 0 if there is none.
        headers: with names in lower case.
        body: its bytes.
    """

    def __init__(self, data: bytes) -> None:
        top, _, self.body = data.partition(b"\r\n\r\n")
        first, *lines = top.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1]) if first else 0
        self.headers = dict(line.lower().split(": ", 1) for line in lines)

    @property
    def slug(self) -> str:
        return str(json.loads(self.body)["type"]).removeprefix("/problems/")


async def read_all(reader: asyncio.StreamReader) -> Told:
    async with asyncio.timeout(PATIENCE):
        data = b""
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(65536):
                data += part
        return Told(data)


def refusals(metrics: Metrics, method: str, status: int) -> float:
    """How many requests were answered like that without a route."""
    labels = {"method": method, "route": "other", "status": str(status)}
    return metrics.registry.get_sample_value("surety_http_requests_total", labels) or 0.0
