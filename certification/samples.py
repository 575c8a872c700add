"""From whatever samples a picture has to 8-bit RGB, every step said in words."""

import numpy as np
from PIL import Image, ImageOps

from certification.errors import UnsupportedImage

BAND = 64  # rows
SIXTEEN_BIT = "16-bit samples reduced to their upper 8 bits"


def depth_steps(picture: Image.Image) -> list[str]:
    """Say how the decoder will bring deeper samples to 8 bits; deep grey is left to `to_rgb`.

    Args:
        picture: opened, not yet decoded.

    Raises:
        UnsupportedImage: if nobody agreed on what its samples mean.
    """
    tiles = getattr(picture, "tile", None)
    raw = tiles[0].args if tiles else ""
    mode, *rest = raw if isinstance(raw, tuple) else (raw,)
    if mode == "I;12":
        raise UnsupportedImage("12-bit samples have no agreed brightness: send an 8-bit picture")
    if ";16" in str(mode) and not picture.mode.startswith("I"):
        return [SIXTEEN_BIT]
    if picture.format == "PPM" and picture.mode != "I" and rest and rest[0] not in (0, 1, 255):
        return [f"samples of 0 to {rest[0]} scaled to 8 bits"]
    return []


def upright(picture: Image.Image, steps: list[str]) -> Image.Image:
    """Turn a decoded picture as its EXIF says.

    Args:
        picture: in any mode.
        steps: what is done to it is added here, in words.
    """
    try:
        orientation = picture.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001  damaged EXIF says nothing about the pixels
        return picture
    if orientation not in range(2, 9):
        return picture
    steps.append(f"EXIF orientation {orientation} applied")
    return ImageOps.exif_transpose(picture)


def to_rgb(picture: Image.Image, steps: list[str]) -> Image.Image:
    """Bring a decoded picture to 8-bit RGB.

    Args:
        picture: in any mode.
        steps: what is done to it is added here, in words.

    Raises:
        UnsupportedImage: if nobody agreed on what its samples mean.
    """
    if picture.info.get("icc_profile"):
        steps.append("embedded colour profile ignored")
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _to_grey8(picture, steps)
    if picture.has_transparency_data:
        steps.append("transparency flattened on white")
        return _on_white(picture)
    if picture.mode in ("L", "1", "LA"):
        steps.append("grey copied to three channels")
    elif picture.mode in ("P", "PA"):
        steps.append("palette resolved to RGB")
    elif picture.mode not in ("RGB", "RGBA"):
        steps.append(f"{picture.mode} converted to RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    """Flatten a picture band by band: copies of the whole would cost more than the decoder."""
    flat = Image.new("RGB", picture.size)
    for top in range(0, picture.height, BAND):
        box = (0, top, picture.width, min(top + BAND, picture.height))
        band = picture.crop(box).convert("RGBA")
        white = Image.new("RGBA", band.size, (255, 255, 255, 255))
        flat.paste(Image.alpha_composite(white, band).convert("RGB"), box)
    return flat


def _to_grey8(picture: Image.Image, steps: list[str]) -> Image.Image:
    """16-bit grey keeps its upper byte, as PNG defines it; nothing else has an agreed scale.

    Pillow gives PGM files of more than 8 bits as 32-bit samples, scaled to 0 … 65535.
    """
    sixteen = picture.mode.startswith("I;16") or picture.format == "PPM"
    values = np.asarray(picture)
    if not sixteen or picture.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise UnsupportedImage(
            f"samples of 32 bits or floating point (mode {picture.mode}) have no agreed "
            "brightness: send an 8-bit or 16-bit picture"
        )
    steps.append(SIXTEEN_BIT)
    grey = (values >> 8).astype(np.uint8)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):  # PNG names one 16-bit value
        steps.append("transparency flattened on white")
        grey[values == transparent] = 255
    return Image.fromarray(grey)
