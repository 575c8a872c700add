"""Files of a run, written whole or not at all, and the folder that they are in."""

import contextlib
import errno
import glob
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from denoisers.errors import BadCheckpoint, CannotSave

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

TRIES = 100  # to have a file of one's own, which others may take for what a kill has left


def write_whole(path: Path, data: bytes) -> None:
    """Write aside and move into place: whatever happens, the old file stays or the new one is.

    Args:
        path: what to write.
        data: all of it.

    Raises:
        CannotSave: if it cannot be written.
    """
    with told(path), moved_to(path) as file:
        file.write(data)


@contextlib.contextmanager
def moved_to(path: Path) -> Iterator[BinaryIO]:
    """Open a file that becomes `path` at the end, or goes away if something fails.

    It has a name of its own, since another process may be writing the same one. What kills have
    left behind is cleared away: files that nobody holds a lock on.

    Args:
        path: what to write.

    Raises:
        OSError: if it cannot be written.
    """
    clear_away(path)
    file = _opened(path)
    aside = Path(file.name)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            aside.replace(path)  # locked until then
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise


def _opened(path: Path) -> BinaryIO:
    for _ in range(TRIES):
        file = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp").open("xb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(file.name)):
                return file
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError:  # a file system without locks, where nobody clears anything away
            return file
        file.close()  # somebody clears it away, since it was not locked yet
    raise FileNotFoundError(errno.ENOENT, "others clear it away", str(path))


def clear_away(path: Path) -> None:
    """Remove what kills have left of `path`: files that nobody holds a lock on.

    Raises:
        CannotSave: on a system without locks.
    """
    _need_locks()
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def _need_locks() -> None:
    if fcntl is None:
        raise CannotSave(
            "training needs file locks, which this system lacks: train on Linux, macOS or, under "
            "Windows, in WSL"
        )


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Tell of a disk that is full, or a folder that may not be written to, by name.

    Raises:
        CannotSave: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise CannotSave(
            f"{path} cannot be written ({error.strerror}); what was there before is kept: mend "
            "that, and the same command goes on"
        ) from error


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make a folder, and keep a second run out of it.

    Raises:
        BadCheckpoint: if another run is writing there.
        CannotSave: on a system without locks.
    """
    _need_locks()
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadCheckpoint(
                f"another training is writing to {folder}: wait for it, or give another --out"
            ) from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(held)
