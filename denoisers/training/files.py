"""Files of a run, written whole or not at all, and the folder that they are in."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from denoisers.errors import BadCheckpoint, CannotSave


def write_whole(path: Path, data: bytes) -> None:
    """Write aside and move into place: whatever happens, the old file stays or the new one is.

    Args:
        path: what to write.
        data: all of it.

    Raises:
        CannotSave: if it cannot be written.
    """
    aside = path.with_name(f"{path.name}.tmp")  # one name: what a kill leaves is written over
    with told(path):
        try:
            with aside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise


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
    """
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
