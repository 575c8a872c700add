"""Where a gRPC service is, and whether the way there is encrypted."""

import ipaddress
from urllib.parse import urlsplit

from adapters.errors import NotConfigured


def target_of(address: str, what: str) -> tuple[str, bool]:
    """Return host:port, and whether to use TLS: not for this machine, nor where http:// stands.

    Args:
        address: HOST or HOST:PORT, perhaps with https:// or http:// before it.
        what: it is, for messages.

    Raises:
        NotConfigured: if it makes no sense.
    """
    split = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = split.hostname or "", split.port
    except ValueError:
        host, port = "", None
    rest = split.path.strip("/") or split.query or split.fragment or split.username
    if not host or rest or split.scheme not in ("", "http", "https"):
        raise NotConfigured(
            f"{what} must be HOST or HOST:PORT, with https:// or http:// before it if need be"
        )
    secure = split.scheme == "https" or not (split.scheme or _is_here(host))
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port or (443 if secure else 80)}", secure


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
