"""Opens the socket that the service listens on, and says plainly why it cannot."""

import errno
import ipaddress
import socket

from service.errors import ConfigurationError

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""Addresses that mean all of them, each with one under which this machine reaches itself."""


def listen(host: str, port: int, *, allow_public: bool) -> socket.socket:
    """Open a listening socket.

    Args:
        host: name or address.
        port: 0 takes a free one.
        allow_public: whether others than this machine may connect.

    Raises:
        ConfigurationError: if the address is public without leave, unknown, or taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ConfigurationError(
            f"{host[:80]!r} is no address of this machine: try --host 127.0.0.1"
        ) from None
    family, kind, protocol, _, address = found[0]
    if not allow_public and not ipaddress.ip_address(str(address[0]).split("%")[0]).is_loopback:
        raise ConfigurationError(
            f"{host} can be reached from other machines, and there are no API keys: anybody could "
            "spend your providers' money. Make one with `surety apikeys create`, take --host "
            "127.0.0.1, or say --allow-public (SURETY_ALLOW_PUBLIC)"
        )
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Here and not later: two sockets may bind one address, but only one can listen on it.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigurationError(_why(error, host, port)) from None
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL under which this machine reaches a listening socket."""
    host, port = listener.getsockname()[:2]
    reachable = EVERYWHERE.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def is_everywhere(listener: socket.socket) -> bool:
    """Tell whether it listens on every address of this machine."""
    return listener.getsockname()[0] in EVERYWHERE


def is_near(listener: socket.socket) -> bool:
    """Tell whether this machine alone can connect."""
    return ipaddress.ip_address(str(listener.getsockname()[0]).split("%")[0]).is_loopback


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use: stop what listens there, or take another one "
            "(--port 0 finds a free one)"
        )
    if error.errno == errno.EACCES:
        return f"port {port} may not be listened on by this user: take one above 1023"
    return f"cannot listen on {host}, port {port}: {error.strerror}"
