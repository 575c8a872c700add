"""The rate of requests of an API key, over all processes of a deployment.

Requests that look (GET, HEAD) are counted apart and let through at ten times the rate, so that
whoever follows a run or a job does not lose the requests that begin one.
"""

import math

from starlette.types import ASGIApp, Receive, Scope, Send

from service.access import away
from service.access.api_key import ApiKey
from service.access.caller import Caller
from service.errors import ServiceError, StoreError, TooManyRequests
from service.guard import SAFE
from service.jobs.rate_text import written_rate
from service.problems import instance_of, problem_of
from service.store.usage import RedisUsage

LOOKS = 10  # for each request that does something


class RequestRate:
    """ASGI middleware that answers 429 where an API key asks too fast, before a body is read.

    Args:
        app: what it wraps; its `state.surety` is an opened deployment, and whoever wraps this has
            set `state.caller` of the request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a request, then serve it."""
        caller: Caller | None = scope.get("state", {}).get("caller")
        if scope["type"] == "http" and caller is not None and caller.key is not None:
            try:
                await self._keep(scope, caller.key)
            except ServiceError as error:
                await problem_of(error).response(instance_of(scope))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _keep(self, scope: Scope, key: ApiKey) -> None:
        usage: RedisUsage = scope["app"].state.surety.state.usage
        if not away.answered_anyhow(scope):
            await keep_rate(usage, key, scope["method"])
        elif not away.is_away(scope):
            try:
                await away.soon(keep_rate(usage, key, scope["method"]))
            except StoreError:
                away.mark_away(scope)


async def keep_rate(usage: RedisUsage, key: ApiKey, method: str) -> None:
    """Let a request through at its key's rate; requests of one second may come at once.

    Args:
        usage: of the deployment.
        key: that the request has shown.
        method: of the request.

    Raises:
        TooManyRequests: if the key asks too fast.
        StoreError: if the store does not answer.
    """
    if key.rate is None:
        return
    looks = method in SAFE
    name, rate = (f"{key.id}:looks", LOOKS * key.rate) if looks else (key.id, key.rate)
    seconds = await usage.admit(name, rate, max(1, math.ceil(rate)))
    if seconds:
        what = "requests that look" if looks else "requests"
        raise TooManyRequests(
            f"the API key {key.id} has a rate of {written_rate(rate)} for {what}: try again in "
            f"{math.ceil(seconds)} s",
            math.ceil(seconds),
        )
