"""Counts requests and how long they took, by the template of their route."""

import time
from collections.abc import Sequence

from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.edges.outcome import Outcome
from service.seeing.metrics import Metrics

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"  # in place of what a client made up


class RequestMetrics:
    """ASGI middleware, around all others.

    Args:
        app: what it wraps.
        metrics: counts.
        routes: all there are, for requests that are refused before theirs is looked for.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Sequence[Route]) -> None:
        self._app, self._metrics, self._routes = app, metrics, tuple(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and count it once it has been answered to the end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, outcome = time.monotonic(), Outcome()
        with self._metrics.open_requests.track_inprogress():
            try:
                await self._app(scope, outcome.receiving(receive), outcome.sending(send))
            finally:
                method = scope["method"] if scope["method"] in METHODS else OTHER
                seconds = time.monotonic() - began
                self._metrics.answered(method, self._route(scope), outcome.status, seconds)

    def _route(self, scope: Scope) -> str:
        """Return the template of a request's route, such as /jobs/{job_id}."""
        if known := getattr(scope.get("route"), "path_format", None):
            return str(known)
        found = (route for route in self._routes if route.matches(scope)[0] is not Match.NONE)
        route = next(found, None)
        return OTHER if route is None else route.path_format
