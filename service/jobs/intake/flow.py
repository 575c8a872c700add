"""A file read once from front to back, decompressed on the way, and never to more than agreed."""

import os
from collections.abc import Callable
from typing import BinaryIO

from service.errors import ArchiveTooLarge, BadArchive
from service.jobs.intake.inflating import BROKEN, Inflater

_CHUNK = 128 * 2**10
_LEAST_OF_A_STREAM = 1024  # bytes on average: else a few bytes of input cost a decompressor each
_FREE_STREAMS = 1000


class Flow:
    """See the module's text.

    Args:
        file: at its beginning; is not closed here.
        inflater: makes a decompressor for each of the streams in the file; None for plain files.
        magic: how a stream begins.
        most: bytes that may come out.
        too_much: returns what is raised beyond that.
    """

    def __init__(
        self,
        file: BinaryIO,
        inflater: Callable[[], Inflater] | None,
        magic: bytes,
        most: int,
        too_much: Callable[[], ArchiveTooLarge],
    ) -> None:
        self._file, self._make, self._magic = file, inflater, magic
        self._inflater = None if inflater is None else inflater()
        self._most, self._too_much = most, too_much
        self._held, self._at, self._end = b"", 0, False
        self._total, self._streams = 0, 1
        self._pending = b""  # compressed input that the decompressor has not seen

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer only at the end.

        Raises:
            BadArchive: if the compressed data are damaged or cut off.
            ArchiveTooLarge: if too much comes out.
        """
        at = self._at
        if at + size <= len(self._held):
            self._at = at + size
            return self._held[at : at + size]
        parts, missing = [], size
        while missing and (part := self._some(missing)):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def skip(self, size: int) -> bool:
        """Pass over bytes; False if the end came before.

        Raises:
            BadArchive, ArchiveTooLarge: as `read` does.
        """
        held = min(size, len(self._held) - self._at)
        self._at += held
        size -= held
        if size and self._inflater is None:
            rest = os.fstat(self._file.fileno()).st_size - self._file.tell()
            self._file.seek(min(size, rest), os.SEEK_CUR)
            return size <= rest
        while size and (part := self._some(size)):
            size -= len(part)
        return not size

    def drain(self) -> None:
        """Read to the end: only there the check sum of compressed data is.

        Raises:
            BadArchive, ArchiveTooLarge: as `read` does.
        """
        while self._inflater is not None and self._some(_CHUNK):
            pass

    def _some(self, most: int) -> bytes:
        if self._at == len(self._held):
            self._held, self._at = self._next(), 0
        part = self._held[self._at : self._at + most]
        self._at += len(part)
        return part

    def _next(self) -> bytes:
        if self._inflater is None:
            out = self._file.read(_CHUNK)
        else:
            try:
                out = self._inflated()
            except BROKEN:
                raise BadArchive(
                    "the compressed tar is damaged: send it again, or pack it again"
                ) from None
        self._total += len(out)
        if self._total > self._most:
            raise self._too_much()
        return out

    def _inflated(self) -> bytes:
        while not self._end:
            assert self._inflater is not None  # noqa: S101  plain files do not come here
            if self._inflater.eof:
                self._end = not self._begin_stream()
                continue
            if self._inflater.needs_input and not self._pending:
                self._pending = self._file.read(_CHUNK)
                if not self._pending:
                    raise BadArchive("the compressed tar is cut off: send all of it")
            pending, self._pending = self._pending, b""
            if out := self._inflater.decompress(pending, _CHUNK):
                return out
        return b""

    def _begin_stream(self) -> bool:
        """Go on with a further stream behind the first; zeros between them are padding."""
        assert self._inflater is not None  # noqa: S101  plain files do not come here
        assert self._make is not None  # noqa: S101
        rest = (self._inflater.unused_data + self._pending).lstrip(b"\0")
        while len(rest) < len(self._magic) and (more := self._file.read(_CHUNK)):
            rest = (rest + more).lstrip(b"\0")
        if not rest.startswith(self._magic):
            return False  # gzip and xz themselves pass over what comes behind, too
        self._streams += 1
        if self._streams > _FREE_STREAMS + self._total // _LEAST_OF_A_STREAM:
            raise BadArchive("the compressed tar is made of too many streams: pack it again")
        self._inflater, self._pending = self._make(), rest
        return True
