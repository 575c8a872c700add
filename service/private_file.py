"""A file that its owner alone may read, replaced whole or not at all, one writer at a time."""

import contextlib
import errno
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from service.errors import ConfigurationError
from service.store.locks import FileLock

PATIENCE = 10.0  # seconds; a writer needs a few milliseconds
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_private(path: Path) -> tuple[str, float] | None:
    """Return the text and the time of the last change, or None if there is no such file.

    A link is refused: writing would replace the link and leave its target as it was, and then
    two files would each look like the right one.

    Raises:
        ConfigurationError: if it is no regular file, others than its owner may use it, or it
            cannot be read.
    """
    try:
        # Without waiting: a pipe of this name would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ConfigurationError(f"{path} is a link: put the file itself there") from None
        raise unusable(path, error) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigurationError(f"{path} is no regular file")
        if found.st_mode & OTHERS:
            raise ConfigurationError(
                f"{path} may be read or changed by others than its owner: if nobody has, "
                f"chmod 600 {shlex.quote(str(path))}"
            )
        with open(descriptor, "rb", closefd=False) as file:
            return file.read().decode("ascii"), found.st_mtime
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is damaged: it holds other than ASCII") from None
    except OSError as error:
        raise unusable(path, error) from None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Let one process at a time change a file; makes its folder if there is none.

    Raises:
        ConfigurationError: if the folder cannot be written to, or another process does not end.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A file of its own: the one it stands for is replaced, and a lock goes with the old one.
        lock = FileLock(path.with_name(f".{path.name}.lock"))
    except OSError as error:
        raise unusable(path, error) from None
    with lock:
        try:
            _give_to_owner_of(path.parent, lock.descriptor)
            taken = lock.wait(PATIENCE)
        except OSError as error:
            raise unusable(path, error) from None
        if not taken:
            raise ConfigurationError(
                f"another process has been changing {path} for {PATIENCE:g} s: end it, or try again"
            )
        yield


def replace_private(path: Path, text: str) -> None:
    """Write a file in one step; the caller holds its lock.

    Raises:
        ConfigurationError: if it cannot be written; then it is as it was.
    """
    # One name, so that a process that is killed leaves one such file at most.
    aside = path.with_name(f".{path.name}.new")
    try:
        aside.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(aside, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            _give_to_owner_of(path.parent, descriptor)
            file.write(text.encode("ascii"))
            file.flush()
            os.fsync(descriptor)
        os.replace(aside, path)
        _settle(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise unusable(path, error) from None


def unusable(path: Path, error: OSError) -> ConfigurationError:
    """Say why a file of the data directory cannot be used, and what to do."""
    folder = path.parent
    if folder.exists() and not folder.is_dir():
        return ConfigurationError(f"{folder} is a file: SURETY_DATA_DIR names a directory")
    return ConfigurationError(
        f"{path} cannot be used ({error.strerror or type(error).__name__}): make {folder} "
        "writable for this user, or set SURETY_DATA_DIR"
    )


def _give_to_owner_of(folder: Path, descriptor: int) -> None:
    """Leave what root writes to the service's own user, who could not read it otherwise."""
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _settle(folder: Path) -> None:
    """Make a new name in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
