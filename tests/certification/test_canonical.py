"""The canonical image: every kind of upload, right or refused, and every step said."""

import contextlib
import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from certification.canonical import (
    CanonicalImage,
    Limits,
    canonicalise,
    parse_size,
    pixel_sha256,
)
from certification.errors import (
    ImageError,
    ImageTooLarge,
    InvalidParameter,
    NotAnImage,
    UnsupportedImage,
)
from certification.samples import BAND


def picture(width=40, height=30, mode="RGB") -> Image.Image:
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 6 % 256, y * 8 % 256, (x + y) * 3 % 256], axis=-1).astype(np.uint8)
    return Image.fromarray(rgb).convert(mode)


def encode(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """A PNG of a few hundred bytes whose header claims side × side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_plain_picture_is_kept_as_it_is():
    image = canonicalise(encode(picture()))
    assert image.pixels.shape == (30, 40, 3)
    assert image.pixels.dtype == np.uint8
    assert not image.pixels.flags.writeable
    assert np.array_equal(image.pixels, np.asarray(picture()))
    assert image.steps == ()
    assert image.dimension == 3600


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP", "JPEG"])
def test_known_formats(kind):
    image = canonicalise(encode(picture(), kind))
    assert (image.height, image.width) == (30, 40)
    assert image.source["format"] == kind


def test_the_png_gives_the_array_back_bit_by_bit():
    image = canonicalise(encode(picture(), "JPEG"))
    again = canonicalise(image.png())
    assert again.sha256 == image.sha256


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (b"", NotAnImage, "empty"),
        (b"hello, I am no picture", NotAnImage, "known format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", NotAnImage, "known format"),
        (b"\x89PNG\r\n\x1a\n", NotAnImage, "damaged|known format"),
        (encode(picture())[:60], NotAnImage, "truncated"),
        (encode(picture(), "JPEG")[:300], NotAnImage, "truncated|damaged|known"),
        (encode(picture(), "BMP")[:-100], NotAnImage, "truncated"),
        (encode(picture(1001, 10)), UnsupportedImage, "100 times"),
        (bomb(60_000), ImageTooLarge, "pixels"),
        (bomb(8_000), ImageTooLarge, "pixels"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else getattr(value, "__name__", value),
)
def test_refused(data, error, says):
    with pytest.raises(error, match=says):
        canonicalise(data)


def test_the_very_long_picture_is_refused():
    with pytest.raises(UnsupportedImage, match="20000×20"):
        canonicalise(encode(Image.new("RGB", (20_000, 20))))


def test_limits():
    data = encode(picture())
    with pytest.raises(ImageTooLarge, match="bytes"):
        canonicalise(data, limits=Limits(max_bytes=len(data) - 1))
    with pytest.raises(ImageTooLarge, match="40×30"):
        canonicalise(data, limits=Limits(max_pixels=1199))
    canonicalise(data, limits=Limits(max_bytes=len(data), max_pixels=1200))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_and_pages_are_refused(kind):
    frames = [picture(), picture().rotate(90)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(UnsupportedImage, match="2 frames"):
        canonicalise(data)


def test_sixteen_bits_keep_the_upper_byte():
    values = np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50
    image = canonicalise(encode(Image.fromarray(values)))
    assert np.array_equal(image.pixels[..., 0], values >> 8)
    assert np.array_equal(image.pixels[..., 0], image.pixels[..., 2])
    assert "16-bit samples reduced to their upper 8 bits" in image.steps


@pytest.mark.parametrize("mode", ["F", "I"])
def test_samples_of_32_bits_have_no_agreed_scale(mode):
    """Floats within 0 and 1, the usual convention, would all become black."""
    dull = Image.fromarray(
        np.full((8, 8), 0.5 if mode == "F" else 30_000).astype(
            np.float32 if mode == "F" else np.int32
        )
    )
    assert dull.mode == mode
    with pytest.raises(UnsupportedImage, match="no agreed brightness"):
        canonicalise(encode(dull, "TIFF"))


def test_a_transparent_value_of_sixteen_bits_is_white():
    wide = Image.fromarray(np.array([[0x1234, 0x1235]], dtype=np.uint16))
    image = canonicalise(encode(wide, "PNG", transparency=0x1234))
    assert image.pixels[0, :, 0].tolist() == [255, 0x12]
    assert "transparency flattened on white" in image.steps


def test_a_pgm_of_sixteen_bits_keeps_its_upper_byte():
    data = b"P5 2 1 65535\n" + bytes([0x12, 0x34, 0xFF, 0xFF])
    image = canonicalise(data)
    assert image.pixels[0, :, 0].tolist() == [0x12, 0xFF]


def test_a_cameras_jpeg_with_a_preview_behind_it():
    """MPO: viewers show the first picture, so that is the one that is meant."""
    data = encode(picture(), "MPO", save_all=True, append_images=[picture()])
    image = canonicalise(data)
    assert image.source["format"] == "MPO"
    assert image.steps == ("the first picture of the file taken, as every viewer does",)
    plain = canonicalise(encode(picture(), "JPEG"))
    assert np.abs(image.pixels.astype(int) - plain.pixels).max() <= 1


def test_a_name_that_no_json_can_hold():
    image = canonicalise(encode(picture()), name="bad\udcff.png" + "x" * 400)
    assert image.source["name"].startswith("bad?.png")
    assert len(image.source["name"]) == 255


def test_float_tiff_is_refused():
    data = encode(Image.fromarray(np.full((5, 5), np.nan, dtype=np.float32)), "TIFF")
    with pytest.raises(UnsupportedImage, match="mode F"):
        canonicalise(data)


@pytest.mark.parametrize(
    ("mode", "kind", "step"),
    [
        ("CMYK", "JPEG", "CMYK converted to RGB"),
        ("L", "PNG", "grey copied to three channels"),
        ("1", "PNG", "grey copied to three channels"),
        ("LA", "PNG", "transparency flattened on white"),
        ("RGBA", "PNG", "transparency flattened on white"),
        ("YCbCr", "JPEG", None),
        ("P", "PNG", "palette resolved to RGB"),
    ],
)
def test_modes(mode, kind, step):
    image = canonicalise(encode(picture().convert(mode), kind))
    assert image.pixels.shape == (30, 40, 3)
    assert list(image.steps) == ([step] if step else [])


def test_transparent_is_white_in_all_its_forms():
    clear = Image.new("RGBA", (8, 8), (10, 20, 30, 0))
    grey = Image.new("LA", (8, 8), (10, 0))
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30] * 256)
    for image, options in ((clear, {}), (grey, {}), (palette, {"transparency": 0})):
        assert (canonicalise(encode(image, **options)).pixels == 255).all()
    half = canonicalise(encode(Image.new("RGBA", (8, 8), (0, 0, 0, 128))))
    assert set(np.unique(half.pixels)) == {127}


def test_what_is_flattened_in_bands_is_as_if_it_were_flattened_whole():
    random = np.random.default_rng(3).integers(0, 256, (2 * BAND + 7, 5, 4), dtype=np.uint8)
    whole = Image.fromarray(random)
    white = Image.new("RGBA", whole.size, (255, 255, 255, 255))
    expected = np.asarray(Image.alpha_composite(white, whole).convert("RGB"))
    assert np.array_equal(canonicalise(encode(whole)).pixels, expected)
    keyed = whole.convert("RGB").quantize(16)
    palette = canonicalise(encode(keyed, transparency=bytes(range(0, 256, 16))))
    keyed.info["transparency"] = bytes(range(0, 256, 16))
    expected = np.asarray(Image.alpha_composite(white, keyed.convert("RGBA")).convert("RGB"))
    assert np.array_equal(palette.pixels, expected)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {}), ("PNG", {}), ("TIFF", {"compression": "tiff_adobe_deflate"})],
)
def test_a_cameras_picture_of_24_megapixels_is_taken(kind, options):
    grey = Image.new("L", (6000, 4000), 77)
    image = canonicalise(encode(grey, kind, **options), size=(32, 32))
    assert (image.source["width"], image.source["height"]) == (6000, 4000)
    assert abs(image.pixels.astype(int) - 77).max() <= 1


def test_larger_ones_than_can_be_decoded_in_a_second_or_two_are_refused():
    with pytest.raises(ImageTooLarge, match="5001×5001 pixels, the limit is 25,000,000"):
        canonicalise(encode(Image.new("1", (5001, 5001))))


def test_exif_orientation_is_applied_and_said():
    upright = picture()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held a quarter turn to the left
    image = canonicalise(encode(upright, "PNG", exif=exif))
    assert np.array_equal(image.pixels, np.asarray(upright.rotate(-90, expand=True)))
    assert image.steps == ("EXIF orientation 6 applied",)


def test_a_colour_profile_is_named():
    image = canonicalise(encode(picture(), icc_profile=b"x" * 200))
    assert image.steps == ("embedded colour profile ignored",)


def test_text_bombs_in_png_do_not_hurt():
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Comment", "x" * 5_000_000, zip=True)
    with pytest.raises(ImageError):
        canonicalise(encode(picture(), pnginfo=info))


@pytest.mark.parametrize(
    ("given_size", "asked", "steps"),
    [
        ((640, 480), None, ["reduced 640×480 to 256×192 (Lanczos)"]),
        ((256, 3), None, []),
        ((640, 480), (32, 32), ["centre crop 480×480", "reduced 480×480 to 32×32 (Lanczos)"]),
        ((32, 48), (32, 32), ["centre crop 32×32"]),
        ((1, 1), (32, 32), ["enlarged 1×1 to 32×32 (Lanczos)"]),
        ((1, 1), None, []),
        ((64, 64), (32, 32), ["reduced 64×64 to 32×32 (Lanczos)"]),
        ((30, 40), (10, 60), ["centre crop 30×5", "enlarged 30×5 to 60×10 (Lanczos)"]),
    ],
)
def test_sizes(given_size, asked, steps):
    image = canonicalise(encode(Image.new("RGB", given_size, (9, 9, 9))), size=asked)
    assert list(image.steps) == steps
    if asked:
        assert image.pixels.shape == (*asked, 3)


def test_a_long_picture_is_cut_before_it_is_enlarged():
    """Enlarged as a whole it would take gigabytes: 204,800×2,048 pixels."""
    thin = Image.new("RGB", (100, 1), (9, 9, 9))
    image = canonicalise(encode(thin), size=(512, 512))
    assert image.steps == ("centre crop 1×1", "enlarged 1×1 to 512×512 (Lanczos)")


def test_the_crop_is_the_centre():
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = 255
    image = canonicalise(encode(Image.fromarray(wide)), size=(10, 10))
    assert (image.pixels == 255).all()


@pytest.mark.parametrize(
    ("text", "size"), [("224", (224, 224)), ("320x240", (240, 320)), (" 1 x 2", (2, 1))]
)
def test_parse_size(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "0", "-3", "1x2x3", "9999", "nan", "1e2", "²"])
def test_parse_size_refuses(text):
    with pytest.raises(InvalidParameter, match="size"):
        parse_size(text)


def test_the_name_depends_on_the_shape():
    assert pixel_sha256(np.zeros((2, 8, 3), np.uint8)) != pixel_sha256(
        np.zeros((4, 4, 3), np.uint8)
    )


DAMAGED = [encode(picture(), kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(DAMAGED), st.data())
def test_damaged_files_are_pictures_or_image_errors_and_nothing_else(data, draw):
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 8))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(1, len(damaged)))
    with contextlib.suppress(ImageError):
        image = canonicalise(bytes(damaged[:cut]), limits=Limits(max_pixels=1_000_000))
        assert isinstance(image, CanonicalImage)
        assert image.pixels.dtype == np.uint8
