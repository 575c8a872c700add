"""Takes files apart into the parts that their format knows, and puts parts together again.

What is put together has its lengths and check sums repaired, so that a decoder looks at what was
changed instead of refusing the whole.
"""

import re
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Parts = Sequence[bytes]


class Container(NamedTuple):
    """How to take apart, and how to put together."""

    split: Callable[[bytes], list[bytes]]
    join: Callable[[Parts], bytes]


def _split_png(data: bytes) -> list[bytes]:
    """Kind and content of each chunk."""
    parts, at = [], 8
    while at + 12 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        parts.append(data[at + 4 : at + 8 + size])
        at += 12 + size
    return parts


def _join_png(parts: Parts) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", max(0, len(part) - 4)) + part + struct.pack(">I", zlib.crc32(part))
        for part in parts
    )


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def _split_jpeg(data: bytes) -> list[bytes]:
    """Segments without their lengths; behind the head of a scan come its data."""
    parts, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xD9:
        end = at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        parts.append(data[at : at + 2] + data[at + 4 : end])
        if data[at + 1] == 0xDA:
            following = _MARKER.search(data, end)
            stop = len(data) if following is None else following.start()
            parts.append(data[end:stop])
            end = stop
        at = end
    return [*parts, data[at:]]


def _join_jpeg(parts: Parts) -> bytes:
    out = [b"\xff\xd8"]
    for part in parts:
        head = part[:1] == b"\xff" and part[1:2] not in (b"", b"\x00", b"\xd8", b"\xd9")
        if head:
            out.append(part[:2] + struct.pack(">H", min(65_535, len(part))) + part[2:])
        else:
            out.append(part)
    return b"".join(out)


def _split_riff(data: bytes) -> list[bytes]:
    """Name and content of each chunk."""
    parts, at = [], 12
    while at + 8 <= len(data):
        size = struct.unpack("<I", data[at + 4 : at + 8])[0]
        parts.append(data[at : at + 4] + data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return parts


def _join_riff(parts: Parts) -> bytes:
    body = b"WEBP" + b"".join(
        part[:4].ljust(4)
        + struct.pack("<I", len(part[4:]))
        + part[4:]
        + b"\0" * (len(part[4:]) % 2)
        for part in parts
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _split_gif(data: bytes) -> list[bytes]:
    """The head with its colours, then blocks with all that belongs to them."""
    at = 13 + _colours(data[10])
    parts = [data[:at]]
    while at < len(data) and data[at] in b"!,":
        start = at
        at += 2 if data[at] == 0x21 else 11 + _colours(data[at + 9])
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
        parts.append(data[start:at])
    return [*parts, data[at:]]


def _colours(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _split_tiff(data: bytes) -> list[bytes]:
    """The entries of the first directory, between what is before and what is behind."""
    order = "<" if data.startswith(b"II") else ">"
    big = struct.unpack(f"{order}H", data[2:4])[0] == 43
    at = struct.unpack(f"{order}Q", data[8:16])[0] if big else _u32(order, data[4:8])
    size, first = (20, 8) if big else (12, 2)
    number = struct.unpack(f"{order}{'Q' if big else 'H'}", data[at : at + first])[0]
    if number > 1000:
        raise ValueError("changed before: these are no directories any more")
    start, end = at + first, at + first + number * size
    return [data[:start], *(data[i : i + size] for i in range(start, end, size)), data[end:]]


def _u32(order: str, data: bytes) -> int:
    return int(struct.unpack(f"{order}I", data)[0])


def _split_words(data: bytes) -> list[bytes]:
    """The words of a head, and what is behind it."""
    return re.split(rb"(?<=\s)", data, maxsplit=4)


def _split_bmp(data: bytes) -> list[bytes]:
    """The numbers of the head, four bytes each, and what is behind it."""
    return [data[:2], *(data[i : i + 4] for i in range(2, 54, 4)), data[54:]]


def _plain(parts: Parts) -> bytes:
    return b"".join(parts)


CONTAINERS: Mapping[str, Container] = {
    "PNG": Container(_split_png, _join_png),
    "JPEG": Container(_split_jpeg, _join_jpeg),
    "WEBP": Container(_split_riff, _join_riff),
    "GIF": Container(_split_gif, _plain),
    "TIFF": Container(_split_tiff, _plain),
    "BMP": Container(_split_bmp, _plain),
    "PPM": Container(_split_words, _plain),
}
