"""Keeps other people's web pages away from the service.

A page that is open in a browser on this machine can send forms to the loopback, and one whose
name is made to point to it (DNS rebinding) can read the answers too: both would spend the
deployment's money. A browser tells on them by the headers Origin, Sec-Fetch-Site and Host.
"""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

SAFE = ("GET", "HEAD", "OPTIONS")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """ASGI middleware that refuses foreign requests with 403.

    Args:
        app: what it wraps.
        host: address that the service listens on.
        allowed: names under which clients may reach it, as in `Settings.allowed_hosts`.
    """

    def __init__(self, app: ASGIApp, host: str, allowed: str) -> None:
        self._app = app
        names = frozenset(name.strip().lower() for name in allowed.split(",") if name.strip())
        # Whoever listens on a public address is reached under names that nobody has told us.
        anybody = "*" in names or (not names and not is_loopback(host))
        self._names = None if anybody else names | LOOPBACK

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the headers, then serve."""
        if scope["type"] == "http":
            self._check(scope["method"], Headers(scope=scope))
        await self._app(scope, receive, send)

    def _check(self, method: str, headers: Headers) -> None:
        host = headers.get("host", "")
        name = (urlsplit(f"//{host}").hostname or "") if host else "localhost"
        if self._names is not None and name not in self._names and not is_loopback(name):
            raise HTTPException(
                403,
                f"this service is not known as {name[:80]!r}: use the address that it printed, or "
                "have SURETY_ALLOWED_HOSTS name it",
            )
        if method in SAFE:
            return
        origin = headers.get("origin")
        other = origin is not None and urlsplit(origin).netloc != host
        if other or headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise HTTPException(403, "requests from other sites' web pages are not answered")


def is_loopback(host: str) -> bool:
    """Tell whether a name or address is the loopback's own."""
    if host.lower() in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
