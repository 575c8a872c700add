"""Decompressors behind one interface, that of bz2 and lzma: never more output than asked for."""

import bz2
import lzma
import zlib
from collections.abc import Iterator
from typing import Protocol

MOST_XZ_MEMORY = 256 * 2**20  # `xz -9` needs 65 MiB; a header may claim 4 GiB
BROKEN = (zlib.error, OSError, EOFError, lzma.LZMAError, ValueError)
"""What decompressors raise on damaged data."""


class Inflater(Protocol):
    """What takes compressed bytes and gives plain ones."""

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed stream was reached."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out without further input."""

    @property
    def unused_data(self) -> bytes:
        """What came behind the end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return at most `max_length` (at least 1) bytes; the rest is kept for the next call."""


class Zlib:
    """zlib's decompressor as an Inflater.

    Args:
        window: as zlib has it: -15 for raw deflate, 31 for gzip.
    """

    def __init__(self, window: int) -> None:
        self._inner = zlib.decompressobj(window)
        self._full = False

    @property
    def eof(self) -> bool:
        """See Inflater."""
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        """See Inflater."""
        return not self._inner.eof and not self._full

    @property
    def unused_data(self) -> bytes:
        """See Inflater."""
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """See Inflater."""
        kept = self._inner.unconsumed_tail
        out = self._inner.decompress(kept + data if kept else data, max_length)
        # A full output may leave some more inside even when all input is taken.
        self._full = len(out) == max_length
        return out


def gzip_inflater() -> Inflater:
    """Return one for a member of a gzip file."""
    return Zlib(31)


def deflate_inflater() -> Inflater:
    """Return one for raw deflate, as in zip."""
    return Zlib(-15)


def bzip2_inflater() -> Inflater:
    """Return one for a stream of bzip2."""
    return bz2.BZ2Decompressor()


def xz_inflater() -> Inflater:
    """Return one for a stream of xz."""
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_XZ_MEMORY)


def zip_lzma_inflater(head: bytes, size: int) -> Inflater:
    """Return one for LZMA in zip.

    Args:
        head: the nine bytes before the stream: version, length and properties.
        size: bytes that come out: no match reaches further back, so that the dictionary need not
            be larger, whatever the properties claim.

    Raises:
        ValueError: if the properties are none.
    """
    if len(head) != 9 or head[2:4] != b"\x05\0" or head[4] >= 9 * 5 * 5:
        raise ValueError("no properties of LZMA")
    rest, lc = divmod(head[4], 9)
    pb, lp = divmod(rest, 5)
    dictionary = min(max(int.from_bytes(head[5:9], "little"), 4096), max(size, 4096))
    options = {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options])


def inflate(inflater: Inflater, chunks: Iterator[bytes], most: int) -> bytes:
    """Decompress a stream up to `most` bytes; less if it ends before.

    Raises:
        one of BROKEN: if it is damaged.
    """
    parts: list[bytes] = []
    missing = most
    while missing > 0 and not inflater.eof:
        chunk = b""
        if inflater.needs_input:
            chunk = next(chunks, b"")
            if not chunk:
                break
        out = inflater.decompress(chunk, missing)
        parts.append(out)
        missing -= len(out)
    return b"".join(parts)
