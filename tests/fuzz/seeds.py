"""Sound pictures to begin with: every accepted format, in all the ways it can be written."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

from tests.service.pictures import raw_png


class Seed(NamedTuple):
    """One picture: a name for people, its format and the file."""

    name: str
    format: str
    data: bytes


def _picture(width: int = 24, height: int = 18, mode: str = "RGB") -> Image.Image:
    y, x = np.mgrid[:height, :width]
    rgba = np.stack([x * 9 % 256, y * 13 % 256, (x + y) * 5 % 256, 255 - x * 7 % 256], axis=-1)
    return Image.fromarray(rgba.astype(np.uint8)).convert(mode)


def _encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a description"
    return exif


PROFILE = bytes(range(256)) * 4  # stands for a colour profile: nobody looks into it


def _frames(kind: str) -> bytes:
    """Made anew each time: Pillow leaves options of one format in a picture."""
    first, *rest = (_picture(16, 12).rotate(90 * i) for i in range(3))
    return _encode(first, kind, save_all=True, append_images=rest)


def _png() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = _picture().convert(mode) if mode != "I;16" else _sixteen()
        yield mode, _encode(picture, "PNG")
    samples = {0: (1, 2, 4, 8, 16), 2: (8, 16), 4: (8, 16), 6: (8, 16)}
    channels = {0: 1, 2: 3, 4: 2, 6: 4}
    for colour, depths in samples.items():
        for depth in depths:
            line = bytes(1 + (9 * depth * channels[colour] + 7) // 8)
            yield f"colour {colour} depth {depth}", raw_png(9, 7, depth, colour, line * 7)
            interlaced = bytearray(raw_png(1, 1, depth, colour, line[:20]))
            interlaced[28] = 1  # Adam7
            interlaced[29:33] = struct.pack(">I", zlib.crc32(interlaced[12:29]))
            yield f"interlaced colour {colour} depth {depth}", bytes(interlaced)
    yield "transparent value", _encode(_picture(mode="RGB"), "PNG", transparency=(0, 0, 0))
    yield "palette with alpha", _encode(_picture(mode="P"), "PNG", transparency=bytes(range(99)))
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "x" * 40)
    texts.add_itxt("Long", "é" * 400, zip=True)
    yield "texts", _encode(_picture(), "PNG", pnginfo=texts, icc_profile=PROFILE, dpi=(72, 72))
    for orientation in (3, 6, 8):
        yield f"orientation {orientation}", _encode(_picture(), "PNG", exif=_exif(orientation))
    yield "animated", _frames("PNG")
    yield "large", _encode(Image.new("L", (1500, 900)), "PNG")


def _jpeg() -> Iterator[tuple[str, bytes]]:
    for mode in ("L", "RGB", "CMYK", "YCbCr"):
        for progressive in (False, True):
            picture = _picture().convert(mode)
            yield f"{mode} {progressive}", _encode(picture, "JPEG", progressive=progressive)
    for subsampling in (0, 1, 2):
        yield (
            f"subsampling {subsampling}",
            _encode(_picture(70, 50), "JPEG", subsampling=subsampling, restart_marker_rows=1),
        )
    for orientation in range(1, 9):
        yield f"orientation {orientation}", _encode(_picture(), "JPEG", exif=_exif(orientation))
    yield "profile", _encode(_picture(), "JPEG", icc_profile=PROFILE * 80, comment=b"a comment")
    yield "optimised", _encode(_picture(), "JPEG", optimize=True, quality=5)
    yield "MPO", _frames("MPO")
    yield "large", _encode(Image.new("L", (1200, 900)), "JPEG", progressive=True)


def _webp() -> Iterator[tuple[str, bytes]]:
    for mode in ("RGB", "RGBA"):
        for lossless in (False, True):
            yield f"{mode} {lossless}", _encode(_picture(mode=mode), "WEBP", lossless=lossless)
    yield "orientation", _encode(_picture(), "WEBP", exif=_exif(5), icc_profile=PROFILE)
    yield "animated", _frames("WEBP")


def _gif() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "P"):
        for interlace in (0, 1):
            picture = _picture().convert(mode)
            yield f"{mode} {interlace}", _encode(picture, "GIF", interlace=interlace)
    yield "transparent", _encode(_picture(mode="P"), "GIF", transparency=3, comment=b"x" * 300)
    yield "animated", _frames("GIF")


def _tiff() -> Iterator[tuple[str, bytes]]:
    codings = (None, "tiff_lzw", "tiff_deflate", "packbits", "tiff_adobe_deflate", "zstd", "lzma")
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "YCbCr"):
        yield mode, _encode(_picture().convert("RGB" if mode == "LAB" else mode), "TIFF")
    for coding in codings:
        yield str(coding), _encode(_picture(), "TIFF", compression=coding)
    for coding in ("group3", "group4", "tiff_ccitt"):
        yield coding, _encode(_picture(mode="1"), "TIFF", compression=coding)
    for mode in ("L", "RGB"):
        yield f"jpeg {mode}", _encode(_picture().convert(mode), "TIFF", compression="jpeg")
    yield "predictor", _encode(_picture(), "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    yield "sixteen", _encode(_sixteen(), "TIFF")
    for mode, kind in (("F", np.float32), ("I", np.int32)):
        yield mode, _encode(Image.fromarray(np.ones((5, 7), dtype=kind)), "TIFF")
    yield "strips", _encode(_picture(), "TIFF", tiffinfo={278: 2})
    yield "orientation", _encode(_picture(), "TIFF", tiffinfo={274: 6}, icc_profile=PROFILE)
    yield "big", _encode(_picture(), "TIFF", big_tiff=True)
    yield "pages", _frames("TIFF")
    yield "big endian", _big_endian_tiff()


def _big_endian_tiff() -> bytes:
    tags = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1)]
    body = b"".join(struct.pack(">HHIHH", *tag, 0) for tag in tags)
    at = 8 + 2 + 8 * 12 + 4
    body += b"".join(
        struct.pack(">HHII", *tag) for tag in ((273, 4, 1, at), (278, 4, 1, 4), (279, 4, 1, 32))
    )
    return b"MM\0*" + struct.pack(">IH", 8, 8) + body + bytes(4) + bytes(range(32))


def _bmp() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield mode, _encode(_picture().convert(mode), "BMP")
    for coding, depth in ((1, 8), (2, 4)):
        head = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, depth, coding, 0, 0, 0, 16, 0)
        words = b"\x00\x08" + bytes(range(8 * depth // 8))  # a row as it is, the others in runs
        runs = words + b"\x00\x00" + b"\x05\x11\x03\x22\x00\x00" * 7 + b"\x00\x01"
        at = 14 + 40 + 64
        whole = struct.pack("<IHHI", at + len(runs), 0, 0, at) + head + bytes(range(64)) + runs
        yield f"runs of {depth} bits", b"BM" + whole
    for depth in (16, 32):
        head = struct.pack("<IiiHHIIiiII", 40, 6, -4, 1, depth, 3, 0, 0, 0, 0, 0)
        masks = (0xF800, 0x7E0, 0x1F) if depth == 16 else (0xFF0000, 0xFF00, 0xFF)
        body = struct.pack("<III", *masks) + bytes(range(6 * 4 * depth // 8))
        yield f"masks of {depth} bits", b"BM" + struct.pack("<IHHI", 0, 0, 0, 66) + head + body
    core = struct.pack("<IHHHH", 12, 4, 4, 1, 24) + bytes(range(48))
    yield "old header", b"BM" + struct.pack("<IHHI", 0, 0, 0, 26) + core


def _ppm() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "RGB", "I;16"):
        picture = _sixteen() if mode == "I;16" else _picture().convert(mode)
        yield mode, _encode(picture, "PPM")
    yield "float", b"Pf\n3 2\n-1.0\n" + struct.pack("<6f", *range(6))
    yield "plain bits", b"P1\n# bits\n4 2\n0 1 1 0\n10 01\n"
    yield "plain grey", b"P2\n3 2\n# levels\n15\n0 1 2\n13 14 15\n"
    yield "plain colour", b"P3\n2 1\n255\n255 0 0  0 255 0\n"
    yield "odd depth", b"P6\n2 2\n100\n" + bytes(range(12))
    yield "deep", b"P5\n2 2\n4095\n" + bytes(8)
    for kind in (b"Py", b"PyP", b"PyRGBA", b"PyCMYK"):
        yield kind.decode(), kind + b"\n2 2\n255\n" + bytes(range(16))


def _sixteen() -> Image.Image:
    return Image.fromarray(np.arange(120, dtype=np.uint16).reshape(10, 12) * 500)


MAKERS = {
    "PNG": _png,
    "JPEG": _jpeg,
    "WEBP": _webp,
    "GIF": _gif,
    "TIFF": _tiff,
    "BMP": _bmp,
    "PPM": _ppm,
}


def seeds() -> list[Seed]:
    """Return all of them; the same each time."""
    return [
        Seed(f"{kind} {name}", kind, data) for kind, make in MAKERS.items() for name, data in make()
    ]
