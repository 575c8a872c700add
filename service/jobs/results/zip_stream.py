"""A zip archive written as a stream, its directory kept on disk: any number of members.

The standard library holds an object for every member until the end, 60 MB of them for 100,000
certificates. The format is APPNOTE 6.3, with Zip64 where numbers need it. Times are all 1980-01-01,
so that the same members give the same bytes.
"""

import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType

_UTF8, _DEFLATED, _DATE, _UNIX = 0x800, 8, 0x21, 3
_FILE = 0o100644 << 16
_MOST, _MOST_MEMBERS = 0xFFFFFFFF, 0xFFFF
_IN_MEMORY, _READ = 1 << 20, 1 << 16


class ZipStream(AbstractContextManager["ZipStream"]):
    """Turns members into bytes of one archive; to be written in the order they come."""

    def __init__(self) -> None:
        self._at = 0
        self._members = 0
        self._directory = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._directory.close()

    def member(self, name: str, data: bytes) -> bytes:
        """Return the bytes of a small member."""
        packed = _packer()
        body = packed.compress(data) + packed.flush()
        return self._head(name, zlib.crc32(data), len(body), len(data)) + body

    def spooled(self, name: str, spool: "Spool") -> Iterator[bytes]:
        """Yield the bytes of a member of any size, which has been put on disk before."""
        spool.finish()
        yield self._head(name, spool.crc, spool.packed, spool.size)
        yield from spool.chunks()

    def end(self) -> Iterator[bytes]:
        """Yield the directory; nothing may follow it."""
        start, size = self._at, self._directory.tell()
        yield from _chunks(self._directory)
        if self._members >= _MOST_MEMBERS or start >= _MOST or size >= _MOST:
            yield struct.pack(
                "<4sQ2H2I4Q",
                *(b"PK\x06\x06", 44, 45, 45, 0, 0),
                *(self._members, self._members, size, start),
            )
            yield struct.pack("<4sIQI", b"PK\x06\x07", 0, start + size, 1)
        members = min(self._members, _MOST_MEMBERS)
        yield struct.pack(
            "<4s4H2IH",
            *(b"PK\x05\x06", 0, 0, members, members, min(size, _MOST), min(start, _MOST), 0),
        )

    def _head(self, name: str, crc: int, packed: int, size: int) -> bytes:
        called = name.encode()
        large = [size, packed] if max(size, packed) >= _MOST else []
        far = [self._at] if self._at >= _MOST else []
        sizes = (_MOST, _MOST) if large else (packed, size)
        local, extra = _zip64(large), _zip64([*large, *far])
        version = 45 if large or far else 20
        common = (_UTF8, _DEFLATED, 0, _DATE, crc, *sizes, len(called))
        self._directory.write(
            struct.pack(
                "<4s4B4H3I5H2I",
                *(b"PK\x01\x02", version, _UNIX, version, 0, *common),
                *(len(extra), 0, 0, 0, _FILE, _MOST if far else self._at),
            )
            + called
            + extra
        )
        head = struct.pack("<4s2B4H3I2H", b"PK\x03\x04", version, 0, *common, len(local))
        self._members += 1
        self._at += len(head) + len(called) + len(local) + packed
        return head + called + local


class Spool(AbstractContextManager["Spool"]):
    """A member that is put on disk, compressed, until its size is known.

    Attributes:
        crc: CRC-32 of what it holds.
        size: bytes.
        packed: bytes when compressed.
    """

    def __init__(self) -> None:
        self.crc = self.size = self.packed = 0
        self._packer = _packer()
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """Append to it."""
        self.crc = zlib.crc32(data, self.crc)
        self.size += len(data)
        self.packed += self._file.write(self._packer.compress(data))

    def finish(self) -> None:
        """Say that this was all."""
        self.packed += self._file.write(self._packer.flush())

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes."""
        return _chunks(self._file)


def _zip64(values: Iterable[int]) -> bytes:
    data = b"".join(struct.pack("<Q", value) for value in values)
    return struct.pack("<2H", 1, len(data)) + data if data else b""


def _packer() -> "zlib._Compress":
    return zlib.compressobj(wbits=-15)


def _chunks(file: "tempfile.SpooledTemporaryFile[bytes]") -> Iterator[bytes]:
    file.seek(0)
    return iter(lambda: file.read(_READ), b"")
