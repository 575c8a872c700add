"""The end of the service, as clients meet it.

From the signal on it is not ready, takes no new work and closes connections, so that a balancer
and its clients go elsewhere; whoever already waits still gets an answer.
"""

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ShuttingDown
from service.guard import SAFE
from service.problem_kinds import NOT_READY
from service.problems import Problem, instance_of, problem_of

READINESS = "/health/ready"


class Ending:
    """Whether the service is about to end. Begins once."""

    def __init__(self) -> None:
        self.begun = False
        self._uploads: set[asyncio.Timeout] = set()

    def begin(self) -> None:
        """Begin to end; uploads that still arrive are given up, since they have cost nothing."""
        self.begun = True
        now = asyncio.get_running_loop().time()
        for timer in self._uploads:
            timer.reschedule(now)

    def watch(self, timer: asyncio.Timeout) -> None:
        """Let the end of the service expire a wait; the end of the wait is told by `leave`."""
        self._uploads.add(timer)

    def leave(self, timer: asyncio.Timeout) -> None:
        """Forget a wait."""
        self._uploads.discard(timer)


class Closing:
    """ASGI middleware that sends new work away once the service ends.

    Args:
        app: what it wraps.
        ending: of this service.
    """

    def __init__(self, app: ASGIApp, ending: Ending) -> None:
        self._app, self._ending = app, ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what asks for no work."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self._ending.begun:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        if not self._ending.begun:
            await self._app(scope, receive, closing)
            return
        told: Problem | None = None
        if scope["path"] == READINESS:
            told = Problem(NOT_READY, "the service is being ended", headers={"Retry-After": "30"})
        elif scope["method"] not in (*SAFE, "DELETE"):
            error = ShuttingDown("the service is being ended: send the request again")
            told = problem_of(error)
        app = self._app if told is None else told.response(instance_of(scope))
        await app(scope, receive, closing)
