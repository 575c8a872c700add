"""A file of --output that is too large for memory: there once it is whole, or not at all."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from service.errors import BadRequest


@contextlib.contextmanager
def streamed(path: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """Give a file to write to; it gets its name at the end, unless there was an error.

    Args:
        path: as `output_file.check_output` has found it good. Devices and pipes are written
            straight into, and of a link the target is replaced.
        force: whether a file may be replaced.

    Raises:
        BadRequest: if it appeared meanwhile and may not be replaced, or cannot be written.
    """
    target = Path(os.path.realpath(path))
    aside = target.with_name(f".surety-{secrets.token_hex(4)}")
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            with open(os.open(target, os.O_WRONLY), "wb") as device:
                yield device
            return
        with aside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if not force:
            os.link(aside, target)  # unlike a rename it replaces nothing
        elif target.exists():
            aside.chmod(stat.S_IMODE(target.stat().st_mode))  # what was private stays so
        aside.replace(target)  # if they are linked by now, this does nothing
    except FileExistsError:
        raise BadRequest(f"--output {path} exists by now; add --force to replace it") from None
    except OSError as error:
        raise BadRequest(f"--output {path} cannot be written: {error.strerror}") from None
    finally:
        # An error here must not hide the one that led here.
        with contextlib.suppress(OSError):
            aside.unlink()
