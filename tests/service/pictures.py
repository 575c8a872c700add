"""Pictures of all sorts, as bytes of files."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def encode(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width: int = 12, height: int = 8) -> Image.Image:
    rows = np.linspace(40, 150, width * height * 3).reshape(height, width, 3)
    return Image.fromarray(rows.astype(np.uint8))


def png(width: int = 12, height: int = 8) -> bytes:
    return encode(gradient(width, height))


def raw_png(width: int, height: int, depth: int, colour: int, data: bytes) -> bytes:
    """A PNG written by hand: `data` are the filtered scan lines."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
        for name, part in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def bomb() -> bytes:
    """Claims 60,000 × 60,000 pixels in about 100 bytes."""
    return raw_png(60_000, 60_000, 8, 2, b"\0" * 100)


def colour_16_bit() -> bytes:
    line = b"\0" + struct.pack(">6H", 30_000, 20_000, 10_000, 256, 511, 65_535)
    return raw_png(2, 2, 16, 2, line * 2)


def grey_16_bit() -> bytes:
    return encode(Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)))


def animation(kind: str) -> bytes:
    frames = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (0, 120, 240)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=40)


def palette_with_transparency() -> bytes:
    picture = gradient().quantize(8)
    return encode(picture, transparency=0)


def exif_rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(gradient(12, 8), "JPEG", exif=exif)


def truncated(kind: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = encode(Image.fromarray(noise), kind)
    return whole[: len(whole) // 2]
