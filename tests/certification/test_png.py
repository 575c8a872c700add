"""The PNG writer: everything comes back bit by bit, also from decoders that nobody here wrote."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from certification import png

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))


def decoded(data):
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        return np.asarray(picture)


def kinds(height, width):
    """Pictures that are hard in different ways."""
    rng = np.random.default_rng(0)
    shape = (height, width, 3)
    yield np.zeros(shape, np.uint8)
    yield np.full(shape, 255, np.uint8)
    yield rng.integers(0, 256, shape, dtype=np.uint8)
    yield rng.integers(0, 2, shape, dtype=np.uint8) * np.uint8(255)
    yield np.add.outer(np.arange(height), np.arange(3 * width)).astype(np.uint8).reshape(shape)


@given(npst.arrays(np.uint8, SHAPES))
@settings(deadline=None)
def test_pillow_reads_it_back_bit_by_bit(pixels):
    data = png.encode(pixels)
    assert np.array_equal(decoded(data), pixels)
    assert png.encode(pixels.copy()) == data
    assert len(data) <= png.largest(*pixels.shape[:2])


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (80, 80), (224, 224), (333, 257)])
def test_no_picture_is_larger_than_promised(size):
    for pixels in kinds(*size):
        data = png.encode(pixels)
        assert np.array_equal(decoded(data), pixels)
        assert len(data) <= png.largest(*size)


def test_views_are_written_as_what_they_show():
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for view in (pixels[::2], pixels[:, ::-1], pixels[..., ::-1], pixels.transpose(1, 0, 2)):
        assert np.array_equal(decoded(png.encode(view)), view)
        assert png.encode(view) == png.encode(np.ascontiguousarray(view))
    pixels.flags.writeable = False
    assert np.array_equal(decoded(png.encode(pixels)), pixels)


def test_it_keeps_to_the_format():
    data = png.encode(np.random.default_rng(2).integers(0, 256, (7, 5, 3), dtype=np.uint8))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(kind + body),)
        found[kind] = body
        at += 12 + length
    assert list(found) == [b"IHDR", b"IDAT", b"IEND"]
    assert found[b"IHDR"] == struct.pack(">IIBBBBB", 5, 7, 8, 2, 0, 0, 0)
    rows = np.frombuffer(zlib.decompress(found[b"IDAT"]), np.uint8).reshape(7, 16)
    assert (rows[:, 0] == 3).all()


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
        np.zeros((4, 4, 3), np.int16),
    ],
    ids=lambda pixels: f"{pixels.dtype} {pixels.shape}",
)
def test_other_arrays_are_refused(wrong):
    with pytest.raises(ValueError, match="no picture"):
        png.encode(wrong)
