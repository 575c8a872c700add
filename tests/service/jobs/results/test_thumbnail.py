"""Small pictures for the report."""

import io

import pytest
from PIL import Image

from service.jobs.results.thumbnail import SIDE, thumbnail_png
from tests.service.pictures import bomb, encode, gradient, png, truncated


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (png(400, 200), (96, 48)),
        (encode(gradient(100, 300), "JPEG"), (32, 96)),
        (png(12, 8), (12, 8)),
    ],
)
def test_it_keeps_the_shape(data, size):
    small = thumbnail_png(data)
    assert small is not None
    with Image.open(io.BytesIO(small)) as picture:
        assert (picture.format, picture.size) == ("PNG", size)
        assert max(picture.size) <= SIDE


@pytest.mark.parametrize("data", [b"", b"no picture", bomb(), truncated("PNG")])
def test_what_is_no_picture_has_none(data):
    assert thumbnail_png(data) is None
