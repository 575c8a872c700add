"""Refuses pictures that are made to be expensive to read, before a decoder sees them.

A file of a few megabytes can keep a decoder busy for hours: a progressive JPEG whose last scan is
sent a hundred thousand times, a PNG of a million chunks of nothing, a TIFF of a million pages. The
pixels say nothing of that. So the parts of the file are counted here, without looking into them,
against bounds that no picture of a usual program comes near. What is no sound file passes: to say
what is wrong with it is the decoder's business.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Literal

from PIL import Image

from certification.errors import ImageError, ImageTooLarge, UnsupportedImage

MOST_PARTS = 65_536  # chunks, segments, blocks, strips, tiles
MOST_SUB_BLOCKS = 262_144  # of a GIF, which has one for each 255 bytes
MOST_SCANS = 500
MOST_SCANNED = 320_000_000  # pixels of a JPEG times its scans; progressive ones have about ten
MOST_SLOW_SAMPLES = 3_000_000  # of rare kinds, which are decoded value by value
MOST_SLOW_BYTES = 4 * 2**20
MOST_COMMENTS = 100  # of a PPM
MOST_PAGES = 1_000  # more than one is refused anyway, but by name

_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_START_OF_SCAN, _END_OF_IMAGE, _START_OF_IMAGE = 0xDA, 0xD9, 0xD8
_OLD_JPEG_IN_TIFF, _JPEG_IN_TIFF = 6, 7
_ARRAYS_OF_TIFF = {273, 279, 324, 325}  # where strips and tiles are, and how long
_ALONE = {0x01, _START_OF_IMAGE, *range(0xD0, 0xD8)}  # markers without a length


def refuse_costly_file(data: bytes) -> None:
    """Count the parts of a file.

    Args:
        data: of any format.

    Raises:
        UnsupportedImage: if there are too many.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        _at_most(MOST_PARTS, _png_chunks(data))
    elif data.startswith(b"\xff\xd8"):
        _at_most(MOST_PARTS, _jpeg_markers(data))
    elif data.startswith(b"GIF8"):
        _at_most(MOST_SUB_BLOCKS, _gif_blocks(data))
    elif data.startswith((b"II", b"MM")):
        _at_most(MOST_PARTS, _tiff_parts(data))
    elif data.startswith(b"P"):
        _at_most(MOST_PARTS, _ppm_header(data))


def refuse_costly_picture(picture: Image.Image, data: bytes) -> None:
    """Look at what the header says of the work to come.

    Args:
        picture: opened, not yet decoded.
        data: the file.

    Raises:
        UnsupportedImage: if it is in too many parts.
        ImageTooLarge: if it is too large for its kind.
    """
    pixels = picture.width * picture.height
    if picture.format in ("JPEG", "MPO"):
        _refuse_scans(pixels, _scans(data))
    elif picture.format == "TIFF":
        _refuse_scans(pixels, _tiff_scans(picture, data))
    codecs = {tile.codec_name for tile in getattr(picture, "tile", ())}
    samples = pixels * len(picture.getbands())
    if "bmp_rle" in codecs:
        _refuse_slow("run-length coded BMP", samples, len(data))
    elif "ppm_plain" in codecs:
        _refuse_slow("plain PPM", samples, len(data))
        if data.count(b"#") > MOST_COMMENTS:
            raise too_many(MOST_COMMENTS, "comments")
    elif "ppm" in codecs:
        _refuse_slow("PPM of this depth", samples, 0)


def too_many(most: int, what: str = "parts") -> ImageError:
    """Return the error of a file that is in too many parts."""
    return UnsupportedImage(
        f"the file is made of more than {most:,} {what}, which pictures never are: save it again "
        "with a usual program"
    )


def _at_most(most: int, parts: Iterator[object]) -> None:
    for number, _ in enumerate(parts, 1):
        if number > most:
            raise too_many(most)


def _refuse_slow(kind: str, samples: int, size: int) -> None:
    if samples > MOST_SLOW_SAMPLES or size > MOST_SLOW_BYTES:
        raise ImageTooLarge(
            f"a {kind} may have {MOST_SLOW_SAMPLES:,} samples in {MOST_SLOW_BYTES:,} bytes: "
            "send the picture as PNG"
        )


def _refuse_scans(pixels: int, scans: int) -> None:
    if scans > MOST_SCANS or scans * pixels > MOST_SCANNED:
        raise ImageTooLarge(
            f"the JPEG goes over {pixels:,} pixels {scans:,} times, the limit is "
            f"{MOST_SCANNED:,} pixels in all: send a smaller one, or one that is not progressive"
        )


def _scans(data: bytes, start: int = 0) -> int:
    return sum(marker == _START_OF_SCAN for marker in _jpeg_markers(data, start))


def _tiff_scans(picture: Image.Image, data: bytes) -> int:
    """Return the most scans of any strip or tile: those of a TIFF may be JPEG streams."""
    tags = getattr(picture, "tag_v2", {})
    compression = tags.get(259)
    if compression == _OLD_JPEG_IN_TIFF:
        return data.count(bytes((0xFF, _START_OF_SCAN)))
    if compression != _JPEG_IN_TIFF:
        return 0
    starts = {*(tags.get(273) or ()), *(tags.get(324) or ())}
    found, looked = 0, 0
    for start in starts:
        markers = [*islice(_jpeg_markers(data, start), MOST_PARTS)]
        looked += len(markers)
        if looked > MOST_PARTS * 4:  # a dozen in each of the strips of a usual one
            raise too_many(MOST_PARTS * 4)
        found = max(found, markers.count(_START_OF_SCAN))
    return found


def _png_chunks(data: bytes) -> Iterator[int]:
    at = 8
    while at + 8 <= len(data):
        yield at
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def _jpeg_markers(data: bytes, start: int = 0) -> Iterator[int]:
    """Yield the markers of the first picture in the file; each byte of padding counts as one."""
    at = start + 2
    while at + 2 <= len(data):
        if data[at] != 0xFF:  # decoders pass over what stands between segments
            found = data.find(b"\xff", at)
            yield from range(-1, -1 - min(len(data) if found < 0 else found - at, MOST_PARTS), -1)
            at = len(data) if found < 0 else found
            continue
        marker = data[at + 1]
        yield marker
        if marker in (0x00, 0xFF):
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker == _END_OF_IMAGE:
            return
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if marker == _START_OF_SCAN:
                following = _NEXT_MARKER.search(data, at)
                at = len(data) if following is None else following.start()


def _gif_blocks(data: bytes) -> Iterator[int]:
    """Yield blocks and the parts of blocks."""

    def table(flags: int) -> int:
        return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0

    if len(data) < 13:
        return
    at = 13 + table(data[10])
    while at < len(data):
        yield at
        kind = data[at]
        if kind == 0x21:  # an extension
            at += 2
        elif kind == 0x2C and at + 10 < len(data):  # a frame
            at += 11 + table(data[at + 9])
        elif kind == 0x3B:
            return
        else:
            at += 1
            continue
        while at < len(data) and data[at]:
            yield at
            at += 1 + data[at]
        at += 1


def _tiff_parts(data: bytes) -> Iterator[int]:
    """Yield strips, tiles and the entries of directories, BigTIFF too."""
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"

    def number(start: int, size: int) -> int:
        return int.from_bytes(data[start : start + size], order)

    big = number(2, 2) == 43
    counts, entry, offset = (8, 20, 8) if big else (2, 12, 4)
    at, seen = number(8, 8) if big else number(4, 4), set[int]()
    while 0 < at < len(data) and at not in seen:
        seen.add(at)
        if len(seen) > MOST_PAGES:
            raise too_many(MOST_PAGES, "pages")
        entries = number(at, counts)
        for place in range(at + counts, at + counts + min(entries, MOST_PARTS + 1) * entry, entry):
            yield place
            if number(place, 2) in _ARRAYS_OF_TIFF:
                # Each has the same number, so two of them are counted as one.
                yield from range(min(number(place + 4, offset) // 2, MOST_PARTS + 1))
        at = number(at + counts + entries * entry, offset)


def _ppm_header(data: bytes) -> Iterator[int]:
    """Yield the bytes of the header, which decoders read one at a time."""
    missing = 3 if data[1:2] in (b"1", b"4") else 4  # words: kind, width, height, largest value
    word = comment = False
    for byte in data:
        yield byte
        if comment:
            comment = byte not in b"\r\n"
        elif byte == 0x23:
            comment = True
        elif byte in b" \t\n\v\f\r":
            missing -= word
            word = False
            if not missing:
                return
        else:
            word = True
