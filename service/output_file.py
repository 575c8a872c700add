"""The file of --output: checked before anything is spent, then written whole or not at all."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from service.errors import BadRequest


def check_output(path: Path, *, force: bool, inputs: Sequence[Path] = ()) -> None:
    """See that the file can be written, before a run costs anything.

    Args:
        path: where the certificates will go.
        force: whether a file may be replaced.
        inputs: the pictures, none of which it may be.

    Raises:
        BadRequest: if it exists and may not be replaced, or its folder cannot be written to.
    """
    try:
        mode = _mode(path)
        if mode is not None:
            _check_existing(path, mode, force, inputs)
        if mode is None or stat.S_ISREG(mode):
            aside = _aside(_target(path))
            aside.touch(exist_ok=False)
            aside.unlink()
    except FileNotFoundError:
        raise BadRequest(f"--output {path}: its folder does not exist", "output") from None
    except PermissionError:
        raise BadRequest(f"--output {path} may not be written by this user", "output") from None
    except OSError as error:
        raise BadRequest(f"--output {path} cannot be written: {error.strerror}", "output") from None


def write_output(path: Path, content: str | bytes, *, force: bool) -> None:
    """Write a file in one step: a reader sees all of it or nothing; see :func:`streamed`."""
    # A lone surrogate (of a file name, say) comes out as what JSON calls it: \udcff.
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    with streamed(path, force=force) as file:
        file.write(data)


@contextlib.contextmanager
def streamed(path: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """Give a file to write to; it gets its name at the end, unless there was an error.

    Devices and pipes are written straight into, and a link stays: its target is replaced.

    Args:
        path: as `check_output` has found it good.
        force: whether a file may be replaced.

    Raises:
        BadRequest: if it appeared meanwhile and may not be replaced, or cannot be written.
    """
    try:
        mode = _mode(path)
        if mode is None or stat.S_ISREG(mode):
            with _replacing(_target(path), force=force) as file:
                yield file
        else:
            with open(os.open(path, os.O_WRONLY), "wb") as device:
                yield device
    except FileExistsError:
        raise BadRequest(f"--output {path} exists by now; add --force to replace it") from None
    except OSError as error:
        raise BadRequest(f"--output {path} cannot be written: {error.strerror}") from None


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _check_existing(path: Path, mode: int, force: bool, inputs: Sequence[Path]) -> None:
    if stat.S_ISDIR(mode):
        raise BadRequest(f"--output {path} is a folder: name a file in it", "output")
    # One terminal may be both /dev/stdin and /dev/stdout; anything else would eat its own tail.
    if not stat.S_ISCHR(mode) and any(same_file(path, picture) for picture in inputs):
        raise BadRequest(f"--output {path} is one of the pictures: take another name", "output")
    if (stat.S_ISREG(mode) or stat.S_ISBLK(mode)) and not force:
        raise BadRequest(f"--output {path} exists: take another name, or add --force", "output")
    if not stat.S_ISREG(mode) and not os.access(path, os.W_OK):
        raise PermissionError


def same_file(path: Path, other: Path) -> bool:
    """Say whether two paths lead to one file that is there."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def _target(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _aside(target: Path) -> Path:
    # Short whatever the target is called: a name has 255 bytes at most.
    return target.with_name(f".surety-{secrets.token_hex(4)}")


@contextlib.contextmanager
def _replacing(target: Path, *, force: bool) -> Iterator[IO[bytes]]:
    aside = _aside(target)
    try:
        with aside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if not force:
            _claim(aside, target)
        elif target.exists():
            aside.chmod(stat.S_IMODE(target.stat().st_mode))  # what was private stays so
        aside.replace(target)  # if they are linked by now, this does nothing
    finally:
        # An error here must not hide the one that led here.
        with contextlib.suppress(OSError):
            aside.unlink()


def _claim(aside: Path, target: Path) -> None:
    """Take a name that nobody has: unlike a rename, this never replaces a file."""
    try:
        os.link(aside, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        target.touch(exist_ok=False)
