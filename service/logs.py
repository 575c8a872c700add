"""The log: JSON lines, one for each request. Never a picture, a file name, a field or a secret."""

import asyncio
import time
from typing import cast

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.caller import Caller
from service.access.token import scrubbed
from service.edges.outcome import Outcome
from service.errors import ShuttingDown
from service.log_lines import configure
from service.problems import instance_of, problem_of

__all__ = ["RequestLog", "configure"]

log = structlog.get_logger("surety.requests")


class RequestLog:
    """ASGI middleware: one line for each request, and a problem answer for unknown exceptions."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and log it once it has been answered to the end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        outcome = Outcome()
        noting = outcome.sending(send)
        scope.setdefault("state", {})
        try:
            await self._app(scope, outcome.receiving(receive), noting)
        except asyncio.CancelledError:
            # The server ends and waits no longer: for the rest of an upload, say.
            if outcome.begun:
                raise
            ending = ShuttingDown("the service is being ended: send the request again later")
            await problem_of(ending).response(instance_of(scope))(scope, receive, noting)
        except Exception as error:
            problem = problem_of(error)  # logs what it does not know
            if outcome.begun:  # too late for another answer: the server cuts the connection
                raise
            await problem.response(instance_of(scope))(scope, receive, noting)
        finally:
            state = cast("dict[str, object]", scope["state"])
            caller = state.get("caller")
            # Prometheus asks again and again, and tells on its own page what it was answered.
            tell = log.debug if (scope["path"], outcome.status) == ("/metrics", 200) else log.info
            tell(
                "request",
                method=scope["method"],
                path=scrubbed(scope["path"]),
                status=outcome.status,
                ms=round(1000 * (time.monotonic() - started), 1),
                run=state.get("run_id"),
                key=caller.key_id if isinstance(caller, Caller) else None,
            )
