"""A picture small enough to be shown by the dozen on one page."""

import io

from PIL import Image

from certification.canonical import canonicalise
from certification.errors import ImageError

SIDE = 96  # pixels


def thumbnail_png(data: bytes) -> bytes | None:
    """Return a PNG of at most SIDE pixels a side; None of what is no picture.

    Args:
        data: bytes of an upload, of any kind; read with the same care as what is certified.
    """
    try:
        image = Image.fromarray(canonicalise(data).pixels)
    except ImageError:
        return None
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
