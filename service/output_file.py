"""The file of --output: checked before anything is spent, then written whole or not at all."""

import contextlib
import os
import secrets
from pathlib import Path

from service.errors import BadRequest


def check_output(path: Path, *, force: bool) -> None:
    """See that the file can be written, before a run costs anything.

    Raises:
        BadRequest: if it exists and may not be replaced, or its folder cannot be written to.
    """
    if path.is_dir():
        raise BadRequest(f"--output {path} is a folder: name a file in it", "output")
    if path.exists() and not force:
        raise BadRequest(f"--output {path} exists: take another name, or add --force", "output")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise BadRequest(
            f"--output {path}: its folder does not exist or cannot be written to", "output"
        )


def write_output(path: Path, text: str, *, force: bool) -> None:
    """Write a file in one step: a reader sees all of it or nothing.

    Raises:
        BadRequest: if it appeared meanwhile and may not be replaced, or cannot be written.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with aside.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if force:
            aside.replace(path)
        else:
            os.link(aside, path)  # unlike a rename it never replaces a file
    except FileExistsError:
        raise BadRequest(f"--output {path} exists by now; add --force to replace it") from None
    except OSError as error:
        raise BadRequest(f"--output {path} cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()
