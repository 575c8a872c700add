"""A lock of a file that the kernel lets go when its last holder dies, however it dies."""

import os
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

from service.errors import ConfigurationError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PAUSE = 0.02  # seconds between two attempts


class FileLock:
    """An advisory lock (`flock`), held by an open file that processes can inherit.

    Programs that are executed inherit it only where they are given the descriptor, and forked
    children never: a child that lives on would hold its parent's lock.

    Attributes:
        path: of the file; it is made where it is missing, and never removed.
        descriptor: of the open file; -1 once it is closed.
    """

    def __init__(self, path: Path) -> None:
        if fcntl is None:
            raise ConfigurationError(
                "the embedded store needs file locks that this system lacks: start a Redis or "
                "Valkey server (version 7 or newer) and set SURETY_REDIS_URL"
            )
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self.descriptor = os.open(path, flags, 0o600)
        _open.add(self)

    def take(self, *, shared: bool = False) -> bool:
        """Take the lock, or change its kind, if nobody else is in the way.

        Returns:
            Whether it is held now. If not, one that was held before may be lost.
        """
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self.descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def wait(self, seconds: float) -> bool:
        """Take the lock alone, as soon as it is free; returns whether it was in time."""
        end = time.monotonic() + seconds
        while not self.take():
            if time.monotonic() > end:
                return False
            time.sleep(PAUSE)
        return True

    def leave(self) -> None:
        """Close the file: the lock stays with those who inherited it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def release(self) -> None:
        """Let the lock go, whoever inherited it, and close the file."""
        if self.descriptor >= 0:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
            self.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


_open: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for lock in list(_open):
        lock.leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
