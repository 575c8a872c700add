"""Lets requests in: finds out who asks, before a byte of the body is read.

Only what is said to be everybody's is answered without a key, once there are keys. Without any the
service is for this machine alone, unless the deployment was told otherwise.
"""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access import away
from service.access.bearer import shown_token, shows_one_of_ours
from service.access.caller import ANYBODY, NOBODY, Caller
from service.access.known import Known, Remembered
from service.errors import LocalOnly, ServiceError, StoreError, Unauthenticated
from service.guard import is_loopback
from service.problems import instance_of, problem_of


class Door:
    """ASGI middleware that sets `request.state.caller`, or answers 401, 403 or 503.

    Args:
        app: what it wraps; its `state.known` is a :class:`service.access.known.Known`.
        public: patterns of the paths that are everybody's.
        open_to_all: whether other machines are answered while no keys are needed.
    """

    def __init__(self, app: ASGIApp, public: Sequence[re.Pattern[str]], open_to_all: bool) -> None:
        self._app = app
        self._public, self._open_to_all = tuple(public), open_to_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the headers, then serve."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = NOBODY
        if not any(pattern.match(scope["path"]) for pattern in self._public):
            try:
                caller = await self._caller(scope)
            except ServiceError as error:
                # Here and not further out, where the headers for other origins would be missing.
                await problem_of(error).response(instance_of(scope))(scope, receive, send)
                return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller:
        caller = await _found(scope)
        if caller is None:
            self._check_near(scope)
        return caller or ANYBODY

    def _check_near(self, scope: Scope) -> None:
        # Whatever server runs the application: its own check of the address is for `surety serve`.
        host = (scope.get("client") or ("",))[0]
        if not self._open_to_all and not is_loopback(host):
            raise LocalOnly(
                "there are no API keys, so this service answers its own machine alone: make one "
                "with `surety apikeys create`, or set SURETY_ALLOW_PUBLIC=true"
            )


async def _found(scope: Scope) -> Caller | None:
    """Do as `caller_of`; of what is answered without the store go by what was known before."""
    if not away.answered_anyhow(scope):
        return await caller_of(scope)
    try:
        return await away.soon(caller_of(scope))
    except StoreError:
        away.mark_away(scope)
        known: Known = scope["app"].state.known
        return await caller_of(scope, known.remembered())


async def caller_of(scope: Scope, remembered: Remembered | None = None) -> Caller | None:
    """Return who asks; None where no key is needed and none is shown.

    Args:
        scope: of the request.
        remembered: whom to go by; None for those that the store knows.

    Raises:
        Unauthenticated: if a key is needed, or one is shown that does not count.
        StoreError: if that is not known.
    """
    known: Known | Remembered = remembered or scope["app"].state.known
    shown = Headers(scope=scope).getlist("authorization")
    if not await known.needed() and not shows_one_of_ours(shown):
        return None
    token = shown_token(shown)
    if token is None:
        raise Unauthenticated(shown=False)
    return await known.caller(token)
