"""Level `image`: the picture at hand is the one that the certificate is about."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from certification.canonical import CanonicalImage, Limits, canonicalise
from certification.checks.form import differs
from certification.errors import ImageError

Document = Mapping[str, Any]


def find(
    certificate: Document, data: bytes, limits: Limits | None
) -> tuple[CanonicalImage, list[str]]:
    """Bring a file to the canonical image of a certificate.

    Args:
        certificate: of the right shape.
        data: the original upload, or the canonical PNG.
        limits: what a file may be.

    Returns:
        The picture that came out, and what is wrong with it.

    Raises:
        ImageError: if the file is no picture.
    """
    image = certificate["image"]
    uploaded = hashlib.sha256(data).hexdigest() == image["source"]["sha256"]
    best: tuple[CanonicalImage, list[str]] | None = None
    for size in ((image["height"], image["width"]), None):
        try:
            picture = canonicalise(data, size=size, limits=limits)
        except ImageError:
            if best is None:
                raise
            break
        wrong = list(_faults(image, picture, uploaded))
        if best is None or len(wrong) < len(best[1]):
            best = picture, wrong
        if not wrong:
            break
    assert best is not None  # noqa: S101  the first try gave one, or raised
    return best


def _faults(image: Document, picture: CanonicalImage, uploaded: bool) -> Iterator[str]:
    if picture.sha256 != image["sha256"]:
        why = (
            "it is the file that was uploaded, byte for byte, but decodes to other pixels here, as "
            "JPEG may: use the canonical PNG"
            if uploaded
            else "it is another picture, or was brought to size in another way"
        )
        yield (
            f"the file gives {picture.width}×{picture.height} pixels with SHA-256 "
            f"{picture.sha256} where image.sha256 is {image['sha256']}: {why}"
        )
    elif uploaded:
        for name in ("format", "width", "height", "mode"):
            yield from differs(
                f"image.source.{name}", image["source"][name], picture.source[name], "file"
            )
        if image["steps"] != list(picture.steps):
            steps = "; ".join(picture.steps) or "none"
            yield f"image.steps is not what was done to the file: {steps}"
