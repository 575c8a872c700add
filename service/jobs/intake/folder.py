"""Pictures out of a folder on this machine."""

import functools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from service.errors import BadArchive, UnreadablePicture
from service.jobs.intake.entries import ArchiveLimits, Member, Source, too_long
from service.jobs.intake.names import is_clutter

_DIGITS = re.compile("([0-9]+)")
# A pipe must not keep us waiting, nor a link that came in between lead elsewhere.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)


class Folder(Source):
    """All pictures of a folder and the folders in it, in natural order: 2.jpg before 10.jpg.

    Links to files within the folder are followed; those that lead out of it, and those to
    folders, fail alone. So does what cannot be read.

    Args:
        path: of the folder.
        limits: how much is taken in; `max_ratio` has no meaning here.

    Raises:
        BadArchive: if it is no folder.
    """

    what = "folder"

    def __init__(self, path: Path, limits: ArchiveLimits | None = None) -> None:
        super().__init__(limits or ArchiveLimits())
        try:
            self._root = path.resolve(strict=True)
        except (OSError, RuntimeError):
            raise BadArchive(f"there is no folder {path}") from None
        if not self._root.is_dir():
            raise BadArchive(f"{path} is no folder")

    def _members(self) -> Iterator[Member]:
        try:
            waiting = [_sorted(self._root)]
        except OSError as error:
            raise BadArchive(f"the folder cannot be read: {error.strerror}") from None
        begin = len(os.path.join(self._root, ""))
        while waiting:  # not by recursion: folders may be nested more deeply than Python's calls
            found = next(waiting[-1], None)
            if found is None:
                waiting.pop()
                continue
            name = found.path[begin:]
            if not found.is_dir(follow_symlinks=False):
                read = functools.partial(
                    read_file, found.path, self.limits.max_entry_bytes, self._root
                )
                yield Member(name, read)
                continue
            yield Member(name, None)
            if is_clutter(name):
                continue
            try:
                waiting.append(_sorted(found.path))
            except OSError as error:
                yield Member(name, functools.partial(_fail, error))


def read_file(path: str | Path, most: int, root: Path | None = None) -> bytes:
    """Read a picture of this machine.

    Args:
        path: of the file.
        most: bytes it may have.
        root: a resolved folder that links may not lead out of; None if they may.

    Raises:
        UnreadablePicture: if it is a link that leads out, no file, or too large.
        OSError: if it cannot be read.
    """
    real = os.path.realpath(path, strict=True)
    if root is not None and not Path(real).is_relative_to(root):
        raise UnreadablePicture(
            "it is a link that leads out of the folder: put the file itself there"
        )
    if stat.S_ISDIR(os.stat(real).st_mode):
        raise UnreadablePicture("it is a link to a folder, which is not followed")
    with open(os.open(real, _FLAGS), "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise UnreadablePicture("it is a pipe, a socket or a device, not a file")
        data = b"" if state.st_size > most else file.read(most + 1)
    size = max(state.st_size, len(data))  # it may grow meanwhile
    if size > most:
        raise too_long(size, most)
    return data


def natural(name: str) -> tuple[list[str | int], str]:
    """Return the key of the natural order: numbers by their value, capitals beside small ones."""
    parts: list[str | int] = list(_DIGITS.split(name.casefold()))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return parts, name


def _sorted(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return iter(sorted(found, key=lambda one: natural(one.name)))


def _fail(error: OSError) -> bytes:
    raise error
