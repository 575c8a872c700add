"""The canonical image: the array that a certificate is about.

An upload is decoded, turned upright (EXIF), flattened on white, brought to 8-bit RGB and to
size. Every step taken is recorded in words on the certificate, since the guarantee holds for
the array that comes out here and not for the file that went in.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from certification.decision import encodable
from certification.effort import refuse_costly_file, refuse_costly_picture
from certification.errors import (
    ImageTooLarge,
    InvalidParameter,
    NotAnImage,
    UnsupportedImage,
)
from certification.samples import depth_steps, to_rgb, upright

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
LONGEST_SIDE = 256  # default where neither the caller nor the provider names a size
LARGEST_SIZE = 2048  # of a canonical image; the noise table's margin grows with the area
LONGEST_NAME = 255
LONGEST_SIZE_TEXT = 20
MOST_ELONGATED = 100  # longer : shorter side; beyond it nothing of the picture would be left


@dataclass(frozen=True)
class Limits:
    """What an upload may be: bytes of the file, pixels after decoding."""

    max_bytes: int = 20 * 2**20
    max_pixels: int = 25_000_000  # a camera's 6000×4000, and decoded in about a second at worst


@dataclass(frozen=True)
class CanonicalImage:
    """An 8-bit RGB picture and how it came about.

    Attributes:
        pixels: uint8 array (H, W, 3), read-only.
        source: name, format, width, height and mode of the upload, and the SHA-256 of its
            bytes. The name is the caller's own, for finding the picture again; it proves nothing.
        steps: what was done to it, in words and in order.
    """

    pixels: NDArray[np.uint8]
    source: dict[str, Any]
    steps: tuple[str, ...]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def dimension(self) -> int:
        """H·W·3 = d, the dimension of the space the radius lives in."""
        return int(self.pixels.size)

    @property
    def sha256(self) -> str:
        """The picture's name, see :func:`pixel_sha256`."""
        return pixel_sha256(self.pixels)

    def png(self) -> bytes:
        """Encode losslessly; decoding it gives `pixels` back bit by bit."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "PNG")
        return buffer.getvalue()

    def describe(self) -> dict[str, Any]:
        """Return the entry of the certificate."""
        return {
            "sha256": self.sha256,
            "width": self.width,
            "height": self.height,
            "source": dict(self.source),
            "steps": list(self.steps),
        }


def pixel_sha256(pixels: NDArray[np.uint8]) -> str:
    """SHA-256 of height and width (4 bytes each, big endian) followed by the RGB bytes.

    The shape goes first, since a 2×8 and a 4×4 picture may hold the same bytes.

    Args:
        pixels: uint8 array (H, W, 3).

    Returns:
        64 hexadecimal digits.
    """
    height, width, _ = pixels.shape
    head = height.to_bytes(4, "big") + width.to_bytes(4, "big")
    return hashlib.sha256(head + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def parse_size(text: str) -> tuple[int, int]:
    """Read a size such as "224" (a square) or "320x240" (width x height).

    Args:
        text: the size as a user writes it.

    Returns:
        (height, width) in pixels.

    Raises:
        InvalidParameter: if it is no size, or a side is not within 1 … `LARGEST_SIZE`.
    """
    if len(text) > LONGEST_SIZE_TEXT:
        raise InvalidParameter(f"size {text[:40]!r} is not a size: write 224 or 320x240", "size")
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(p.strip().isascii() and p.strip().isdigit() for p in parts):
        raise InvalidParameter(f"size {text[:40]!r} is not a size: write 224 or 320x240", "size")
    sides = [int(p) for p in parts]
    width, height = sides[0], sides[-1]
    if not (1 <= width <= LARGEST_SIZE and 1 <= height <= LARGEST_SIZE):
        raise InvalidParameter(
            f"size {text[:40]!r}: each side must be 1 to {LARGEST_SIZE} pixels", "size"
        )
    return height, width


def canonicalise(
    data: bytes,
    *,
    size: tuple[int, int] | None = None,
    limits: Limits | None = None,
    name: str | None = None,
) -> CanonicalImage:
    """Turn an upload into the canonical image.

    Args:
        data: the file's bytes; one of `FORMATS`.
        size: (height, width) to bring it to: the largest part of this shape is cut out at the
            centre and scaled. None keeps the aspect, the longer side at most 256 px.
        limits: what an upload may be.
        name: what the caller calls the picture, such as a file name.

    Returns:
        The picture and the steps that led to it.

    Raises:
        NotAnImage: unknown format, empty, truncated or damaged.
        ImageTooLarge: over the limit of bytes or of pixels (decompression bombs included;
            the size is read from the header, before any pixel is decoded).
        UnsupportedImage: several frames, more than 100 times as long as wide, or made of more
            parts than a picture has (see :mod:`certification.effort`).
    """
    opened = _opened(data, limits or Limits())
    source = {
        "name": None if name is None else encodable(name[:LONGEST_NAME]),
        "sha256": hashlib.sha256(data).hexdigest(),
        "format": opened.format,
        "width": opened.width,
        "height": opened.height,
        "mode": opened.mode,
    }
    steps = depth_steps(opened)
    if opened.format == "MPO":
        steps.append("the first picture of the file taken, as every viewer does")
    picture = _upright_rgb(_decode(opened), steps)
    picture = _bring_to_size(picture, size, steps)
    pixels = np.asarray(picture, dtype=np.uint8)
    pixels.setflags(write=False)
    return CanonicalImage(pixels=pixels, source=source, steps=tuple(steps))


def check_header(data: bytes, limits: Limits | None = None) -> None:
    """Refuse what :func:`canonicalise` would refuse without decoding a pixel: cheap.

    What is truncated or damaged behind its header passes.

    Args:
        data: as for `canonicalise`.
        limits: what an upload may be.

    Raises:
        NotAnImage, ImageTooLarge, UnsupportedImage: as there.
    """
    _opened(data, limits or Limits()).close()


def _opened(data: bytes, limits: Limits) -> Image.Image:
    if not data:
        raise NotAnImage("the upload is empty (0 bytes): send the picture's bytes")
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(
            f"the upload has {len(data):,} bytes, the limit is {limits.max_bytes:,}: "
            "send a smaller picture"
        )
    refuse_costly_file(data)
    opened = _open(data)
    _check(opened, limits)
    refuse_costly_picture(opened, data)
    return opened


def _open(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow warns of large and odd files; sizes are judged by `_check`.
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise NotAnImage(
            f"the upload is not a picture of a known format ({', '.join(FORMATS)})"
        ) from None
    except Image.DecompressionBombError:
        raise ImageTooLarge("the picture has too many pixels: send a smaller one") from None
    except Exception as error:  # noqa: BLE001  decoders raise all sorts on damaged headers
        raise NotAnImage(f"the picture's header is damaged ({type(error).__name__})") from None


def _check(picture: Image.Image, limits: Limits) -> None:
    width, height = picture.size
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"the picture has {width}×{height} pixels, the limit is {limits.max_pixels:,} "
            "in all: send a smaller one"
        )
    if max(width, height) > MOST_ELONGATED * min(width, height):
        raise UnsupportedImage(
            f"the picture is {width}×{height}, more than {MOST_ELONGATED} times as long as wide: "
            "cut out the part that matters"
        )
    frames = _frames(picture)
    if frames > 1 and picture.format != "MPO":  # a camera's JPEG with previews or depth behind it
        raise UnsupportedImage(
            f"the upload holds {frames} frames (an animation or several pages): send one of them, "
            "since a certificate is about one picture"
        )


def _frames(picture: Image.Image) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(getattr(picture, "n_frames", 1))
    except Exception as error:  # noqa: BLE001  counting reads further headers, see `_open`
        raise NotAnImage(f"the picture's header is damaged ({type(error).__name__})") from None


def _decode(picture: Image.Image) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture.load()
    except MemoryError:
        raise ImageTooLarge("the picture does not fit into memory: send a smaller one") from None
    except Exception as error:  # noqa: BLE001  decoders raise all sorts on damaged data
        raise NotAnImage(
            f"the picture is truncated or damaged ({type(error).__name__}): send it again"
        ) from None
    return picture


def _upright_rgb(picture: Image.Image, steps: list[str]) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return to_rgb(upright(picture, steps), steps)
    except UnsupportedImage:
        raise
    except MemoryError:
        raise ImageTooLarge("the picture does not fit into memory: send a smaller one") from None
    except Exception as error:  # noqa: BLE001  a palette that is not there, odd transparency
        raise NotAnImage(
            f"the picture is damaged ({type(error).__name__}): save it again"
        ) from None


def _bring_to_size(
    picture: Image.Image, size: tuple[int, int] | None, steps: list[str]
) -> Image.Image:
    if size is None:
        longer = max(picture.size)
        if longer <= LONGEST_SIDE:
            return picture
        size_wh = tuple(max(1, round(s * LONGEST_SIDE / longer)) for s in picture.size)
        return _resize(picture, (size_wh[0], size_wh[1]), steps)
    height, width = size
    if picture.size == (width, height):
        return picture
    # The part to keep is cut out first: of a long picture enlarged as a whole little would be left.
    scale = max(width / picture.width, height / picture.height)
    box_w = min(picture.width, max(1, round(width / scale)))
    box_h = min(picture.height, max(1, round(height / scale)))
    if (box_w, box_h) != picture.size:
        left, top = (picture.width - box_w) // 2, (picture.height - box_h) // 2
        picture = picture.crop((left, top, left + box_w, top + box_h))
        steps.append(f"centre crop {box_w}×{box_h}")
    return _resize(picture, (width, height), steps)


def _resize(picture: Image.Image, size: tuple[int, int], steps: list[str]) -> Image.Image:
    if picture.size == size:
        return picture
    verb = "enlarged" if size[0] > picture.width or size[1] > picture.height else "reduced"
    steps.append(f"{verb} {picture.width}×{picture.height} to {size[0]}×{size[1]} (Lanczos)")
    return picture.resize(size, Image.Resampling.LANCZOS)
