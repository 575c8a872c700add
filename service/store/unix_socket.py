"""The socket of the embedded store: a path that is short enough, and a word with the server."""

import contextlib
import hashlib
import os
import secrets
import socket
import stat
import tempfile
from pathlib import Path

from service.errors import ConfigurationError

NAME = "socket"
LONGEST = 100  # bytes of a path; systems allow 103 to 107
_LINK = "store"


def address(folder: Path) -> Path:
    """Return a path to the socket in a folder that a client can connect to.

    The socket always lies in the folder. Where its path is too long for one, the way there is
    a link in a short directory; it holds nothing, and `reachable` makes it whenever it is gone.
    """
    direct = folder / NAME
    if _fits(direct):
        return direct
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    way = Path(f"surety-{os.geteuid()}-{digest}", _LINK, NAME)
    places = [Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108  owner and mode are checked
    return next(place / way for place in places if _fits(place / way))


def reachable(folder: Path) -> Path:
    """Make sure of the way to the socket; returns its address.

    Raises:
        ConfigurationError: if the short directory is somebody else's.
    """
    path = address(folder)
    if path.parent != folder:
        _own_directory(path.parent.parent)
        _link(path.parent, folder.resolve())
    return path


def forget(folder: Path) -> None:
    """Remove the way to the socket."""
    link = address(folder).parent
    if link != folder:
        link.unlink(missing_ok=True)
        link.parent.rmdir()


def ask(path: Path, command: str, seconds: float) -> bytes | None:
    """Send a command without arguments.

    Returns:
        The reply; None if there was none in time.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(os.fspath(path))
            connection.sendall(f"{command}\r\n".encode())
            with connection.makefile("rb") as replies:
                reply = replies.readline()
                if reply.startswith(b"$"):
                    reply = replies.read(int(reply[1:]))
    except OSError:
        return None
    return reply or None


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= LONGEST


def _own_directory(place: Path) -> None:
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    found = place.lstat()
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != os.geteuid()
        or stat.S_IMODE(found.st_mode) & 0o077
    ):
        raise ConfigurationError(
            f"{place} must be a directory that belongs to this user alone (mode 0700): remove it, "
            "or set SURETY_DATA_DIR to a shorter path"
        )


def _link(link: Path, target: Path) -> None:
    try:
        if link.readlink() == target:
            return
    except FileNotFoundError:
        pass
    aside = link.with_name(f".{os.getpid()}.{secrets.token_hex(4)}")
    aside.symlink_to(target)
    aside.replace(link)
