"""HEAD wherever there is GET (RFC 9110, section 9.3.2): probes and caches ask so."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """ASGI middleware that answers HEAD as GET, without the body.

    Args:
        app: what it wraps.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        told = asyncio.Event()

        async def headers_only(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                told.set()  # whatever else comes, for hours perhaps, is nobody's

        async def gone_when_told() -> Message:
            coming = asyncio.ensure_future(receive())
            waiting = asyncio.ensure_future(told.wait())
            try:
                await asyncio.wait({coming, waiting}, return_when=asyncio.FIRST_COMPLETED)
                return {"type": "http.disconnect"} if told.is_set() else await coming
            finally:
                coming.cancel()
                waiting.cancel()

        inner = {**scope, "method": "GET"}
        try:
            await self._app(inner, gone_when_told, headers_only)
        finally:
            if "route" in inner:
                scope["route"] = inner["route"]  # for those outside, who count by it
