"""Files that are well formed and made to be expensive: much work for few bytes.

Random mutations do not find these. Each is at most as large as the service takes, 20 MiB.
"""

import io
import math
import random
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import partial

from PIL import Image

from certification.canonical import Limits

MOST = Limits().max_bytes
LARGEST_SIDE = math.isqrt(Limits().max_pixels)
ADAM7 = (  # first column and row of each pass, and the steps from one to the next
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)


def _png_chunk(kind: bytes, data: bytes = b"") -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, *between: bytes, colour: int = 2, rows: bytes = b"") -> bytes:
    """A PNG with chunks of one's own between header and end."""
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    data = _png_chunk(b"IDAT", zlib.compress(rows)) if rows else b""
    signature = b"\x89PNG\r\n\x1a\n"
    return b"".join((signature, _png_chunk(b"IHDR", head), *between, data, _png_chunk(b"IEND")))


def _rows(width: int, height: int) -> bytes:
    return (b"\0" + bytes(3 * width)) * height


def png_many_chunks(most: int = MOST) -> bytes:
    """1.7 million chunks of nothing before the picture."""
    return png(8, 8, _png_chunk(b"teSt") * (most // 12 - 20), rows=_rows(8, 8))


def png_many_texts(most: int = MOST) -> bytes:
    """Texts, which the decoder collects."""
    return png(8, 8, _png_chunk(b"tEXt", b"a\0") * (most // 14 - 20), rows=_rows(8, 8))


def png_compressed_texts(most: int = MOST) -> bytes:
    """Texts that unpack to a megabyte each."""
    text = b"a\0\0" + zlib.compress(bytes(2**20 - 1), 9)
    return png(8, 8, _png_chunk(b"zTXt", text) * (most // (len(text) + 20)), rows=_rows(8, 8))


def png_profile_bomb(most: int = MOST) -> bytes:
    """A colour profile that unpacks to 100 MB."""
    packer = zlib.compressobj(1)
    text = b"".join(packer.compress(bytes(2**20)) for _ in range(100)) + packer.flush()
    return png(8, 8, _png_chunk(b"iCCP", b"a\0\0" + text), rows=_rows(8, 8))


def png_empty_data(most: int = MOST) -> bytes:
    """The picture's data in 1.7 million empty parts."""
    whole = png(8, 8, rows=_rows(8, 8))
    at = whole.index(b"IDAT") - 4
    return whole[:at] + _png_chunk(b"IDAT") * (most // 12 - 20) + whole[at:]


def png_data_bytewise(most: int = MOST) -> bytes:
    """The picture's data in parts of one byte."""
    packed = zlib.compress(_rows(3000, 3000), 0)[: most // 14]
    return png(3000, 3000, *(_png_chunk(b"IDAT", packed[i : i + 1]) for i in range(len(packed))))


def png_many_frames(most: int = MOST) -> bytes:
    """An animation of one frame that says it has four thousand million."""
    frames = _png_chunk(b"acTL", struct.pack(">II", 2**32 - 1, 0))
    return png(8, 8, frames, rows=_rows(8, 8))


def png_largest(most: int = MOST) -> bytes:
    """As many pixels as may be, with transparency, in 200 kB."""
    side = LARGEST_SIDE if most == MOST else 500
    return _png_transparent(side, 8, (b"\0" + bytes(4 * side)) * side)


def png_slowest(most: int = MOST) -> bytes:
    """As many again, deep, interlaced, filtered, and some of it noise."""
    side = LARGEST_SIDE if most == MOST else 500
    noise = b"\4" + random.Random(1).randbytes(9 * side // 13)
    rows = []
    for x, y, right, down in ADAM7:
        wide, high = -((x - side) // right), -((y - side) // down)
        rows += [noise[: 9 * wide // 13].ljust(1 + 8 * wide, b"\0")] * high
    return _png_transparent(side, 16, b"".join(rows), interlaced=1)


def _png_transparent(side: int, depth: int, rows: bytes, interlaced: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", side, side, depth, 6, 0, 0, interlaced)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks)


def _jpeg(width: int, height: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "JPEG", **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def jpeg_many_scans(most: int = MOST) -> bytes:
    """Progressive, with the last scan sent again and again: each goes over the whole picture."""
    return _rescanned(3000, most)


def jpeg_some_scans(most: int = MOST) -> bytes:
    """The same, small enough to look harmless."""
    return _rescanned(3000, min(most, 300_000))


def _rescanned(side: int, most: int) -> bytes:
    whole = _jpeg(side, side, progressive=True, subsampling=2)
    end = len(whole) - 2
    scan = whole[whole.rindex(b"\xff\xda") : end]
    return whole[:end] + scan * ((most - len(whole)) // len(scan)) + whole[end:]


def jpeg_many_segments(most: int = MOST) -> bytes:
    """Five million empty segments before the picture."""
    whole = _jpeg(8, 8)
    return whole[:2] + b"\xff\xe5\x00\x02" * (most // 4 - 300) + whole[2:]


def jpeg_many_comments(most: int = MOST) -> bytes:
    """Comments of one byte."""
    whole = _jpeg(8, 8)
    return whole[:2] + b"\xff\xfe\x00\x03a" * (most // 5 - 300) + whole[2:]


def jpeg_filled(most: int = MOST) -> bytes:
    """Twenty million bytes of padding between two segments."""
    whole = _jpeg(8, 8)
    return whole[:2] + b"\xff" * (most - 2000) + whole[2:]


def jpeg_many_tables(most: int = MOST) -> bytes:
    """The same quantisation table three hundred thousand times."""
    whole = _jpeg(8, 8)
    at = whole.index(b"\xff\xdb")
    table = whole[at : at + 2 + struct.unpack(">H", whole[at + 2 : at + 4])[0]]
    return whole[:at] + table * ((most - 2000) // len(table)) + whole[at:]


def jpeg_many_profiles(most: int = MOST) -> bytes:
    """Parts of a colour profile, which the decoder sorts and joins."""
    whole = _jpeg(8, 8)
    part = b"ICC_PROFILE\0\1\1" + bytes(10)
    segment = b"\xff\xe2" + struct.pack(">H", len(part) + 2) + part
    return whole[:2] + segment * (most // len(segment) - 100) + whole[2:]


def jpeg_many_photoshop_blocks(most: int = MOST) -> bytes:
    """Photoshop's own resources, in as many segments as fit."""
    whole = _jpeg(8, 8)
    part = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\0" * 5000
    segment = b"\xff\xed" + struct.pack(">H", len(part) + 2) + part
    return whole[:2] + segment * ((most - 3000) // len(segment)) + whole[2:]


def gif(*blocks: bytes, side: int = 8) -> bytes:
    """A GIF with blocks of one's own before its only frame."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"".join((head, *blocks, frame, b";"))


def gif_many_extensions(most: int = MOST) -> bytes:
    """Extensions of nothing."""
    return gif(b"!\x01\x00" * (most // 3 - 100))


def gif_many_comments(most: int = MOST) -> bytes:
    """Comments of one byte."""
    return gif(b"!\xfe\x01a\x00" * (most // 5 - 100))


def gif_many_sub_blocks(most: int = MOST) -> bytes:
    """One extension in ten million parts."""
    return gif(b"!\x01" + b"\x01a" * (most // 2 - 100) + b"\x00")


def gif_many_frames(most: int = MOST) -> bytes:
    """A million frames of one pixel on the largest canvas."""
    whole = gif(side=LARGEST_SIDE)
    frame = whole[whole.index(b",", 19) : -1]
    return whole[:-1] + frame * ((most - 100) // len(frame)) + b";"


def gif_long_data(most: int = MOST) -> bytes:
    """One pixel whose data go on for 20 MiB."""
    whole = gif()
    return whole[:-2] + b"\x01\x00" * 0 + b"\x01a" * (most // 2 - 100) + b"\x00;"


def _ifd(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    """A directory of a TIFF: (tag, type, count, value or offset)."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


def _tags(width: int, height: int, **more: tuple[int, int, int]) -> list[tuple[int, int, int, int]]:
    named = {"offsets": 273, "counts": 279, "rows": 278, "tile_w": 322, "tile_h": 323}
    named |= {"tiles": 324, "tile_counts": 325}
    fixed = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1)]
    fixed += [(262, 3, 1, 1), (277, 3, 1, 1)]
    return fixed + [(named[name], *value) for name, value in more.items()]


def tiff_many_pages(most: int = MOST) -> bytes:
    """A million directories in a row."""
    start = 8 + 2 + 9 * 12 + 4
    first = _ifd(_tags(1, 1, offsets=(4, 1, 8), counts=(4, 1, 1), rows=(4, 1, 1)), start)
    page = _ifd([(256, 3, 1, 1)])
    many = (most - start) // len(page)
    chain = (
        page[:-4] + struct.pack("<I", start + (i + 1) * len(page) if i < many - 1 else 0)
        for i in range(many)
    )
    return b"II*\0" + struct.pack("<I", 8) + first + b"".join(chain)


def tiff_many_strips(most: int = MOST) -> bytes:
    """2.5 million strips of one pixel."""
    many = most // 8 - 1000
    at = 8 + 2 + 9 * 12 + 4
    arrays = struct.pack("<I", 0) * many + struct.pack("<I", 1) * many
    tags = _tags(1, 1, offsets=(4, many, at), counts=(4, many, at + 4 * many), rows=(4, 1, 1))
    return b"II*\0" + struct.pack("<I", 8) + _ifd(tags) + arrays


def tiff_many_tiles(most: int = MOST) -> bytes:
    """2.5 million tiles of one pixel, all of them needed."""
    width, height = 1600, 1600
    many = width * height
    at = 8 + 2 + 10 * 12 + 4
    arrays = struct.pack("<I", 8) * many + struct.pack("<I", 1) * many
    tags = _tags(
        width,
        height,
        tile_w=(4, 1, 1),
        tile_h=(4, 1, 1),
        tiles=(4, many, at),
        tile_counts=(4, many, at + 4 * many),
    )
    return b"II*\0" + struct.pack("<I", 8) + _ifd(tags) + arrays


def tiff_many_tags(most: int = MOST) -> bytes:
    """A directory of 65,535 entries, each as large as the file."""
    many = 65_535
    entries = [(1000 + i % 60_000, 1, most - many * 12 - 1000, 2000) for i in range(many)]
    head = b"II*\0" + struct.pack("<I", 8) + _ifd(entries)
    return head + bytes(most - len(head))


def tiff_progressive(most: int = MOST) -> bytes:
    """A TIFF whose only strip is a progressive JPEG of a hundred scans."""
    side = 3000
    whole = _jpeg(side, side, progressive=True, subsampling=0)
    end = len(whole) - 2
    scan = whole[whole.rindex(b"\xff\xda") : end]
    stream = whole[:end] + scan * 80 + whole[end:]
    at = 8 + 2 + 10 * 12 + 4 + 6
    tags = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 3, at - 6), (259, 3, 1, 7)]
    tags += [(262, 3, 1, 6), (273, 4, 1, at), (277, 3, 1, 3), (278, 4, 1, side)]
    tags += [(279, 4, 1, len(stream)), (284, 3, 1, 1)]
    bits = struct.pack("<HHH", 8, 8, 8)
    return b"II*\0" + struct.pack("<I", 8) + _ifd(tags) + bits + stream


def bmp_runs(kind: int, most: int = MOST) -> bytes:
    """Run-length coded, in runs of one pixel or of none."""
    side = 3200 if kind == 1 else 7000
    head = struct.pack(
        "<IiiHHIIiiII", 40, side, side, 1, 8 if kind == 1 else 4, kind, 0, 0, 0, 256, 0
    )
    colours = bytes(4 * 256)
    body = (b"\x01a" if kind == 1 else b"\xffa") * ((most - 2000) // 2)
    at = 14 + len(head) + len(colours)
    return b"BM" + struct.pack("<IHHI", at + len(body), 0, 0, at) + head + colours + body


def ppm_plain(most: int = MOST) -> bytes:
    """Numbers in words, as many as fit."""
    return b"P3 1870 1870 255\n" + b"1 " * (most // 2 - 100)


def ppm_odd_depth(most: int = MOST) -> bytes:
    """Samples of 0 to 254, which have to be scaled."""
    return b"P6 2640 2640 254\n" + bytes(2640 * 2640 * 3)


def ppm_long_header(most: int = MOST) -> bytes:
    """A header that is one comment."""
    return b"P6 #" + b"a" * (most - 300) + b"\n8 8 255\n" + bytes(192)


def ppm_many_comments(most: int = MOST) -> bytes:
    """A header that is comments, one to a line."""
    return b"P3 8 8 255\n" + b"#\n" * (most // 2 - 100)


def webp_many_chunks(most: int = MOST) -> bytes:
    """Two and a half million chunks of nothing behind the picture."""
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (1, 2, 3, 4)).save(buffer, "WEBP", lossless=True, exif=b"Exif\0\0")
    whole = buffer.getvalue() + b"abcd\0\0\0\0" * (most // 8 - 100)
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]


def mpo_many_pictures(most: int = MOST) -> bytes:
    """A camera's JPEG that says it has millions of pictures behind it."""
    buffer = io.BytesIO()
    small = Image.new("RGB", (8, 8))
    small.save(buffer, "MPO", save_all=True, append_images=[small])
    whole = buffer.getvalue()
    tag = whole.index(b"\x01\xb0")  # number of pictures
    little = whole.index(b"MPF\0II") >= 0
    number = struct.pack("<I" if little else ">I", 2**31 - 1)
    at = whole.index(struct.pack("<HHI", 0xB001, 4, 1)) + 8 if little else tag + 10
    return whole[:at] + number + whole[at + 4 :]


FILES: Mapping[str, Callable[..., bytes]] = {
    make.__name__: make
    for make in (
        png_many_chunks,
        png_many_texts,
        png_compressed_texts,
        png_profile_bomb,
        png_empty_data,
        png_data_bytewise,
        png_many_frames,
        png_largest,
        png_slowest,
        jpeg_many_scans,
        jpeg_some_scans,
        jpeg_many_segments,
        jpeg_many_comments,
        jpeg_filled,
        jpeg_many_tables,
        jpeg_many_profiles,
        jpeg_many_photoshop_blocks,
        gif_many_extensions,
        gif_many_comments,
        gif_many_sub_blocks,
        gif_many_frames,
        gif_long_data,
        tiff_many_pages,
        tiff_many_strips,
        tiff_many_tiles,
        tiff_many_tags,
        tiff_progressive,
        ppm_plain,
        ppm_odd_depth,
        ppm_long_header,
        ppm_many_comments,
        webp_many_chunks,
        mpo_many_pictures,
    )
} | {"bmp_runs_8": partial(bmp_runs, 1), "bmp_runs_4": partial(bmp_runs, 2)}
