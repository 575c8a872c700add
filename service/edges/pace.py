"""How slowly a body may arrive: so many seconds, and more for every byte that has come.

Only the time counts that the service waits for the client, not what itself takes.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.edges.ending import Ending
from service.errors import ShuttingDown
from service.limits import has_body


class BodyTooSlow(HTTPException):
    """The body comes below the least rate."""

    def __init__(self, received: int) -> None:
        super().__init__(
            408,
            f"only {received:,} bytes of the body have arrived in time: send faster, or less",
            {"Connection": "close"},
        )


class BodyPace:
    """ASGI middleware that gives slow uploads up.

    Args:
        app: what it wraps.
        rate: bytes a second that have to arrive at least.
        grace_seconds: how much longer a body may take.
        ending: of this service: it waits for no upload.
    """

    def __init__(self, app: ASGIApp, rate: float, grace_seconds: float, ending: Ending) -> None:
        self._app, self._ending = app, ending
        self._rate, self._grace = rate, grace_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on the body's parts as they come."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Of a request without a body nothing is waited for but that the client goes.
        waited, received, whole = 0.0, 0, not has_body(Headers(scope=scope))

        async def paced() -> Message:
            nonlocal waited, received, whole
            if whole:  # whoever asks now waits for the client to go
                return await receive()
            began = time.monotonic()
            try:
                async with self._within(self._grace + received / self._rate - waited):
                    message = await receive()
            except TimeoutError:
                if self._ending.begun:
                    raise ShuttingDown(
                        "the service is being ended: send the request again"
                    ) from None
                raise BodyTooSlow(received) from None
            waited += time.monotonic() - began
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, paced, send)

    @contextlib.asynccontextmanager
    async def _within(self, seconds: float) -> AsyncIterator[None]:
        if seconds <= 0 or self._ending.begun:
            raise TimeoutError
        async with asyncio.timeout(seconds) as timer:
            self._ending.watch(timer)
            try:
                yield
            finally:
                self._ending.leave(timer)
