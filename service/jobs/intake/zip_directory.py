"""The directory of a zip, read record by record: `zipfile` keeps all of it in memory.

What it claims is checked before anything is unpacked: how many entries there are, how large they
are in all, and that no two of them share bytes of the file (a bomb of 10 MB that unpacks to
281 TB is made of overlapping entries; Fifield, "A better zip bomb", WOOT 2019).
"""

import itertools
import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, NoReturn

from service.errors import BadArchive
from service.jobs.intake.entries import ArchiveLimits, too_many, unpacks_too_far

LOCAL, RECORD, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64, _LOCATOR64 = b"PK\x06\x06", b"PK\x06\x07"
_END_BYTES, _LOCATOR_BYTES, _END64_BYTES = 22, 20, 56
_LONGEST_COMMENT = 0xFFFF
_RECORD = struct.Struct("<4s4B4HL2L5H2L")
LOCAL_HEADER = struct.Struct("<4s2B4HL2L2H")
_CHUNK = 256 * 2**10
_MASK16, _MASK32 = 0xFFFF, 0xFFFFFFFF
_UTF8 = 0x800
_ZIP64_EXTRA, _UNICODE_EXTRA = 0x0001, 0x7075


class Record(NamedTuple):
    """An entry of the directory.

    Attributes:
        name: decoded; bytes that are no UTF-8, though they claim to be, as lone surrogates.
        raw_name: its bytes.
        flags: general purpose bits.
        method: of compression.
        crc: CRC-32 of the plain data.
        packed: bytes in the file.
        size: bytes unpacked.
        start: where its local header begins in the file.
        mode: Unix file mode; 0 where another system has written it.
    """

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    start: int
    mode: int


@dataclass(frozen=True)
class Directory:
    """Where the directory lies in the file.

    Attributes:
        start: offset of the first record.
        length: in bytes.
        count: records, as claimed; exact where `exact`, else modulo 65,536.
        shift: bytes of something else before the archive.
    """

    start: int
    length: int
    count: int
    exact: bool
    shift: int

    def records(self, file: BinaryIO, limits: ArchiveLimits) -> Iterator[Record]:
        """Yield the records in order; others may move the file's position meanwhile.

        Raises:
            BadArchive: if a record is none, or one is missing.
            ArchiveTooLarge: if there are more than allowed.
        """
        at, end, found = self.start, self.start + self.length, 0
        held, begun = b"", at  # what was read ahead, and where in the file it begins
        while at < end:
            offset = at - begun
            if len(held) - offset < _RECORD.size + 3 * _MASK16 and begun + len(held) < end:
                file.seek(at)
                held, begun, offset = file.read(min(_CHUNK, end - at)), at, 0
            record, length = _record(held, offset, self.shift)
            at += length
            found += 1
            if found > limits.max_entries:
                raise too_many("archive", limits.max_entries)
            yield record
        if found != self.count and (self.exact or (found ^ self.count) & _MASK16):
            damaged("its directory has not as many entries as it says")


def damaged(how: str) -> NoReturn:
    """Refuse the archive as a whole."""
    raise BadArchive(f"the zip is cut off or damaged: {how}; send it again, or pack it again")


def find_directory(file: BinaryIO, size: int) -> Directory:
    """Find the directory from the end of the file.

    Args:
        file: opened for reading.
        size: of the file in bytes.

    Raises:
        BadArchive: if there is none, it lies outside of the file, or in another volume.
    """
    place = _find_end(file, size)
    file.seek(place)
    end = struct.unpack("<4s4H2LH", file.read(_END_BYTES))
    _, disk, first_disk, _, count, length, offset, _ = end
    before, exact = place, False
    wide = _find_end64(file, place)
    if wide is not None:
        before, disk, first_disk, count, length, offset = wide
        exact = True
    elif count == _MASK16 and length == offset == _MASK32:
        damaged("its long (zip64) directory is missing")
    if disk or first_disk:
        raise BadArchive("the zip is one of several volumes: join them, or pack it in one file")
    start = before - length
    shift = start - offset
    if start < 0 or shift < 0:
        damaged("its directory lies outside of the file")
    return Directory(start, length, count, exact, shift)


def _find_end(file: BinaryIO, size: int) -> int:
    begin = max(0, size - _END_BYTES - _LONGEST_COMMENT)
    file.seek(begin)
    tail = file.read(size - begin)
    loose = -1
    at = tail.rfind(END)
    while at >= 0:
        if at + _END_BYTES <= len(tail):
            stop = at + _END_BYTES + int.from_bytes(tail[at + 20 : at + 22], "little")
            if stop == len(tail):
                return begin + at
            if stop < len(tail) and loose < 0:  # something was appended to the file
                loose = at
        at = tail.rfind(END, 0, at)
    if loose < 0:
        damaged("it has no directory at its end")
    return begin + loose


def _find_end64(file: BinaryIO, place: int) -> tuple[int, int, int, int, int, int] | None:
    if place < _LOCATOR_BYTES + _END64_BYTES:
        return None
    file.seek(place - _LOCATOR_BYTES)
    mark, _, offset, _ = struct.unpack("<4sLQL", file.read(_LOCATOR_BYTES))
    if mark != _LOCATOR64:
        return None
    # The second place is right where something else comes before the archive.
    for at in (offset, place - _LOCATOR_BYTES - _END64_BYTES):
        if at + _END64_BYTES > place - _LOCATOR_BYTES:
            continue
        file.seek(at)
        end = struct.unpack("<4sQ2H2L4Q", file.read(_END64_BYTES))
        if end[0] == _END64:
            disk, first_disk, _, count, length, start = end[4:]
            return at, disk, first_disk, count, length, start
    damaged("its long (zip64) directory is not where it should be")


def _record(held: bytes, at: int, shift: int) -> tuple[Record, int]:
    """Read a record and return it with its length."""
    if len(held) - at < _RECORD.size or held[at : at + 4] != RECORD:
        damaged("a record of its directory is none")
    (
        *_, system, _, _, flags, method, _, _, crc, packed, size,
        name_length, extra_length, comment_length, _, _, attributes, start,
    ) = _RECORD.unpack_from(held, at)  # fmt: skip
    name_at = at + _RECORD.size
    extra_at = name_at + name_length
    length = _RECORD.size + name_length + extra_length + comment_length
    if at + length > len(held):
        damaged("a record of its directory is cut off")
    raw_name = held[name_at:extra_at]
    extras = _extras(held[extra_at : extra_at + extra_length]) if extra_length else {}
    if _MASK32 in (size, packed, start):
        size, packed, start = _long(extras.get(_ZIP64_EXTRA, b""), size, packed, start)
    mode = attributes >> 16 if system == 3 else 0
    name = _name(raw_name, flags, extras)
    return Record(name, raw_name, flags, method, crc, packed, size, start + shift, mode), length


def _extras(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("<2H", data, at)
        found.setdefault(kind, data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def _long(extra: bytes, *short: int) -> list[int]:
    """Replace each number that does not fit 32 bits by the next one of the zip64 field."""
    numbers, at = [], 0
    for number in short:
        if number == _MASK32:
            if len(extra) < at + 8:
                damaged("a record of its directory lacks its long (zip64) sizes")
            numbers.append(int.from_bytes(extra[at : at + 8], "little"))
            at += 8
        else:
            numbers.append(number)
    return numbers


def _name(raw: bytes, flags: int, extras: dict[int, bytes]) -> str:
    """Decode a name: as UTF-8 where that is claimed or true, else as the standard's code page."""
    if raw.isascii() or flags & _UTF8:
        return raw.decode("utf-8", "surrogateescape")
    unicode = extras.get(_UNICODE_EXTRA, b"")
    if unicode[:1] == b"\x01" and unicode[1:5] == zlib.crc32(raw).to_bytes(4, "little"):
        return unicode[5:].decode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")  # most tools of today, without saying so
    except UnicodeDecodeError:
        return raw.decode("cp437")


class Extents:
    """Which bytes of the file belong to which entry.

    Args:
        file: opened for reading.
        directory: of it.
        limits: what may come out.
        packed: size of the file in bytes.

    Raises:
        BadArchive: if the directory is damaged, or two entries share bytes.
        ArchiveTooLarge: if there are too many entries, or they unpack to too much.
    """

    def __init__(
        self, file: BinaryIO, directory: Directory, limits: ArchiveLimits, packed: int
    ) -> None:
        spans: list[tuple[int, int]] = []
        total, most = 0, limits.unpacked(packed)
        for record in directory.records(file, limits):
            end = record.start + LOCAL_HEADER.size + len(record.raw_name) + record.packed
            if end > directory.start:
                damaged("an entry lies outside of the file")
            if record.size <= limits.max_entry_bytes:  # larger ones are not unpacked at all
                total += record.size
                if total > most:
                    raise unpacks_too_far(limits, packed)
            spans.append((record.start, end))
        spans.sort()
        for (_, end), (start, _) in itertools.pairwise(spans):
            if start < end:
                overlapping()
        self._starts = array("Q", (start for start, _ in spans))
        self._starts.append(directory.start)

    def end(self, start: int) -> int:
        """Return where the entry that begins at `start` must have ended."""
        return self._starts[bisect_right(self._starts, start)]


def overlapping() -> NoReturn:
    """Refuse the archive as forged."""
    raise BadArchive(
        "entries of the zip lie one upon the other, as in a zip bomb: pack the pictures again"
    )
