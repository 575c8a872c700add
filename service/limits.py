"""How large a request body may be, counted in bytes that really arrive.

FastAPI 0.165 has a setting of this kind (`max_body_size`), but answers a declared length over
the limit with plain text, whatever the application would say. This one lets the application's
problem answer through.
"""

import asyncio
import contextlib
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FORM_OVERHEAD = 256 * 2**10  # boundaries, part headers and text fields beside the file
MAX_TEXT_FIELD = 64 * 2**10
MAX_FIELDS = 64
MAX_FILES = 8
DRAIN_FACTOR, DRAIN_SECONDS = 4, 5.0


class BodyTooLarge(HTTPException):
    """The body is over the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            413,
            f"the body is over the limit of {limit:,} bytes: send less at once",
            {"Connection": "close"},
        )


class BodyLimit:
    """ASGI middleware that ends a request whose body grows over the limit.

    Args:
        app: what it wraps.
        limit: bytes of a whole body.
        routes: other limits, by path.
    """

    def __init__(self, app: ASGIApp, limit: int, routes: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._limit, self._routes = limit, dict(routes or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what the application receives."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._routes.get(scope["path"], self._limit)
        too_long = (declared_length(headers) or 0) > limit
        received = 0

        async def counted() -> Message:
            nonlocal received
            if too_long:
                await _drain(headers, receive, limit)
                raise BodyTooLarge(limit)
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    await _drain(headers, receive, limit)
                    raise BodyTooLarge(limit)
            return message

        await self._app(scope, counted, send)


def declared_length(headers: Headers) -> int | None:
    """Return the bytes that a request says its body has; None if it does not say.

    One that comes in chunks has as many as come, whatever is said beside it (RFC 9112, 6.3).
    """
    if "transfer-encoding" in headers:
        return None
    told = headers.get("content-length", "")
    return int(told[:20]) if told.isascii() and told.isdigit() else None


def has_body(headers: Headers) -> bool:
    """Tell whether a request has a body (RFC 9112, section 6.3)."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def _drain(headers: Headers, receive: Receive, limit: int) -> None:
    """Throw the rest away, within bounds: a client that still sends would miss the answer."""
    if "expect" in headers:  # it waits for our word before it sends
        return
    dropped = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while dropped < DRAIN_FACTOR * limit:
                message = await receive()
                dropped += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
