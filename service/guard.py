"""Keeps other people's web pages away from the service.

A page that is open in a browser on this machine can send forms to the loopback, and show what is
there as its own pictures and frames; one whose name is made to point to it (DNS rebinding) can read
the answers too. They would spend the deployment's money and look into it. A browser tells on them
by the headers Origin, Sec-Fetch-Site and Host. Links lead here from anywhere.
"""

import ipaddress
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

SAFE = ("GET", "HEAD", "OPTIONS")
PROBES = ("/health/live", "/health/ready")
"""Balancers ask by whatever address they know, and a page that looks learns nothing."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """ASGI middleware that refuses foreign requests with 403.

    Args:
        app: what it wraps.
        host: address that the service listens on.
        allowed: names under which clients may reach it, as in `Settings.allowed_hosts`.
        origins: whose pages may call it all the same, as browsers write them.
    """

    def __init__(
        self, app: ASGIApp, host: str, allowed: str, origins: Collection[str] = ()
    ) -> None:
        self._app, self._origins = app, frozenset(origins)
        self._own = frozenset(host_names(allowed))
        self._anybody = any_name_will_do(host, allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the headers, then serve."""
        if scope["type"] == "http" and scope["path"] not in PROBES:
            self._check(scope["method"], Headers(scope=scope))
        await self._app(scope, receive, send)

    def _check(self, method: str, headers: Headers) -> None:
        host = _place(f"//{headers.get('host', '')}")
        known = self._anybody or host.name in self._own or is_loopback(host.name)
        if not known and "host" in headers:
            raise HTTPException(
                403,
                f"this service is not known as {host.name[:80]!r}: use the address that it "
                "printed, or have SURETY_ALLOWED_HOSTS name it",
            )
        if headers.get("origin") in self._origins:
            return
        origin = _place(headers["origin"]) if "origin" in headers else None
        # A proxy may have put its own address in the Host, so its configured names count too.
        other = origin is not None and origin != host and origin.name not in self._own
        if method in SAFE and _follows_link(headers):
            return
        if other or headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise HTTPException(403, "requests from other sites' web pages are not answered")


def _follows_link(headers: Headers) -> bool:
    """Tell whether a browser opens the answer as a page of its own, not for or inside another's."""
    mode, dest = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest", "document")
    return mode == "navigate" and dest in ("document", "empty")  # empty: a download


class _Place(NamedTuple):
    """Host name and port, as far as the port is not the scheme's own."""

    name: str
    port: int | None


def _place(url: str) -> _Place:
    """Read an Origin, or a Host behind two slashes; nowhere if it is malformed."""
    try:
        parts = urlsplit(url)
        port = None if parts.port in (80, 443) else parts.port
        return _Place((parts.hostname or "").removesuffix("."), port)
    except ValueError:
        return _Place("", None)


def any_name_will_do(host: str, allowed: str) -> bool:
    """Tell whether the service answers under whatever name it is called by.

    Whoever listens on a public address is reached under names that nobody has told us.

    Args:
        host: address that the service listens on.
        allowed: as in `Settings.allowed_hosts`.

    Raises:
        ValueError: if `allowed` cannot be read.
    """
    own = host_names(allowed)
    return "*" in own or (not own and not is_loopback(host))


def host_names(text: str) -> list[str]:
    """Read the setting `allowed_hosts`.

    Raises:
        ValueError: if an entry is no bare host name or address.
    """
    names = [name.strip().lower().removesuffix(".") for name in text.split(",") if name.strip()]
    for name in names:
        place = _place(f"//[{name}]" if name.count(":") > 1 else f"//{name}")
        if name != "*" and (place != (name, None) or " " in name):
            raise ValueError(f"{name[:80]!r} is no host name: write it without scheme and port")
    return names


def is_loopback(host: str) -> bool:
    """Tell whether a name or address is the loopback's own."""
    if host.lower() in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
