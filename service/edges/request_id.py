"""A name for each request, from the client or made here, on everything that is said about it.

It is in the answer's headers, in problems, in every line of the log, and in the record of the run
that the request begins, so in the lines of that run too, whichever process goes on with it.
Nothing is decided by it: anybody may send any.
"""

import contextlib
import re
import secrets
from collections.abc import Iterator

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-Id"
MOST = 128  # characters
NAME = "request_id"  # in the log, in problems and in the record of a run

_WELL_FORMED = re.compile(rb"[!#-&(-_a-~]{1,%d}" % MOST)  # visible ASCII without " ' and `


class RequestId:
    """ASGI middleware that names requests; the outermost, so that nothing is said without.

    Args:
        app: what it wraps.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request under its name."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = _given(scope) or new()

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        structlog.contextvars.clear_contextvars()  # of a request before it on this connection
        with saying(name):
            await self._app(scope, receive, named)


def new() -> str:
    """Return a name for a request that has none."""
    return secrets.token_hex(12)


def current() -> str | None:
    """Return the name of the request that is being served, None outside of any."""
    found = structlog.contextvars.get_contextvars().get(NAME)
    return found if isinstance(found, str) else None


@contextlib.contextmanager
def saying(name: str | None) -> Iterator[None]:
    """Say a request's name in every line of the log, and in problems.

    Args:
        name: None for no request.
    """
    if name is None:
        yield
        return
    with structlog.contextvars.bound_contextvars(**{NAME: name}):
        yield


def _given(scope: Scope) -> str | None:
    """The client's own name, if it sent one that is well formed; of several, none."""
    wanted = HEADER.lower().encode()
    found = [value for name, value in scope["headers"] if name == wanted]
    if len(found) != 1 or not _WELL_FORMED.fullmatch(found[0]):
        return None
    return str(found[0].decode("ascii"))
