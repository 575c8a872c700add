"""Connections that are too many, too slow or never read: what uvicorn itself does not end.

uvicorn 0.54 closes idle connections (`timeout_keep_alive`) and bounds the head of a request
(`h11_max_incomplete_event_size`), but waits for ever for the rest of a head, for a client that
does not read, and for the rest of a body that nobody wants; and where it has too many connections
(`limit_concurrency`) it answers in plain text.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import h11
import structlog
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from service.edges import request_id
from service.edges.places import RETRY_SECONDS
from service.edges.request_id import RequestId
from service.errors import Overloaded
from service.logs import RequestLog
from service.problem_kinds import MALFORMED_REQUEST, TOO_SLOW, Kind
from service.problems import MEDIA_TYPE, Problem
from service.seeing.metrics import Metrics
from service.seeing.requests import OTHER, RequestMetrics
from service.settings import Settings

HEAD_BYTES = 16 * 2**10  # of a request
SENT_AWAY = 100  # connections beyond the most that get an answer; further ones are cut off
DRAINED = 4 * 2**10  # bytes that a reader has to take in `reader_seconds`
LINGER_SECONDS = 2.0  # for the rest of a body, after the last answer
LOOKS = 4  # in the shortest time limit

log = structlog.get_logger("surety.connections")


@dataclass(frozen=True)
class ConnectionLimits:
    """What one process allows.

    Attributes:
        most: connections at the same time.
        header_seconds: within which the head of a request has to arrive.
        reader_seconds: after which a client that reads nothing is cut off.
    """

    most: int
    header_seconds: float
    reader_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> "ConnectionLimits":
        """Read the settings."""
        return cls(settings.max_connections, settings.header_seconds, settings.reader_seconds)

    @property
    def look_seconds(self) -> float:
        """Time between two looks at all connections."""
        return min(1.0, self.header_seconds / LOOKS, self.reader_seconds / LOOKS)


class EdgeProtocol(H11Protocol):
    """One connection."""

    limits: ClassVar[ConnectionLimits]
    metrics: ClassVar[Metrics]
    _head_since: float | None = None  # it is waited for the head, or the unwanted rest of a body
    _unread: tuple[float, int] | None = None  # since when so many bytes of answers wait
    lingers_since: float | None = None  # the last answer has been given, and a body still comes
    _read = False  # whether the client has read much since then

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Send it away where there are too many."""
        super().connection_made(cast("asyncio.Transport", _Lingering(transport, self)))
        self._head_since = time.monotonic()
        if len(self.connections) > self.limits.most + SENT_AWAY:
            transport.abort()
        elif len(self.connections) > self.limits.most:
            self.app = RequestMetrics(RequestId(_closing), self.metrics, ())

    def data_received(self, data: bytes) -> None:
        """Throw away what comes after the last answer."""
        if self.lingers_since is None:
            super().data_received(data)

    def resume_writing(self) -> None:
        """Note that the client reads."""
        self._read = True
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed request with a problem, and close."""
        # The text of h11 is not told: it may hold what the client sent.
        detail = "the head of the request cannot be read"
        if "Host" in str(sys.exception()):
            detail += ": a request has one header Host, neither none nor several"
        self._refuse(MALFORMED_REQUEST, detail)

    def look(self, now: float) -> None:
        """End the connection if it has been too slow for too long.

        Args:
            now: of the monotonic clock.
        """
        self._look_for_reader(now)
        if self.lingers_since is not None:
            if now - self.lingers_since > LINGER_SECONDS:
                self.transport.abort()
        elif not self.transport.is_closing():
            self._look_for_head(now)

    def _look_for_head(self, now: float) -> None:
        answered = self.cycle is None or self.cycle.response_complete
        head = self.conn.their_state is h11.IDLE and (
            self.cycle is None or bool(self.conn.trailing_data[0])
        )
        rest = self.conn.their_state is h11.SEND_BODY
        if not (answered and (head or rest)):
            self._head_since = None
        elif self._head_since is None:
            self._head_since = now
        elif now - self._head_since > self.limits.header_seconds:
            if head and self.conn.trailing_data[0]:
                self._refuse(TOO_SLOW, "the head of the request did not arrive in time")
            else:
                self.transport.close()

    def _look_for_reader(self, now: float) -> None:
        size = self.transport.get_write_buffer_size()
        if not size:
            self._unread = None
        elif self._unread is None or self._read or size <= self._unread[1] - DRAINED:
            self._unread, self._read = (now, size), False
        elif now - self._unread[0] > self.limits.reader_seconds:
            log.warning("a client does not read its answer", bytes=size)
            self.transport.abort()

    def _refuse(self, kind: Kind, detail: str) -> None:
        name = request_id.new()  # that of the client has not been read
        self.metrics.answered(OTHER, OTHER, kind.status, 0.0)
        with request_id.saying(name):
            log.info("refused before there was a request", status=kind.status, detail=detail)
            body = json.dumps(Problem(kind, detail).describe("/")).encode()
        headers = [
            (request_id.HEADER.lower().encode(), name.encode()),
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            start = h11.Response(status_code=kind.status, headers=headers, reason=b"")
            for event in (start, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Lingering:
    """A transport that lets the client finish its body before it closes the connection.

    Else the system answers the rest of the body with a reset, and an answer that the client has
    not read by then is lost: such as that there is no room for the body (RFC 9112, section 9.6).
    """

    def __init__(self, transport: asyncio.Transport, protocol: EdgeProtocol) -> None:
        self._transport, self._protocol = transport, protocol

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close in order."""
        protocol, transport = self._protocol, self._transport
        if protocol.lingers_since is not None or transport.is_closing():
            return
        if protocol.conn.their_state is not h11.SEND_BODY or not transport.can_write_eof():
            transport.close()
            return
        try:
            transport.write_eof()
        except OSError:  # the client has gone, which the event loop has not told yet
            transport.abort()
            return
        protocol.lingers_since = time.monotonic()
        protocol.flow.resume_reading()


def protocol_of(limits: ConnectionLimits, metrics: Metrics) -> type[EdgeProtocol]:
    """Return the protocol for `uvicorn.Config(http=…)`."""
    return type("LimitedProtocol", (EdgeProtocol,), {"limits": limits, "metrics": metrics})


def config_of(app: FastAPI, settings: Settings, **more: Any) -> Config:  # noqa: ANN401
    """Return a configuration of uvicorn in which connections are limited.

    Args:
        app: what is served.
        settings: the deployment's.
        more: further arguments of `uvicorn.Config`.
    """
    return Config(
        app,
        http=protocol_of(ConnectionLimits.of(settings), app.state.metrics),
        ws="none",
        h11_max_incomplete_event_size=HEAD_BYTES,
        log_config=None,
        access_log=False,  # the application writes its own
        **more,
    )


async def watch_connections(state: ServerState, limits: ConnectionLimits) -> None:
    """Look after all connections of a server, until cancelled."""
    while True:
        await asyncio.sleep(limits.look_seconds)
        now = time.monotonic()
        for connection in [*state.connections]:
            if isinstance(connection, EdgeProtocol):
                connection.look(now)


async def _too_many(scope: Scope, receive: Receive, send: Send) -> None:
    raise Overloaded("there are too many connections: try again later", RETRY_SECONDS)


async def _closing(scope: Scope, receive: Receive, send: Send) -> None:
    async def closing(message: Any) -> None:  # noqa: ANN401
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    await RequestLog(_too_many)(scope, receive, closing)
