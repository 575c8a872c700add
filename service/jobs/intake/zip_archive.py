"""Pictures out of a zip: stored, deflate, bzip2 or LZMA, also zip64."""

import functools
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from service.errors import BadArchive, UnreadablePicture
from service.jobs.intake.entries import ArchiveLimits, Member, Source, too_long
from service.jobs.intake.inflating import (
    BROKEN,
    Inflater,
    bzip2_inflater,
    deflate_inflater,
    inflate,
    zip_lzma_inflater,
)
from service.jobs.intake.zip_directory import (
    LOCAL,
    LOCAL_HEADER,
    Extents,
    Record,
    find_directory,
    overlapping,
)

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # by password, by certificate, with a masked directory
_LZMA_HEAD = 9
_CHUNK = 64 * 2**10
_DAMAGED = "it is damaged inside the archive: pack it again"


class ZipArchive(Source):
    """A zip; see :func:`service.jobs.intake.archive.open_archive`.

    Args:
        path: of the file.
        limits: what may come out of it.
    """

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        super().__init__(limits)
        self._path = path

    def _members(self) -> Iterator[Member]:
        try:
            with self._path.open("rb") as file:
                packed = file.seek(0, 2)
                directory = find_directory(file, packed)
                extents = Extents(file, directory, self.limits, packed)
                for record in directory.records(file, self.limits):
                    read = functools.partial(self._read, file, record, extents)
                    folder = record.name.endswith(("/", "\\"))
                    yield Member(record.name, None if folder else read)
        except OSError as error:
            raise BadArchive(f"the archive cannot be read: {error.strerror}") from None

    def _read(self, file: BinaryIO, record: Record, extents: Extents) -> bytes:
        if record.flags & _ENCRYPTED:
            raise UnreadablePicture("it is encrypted: pack it without a password")
        if record.mode and not stat.S_ISREG(record.mode) and stat.S_IFMT(record.mode):
            raise UnreadablePicture("it is a link or a device: put the file itself into the zip")
        if record.size > self.limits.max_entry_bytes:
            raise too_long(record.size, self.limits.max_entry_bytes)
        file.seek(record.start)
        head = file.read(LOCAL_HEADER.size)
        if len(head) < LOCAL_HEADER.size or head[:4] != LOCAL:
            raise UnreadablePicture(_DAMAGED)
        (*_, flags, method, _, _, _, _, _, name_length, extra_length) = LOCAL_HEADER.unpack(head)
        if file.read(name_length) != record.raw_name or method != record.method:
            raise UnreadablePicture(
                "the archive's directory calls it otherwise than the entry itself: pack it again"
            )
        if flags & _ENCRYPTED:
            raise UnreadablePicture("it is encrypted: pack it without a password")
        start = record.start + LOCAL_HEADER.size + name_length + extra_length
        if start + record.packed > extents.end(record.start):
            overlapping()
        if extra_length:
            file.seek(start)
        return self._unpacked(file, record)

    def _unpacked(self, file: BinaryIO, record: Record) -> bytes:
        try:
            if record.method == STORED:
                if record.packed != record.size:
                    raise UnreadablePicture(_DAMAGED)
                data = file.read(record.size)
            elif record.method == LZMA:
                # Its end is not always marked: beyond the size there might come anything.
                head = file.read(min(_LZMA_HEAD, record.packed))
                chunks = _chunks(file, record.packed - len(head))
                data = inflate(zip_lzma_inflater(head, record.size), chunks, record.size)
            else:
                # One byte more, to find out about sizes that lie.
                chunks = _chunks(file, record.packed)
                data = inflate(_inflater(record.method), chunks, record.size + 1)
        except BROKEN:
            raise UnreadablePicture(_DAMAGED) from None
        if len(data) != record.size or zlib.crc32(data) != record.crc:
            raise UnreadablePicture(_DAMAGED)
        return data


def _inflater(method: int) -> Inflater:
    if method == DEFLATED:
        return deflate_inflater()
    if method == BZIP2:
        return bzip2_inflater()
    raise UnreadablePicture(
        f"it is compressed by a method (number {method}) that is not read here: pack it again, "
        "with deflate or without compression"
    )


def _chunks(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length > 0 and (chunk := file.read(min(_CHUNK, length))):
        length -= len(chunk)
        yield chunk
