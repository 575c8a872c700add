"""A first look at a file: whether it can be a picture at all. What decides is the decoder."""

from collections.abc import Callable

# Importing a plugin puts it on Pillow's list.
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from certification.canonical import FORMATS

PREFIX = 16  # what Pillow judges by, too

_PLUGINS = (
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
_ACCEPTS: list[Callable[[bytes], bool | str]] = [
    accept for format_ in FORMATS if (accept := Image.OPEN[format_][1]) is not None
]
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "an archive (zip) of its own: unpack it first"),
    (0, b"PK\x05\x06", "an archive (zip) of its own: unpack it first"),
    (0, b"\x1f\x8b", "an archive or a compressed file (gzip) of its own: unpack it first"),
    (0, b"BZh", "an archive or a compressed file (bzip2) of its own: unpack it first"),
    (0, b"\xfd7zXZ\0", "an archive or a compressed file (xz) of its own: unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "an archive or a compressed file (zstd) of its own: unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "an archive (7z) of its own: unpack it first"),
    (0, b"Rar!", "an archive (RAR) of its own: unpack it first"),
    (257, b"ustar", "an archive (tar) of its own: unpack it first"),
    (0, b"%PDF", "a PDF: export its pages as pictures"),
    (4, b"ftyp", "a video or a HEIC or AVIF picture: convert it to JPEG or PNG"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file itself: run git lfs pull"),
)


def no_picture(data: bytes) -> str | None:
    """Return why data cannot be a picture; None if they may be one.

    Never refuses what :func:`certification.canonical.canonicalise` would take.
    """
    if not data:
        return "it is empty (0 bytes): send the picture's bytes"
    if any(_accepted(accept, data[:PREFIX]) for accept in _ACCEPTS):
        return None
    kind = known_kind(data)
    if kind is not None:
        return f"it is {kind}"
    return f"it is not a picture of a known format ({', '.join(FORMATS)})"


def known_kind(data: bytes) -> str | None:
    """Return what a file that is no picture seems to be, and what to do with it."""
    return next((what for at, magic, what in _OTHERS if data.startswith(magic, at)), None)


def _accepted(accept: Callable[[bytes], bool | str], prefix: bytes) -> bool:
    try:
        return accept(prefix) is True
    except IndexError:  # as Pillow does with files of a byte or two
        return False
