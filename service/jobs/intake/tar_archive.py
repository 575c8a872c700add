"""Pictures out of a tar, plain or compressed by gzip, bzip2 or xz."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from service.errors import BadArchive, UnreadablePicture
from service.jobs.intake.entries import (
    ArchiveLimits,
    Member,
    Source,
    too_long,
    unpacks_too_far,
)
from service.jobs.intake.flow import Flow
from service.jobs.intake.inflating import (
    Inflater,
    bzip2_inflater,
    gzip_inflater,
    xz_inflater,
)
from service.jobs.intake.tar_headers import Header, damaged, headers, padding

COMPRESSIONS: dict[bytes, Callable[[], Inflater]] = {
    b"\x1f\x8b": gzip_inflater,
    b"BZh": bzip2_inflater,
    b"\xfd7zXZ\0": xz_inflater,
}
"""How a compressed file begins, and what reads it."""


class TarArchive(Source):
    """A tar; see :func:`service.jobs.intake.archive.open_archive`.

    Args:
        path: of the file.
        limits: what may come out of it.
        magic: a key of `COMPRESSIONS`, b"" for a plain tar.
    """

    def __init__(self, path: Path, limits: ArchiveLimits, magic: bytes = b"") -> None:
        super().__init__(limits)
        self._path, self._magic = path, magic

    def _members(self) -> Iterator[Member]:
        try:
            with self._path.open("rb") as file:
                packed = file.seek(0, 2)
                file.seek(0)
                flow = Flow(
                    file,
                    COMPRESSIONS.get(self._magic),
                    self._magic,
                    self.limits.unpacked(packed),
                    functools.partial(unpacks_too_far, self.limits, packed),
                )
                for header in headers(flow):
                    body = _Body(flow, header, self.limits.max_entry_bytes)
                    yield Member(header.name, None if header.folder else body.read)
                    body.finish()
                flow.drain()
        except OSError as error:
            raise BadArchive(f"the archive cannot be read: {error.strerror}") from None


class _Body:
    """The data of a member, to be read at most once."""

    def __init__(self, flow: Flow, header: Header, most: int) -> None:
        self._flow, self._header, self._most = flow, header, most
        self._left = header.size

    def read(self) -> bytes:
        header = self._header
        if header.sparse:
            raise UnreadablePicture("it is packed as a sparse file: pack it without --sparse")
        if not header.regular:
            raise UnreadablePicture("it is a link or a device: put the file itself into the tar")
        if header.size > self._most:
            raise too_long(header.size, self._most)
        data = self._flow.read(header.size)
        self._left = 0
        if len(data) < header.size:
            damaged("it ends within a file")
        return data

    def finish(self) -> None:
        """Go to the next header."""
        if not self._flow.skip(self._left + padding(self._header.size)):
            damaged("it ends within a file")
