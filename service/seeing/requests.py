"""Counts requests and how long they took, by the template of their route."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.seeing.metrics import Metrics

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"  # in place of what a client made up
GONE = 499  # nobody waited for the answer


class RequestMetrics:
    """ASGI middleware, around all others.

    Args:
        app: what it wraps.
        metrics: counts.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and count it once it has been answered to the end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), GONE

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._metrics.open_requests.track_inprogress():
            try:
                await self._app(scope, receive, noting)
            finally:
                method = scope["method"] if scope["method"] in METHODS else OTHER
                seconds = time.monotonic() - began
                self._metrics.answered(method, route_of(scope), status, seconds)


def route_of(scope: Scope) -> str:
    """Return the template of a request's route, such as /jobs/{job_id}."""
    return getattr(scope.get("route"), "path_format", None) or OTHER
