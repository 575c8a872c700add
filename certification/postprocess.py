"""From a denoised sample to what the provider is sent: fit to size, then encode.

All of this is part of the base classifier f and is treated alike for every sample, so it
cannot hurt the proof. It is named in the subject, since another f has other votes.
"""

import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from certification import png
from certification.errors import InvalidParameter
from certification.protocols import Payload, Pixels, Traits

JPEG_QUALITY = 95
_JPEG_BLOCK = 8  # sides are filled up to whole ones

Encoding = Literal["png", "jpeg"]
"""What a caller may ask for."""


@dataclass(frozen=True)
class PostProcess:
    """Resizes (Pillow's bilinear filter, integer arithmetic) and encodes one sample.

    Attributes:
        size: (height, width) to bring samples to; None leaves them as they are.
        encoding: "pixels", "png" or "jpeg".
    """

    size: tuple[int, int] | None
    encoding: Literal["pixels", "png", "jpeg"]

    @classmethod
    def plan(
        cls, height: int, width: int, traits: Traits, asked: Encoding | None = None
    ) -> "PostProcess":
        """Choose what a provider needs for samples of height × width.

        Args:
            height: of the samples.
            width: of the samples.
            traits: what the provider takes.
            asked: the encoding that the caller wants, None for the provider's own.

        Raises:
            InvalidParameter: if the samples are larger than the provider takes, or it does not
                take them so encoded. Known before the first call, so no money has been spent.
        """
        encoding = _encoding(traits, asked)
        size = traits.input_size
        if size is None and min(height, width) < traits.min_side:
            scale = traits.min_side / min(height, width)
            size = (
                max(traits.min_side, round(height * scale)),
                max(traits.min_side, round(width * scale)),
            )
        sent_h, sent_w = size or (height, width)
        too_long = traits.max_side is not None and max(sent_h, sent_w) > traits.max_side
        too_large = traits.max_pixels is not None and sent_h * sent_w > traits.max_pixels
        if too_long or too_large:
            raise InvalidParameter(
                f"samples would be sent as {sent_w}×{sent_h} pixels, more than the provider "
                f"takes (side {traits.max_side}, area {traits.max_pixels}): ask for a smaller size",
                "size",
            )
        largest, most = _largest(sent_h, sent_w, encoding), traits.max_bytes
        if most is not None and largest > most:
            raise InvalidParameter(
                f"samples sent as {sent_w}×{sent_h} pixels may take {largest:,} bytes, more than "
                f"the {most:,} that the provider takes: ask for a smaller size",
                "size",
            )
        return cls(None if size == (height, width) else size, encoding)

    @property
    def leaves_alone(self) -> bool:
        """Whether samples are sent as they are."""
        return self.size is None and self.encoding == "pixels"

    def describe(self) -> dict[str, Any]:
        """Return the entry of the subject."""
        entry: dict[str, Any] = {"encoding": self.encoding}
        if self.encoding == "jpeg":
            entry["quality"] = JPEG_QUALITY
        if self.size is not None:
            entry["resize"] = {
                "height": self.size[0],
                "width": self.size[1],
                "filter": "bilinear",
            }
        return entry

    def __call__(self, sample: Pixels) -> Payload:
        """Prepare one sample.

        Args:
            sample: uint8 (H, W, 3).

        Returns:
            uint8 (h, w, 3), or the encoded bytes.
        """
        if self.size is not None:
            height, width = self.size
            resized = Image.fromarray(sample).resize((width, height), Image.Resampling.BILINEAR)
            sample = np.asarray(resized, dtype=np.uint8)
        if self.encoding == "pixels":
            return sample
        if self.encoding == "png":
            return png.encode(sample)
        buffer = io.BytesIO()
        Image.fromarray(sample).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        return buffer.getvalue()


def _encoding(traits: Traits, asked: Encoding | None) -> Literal["pixels", "png", "jpeg"]:
    """Choose how samples are encoded; see :class:`certification.protocols.Traits`."""
    takes = traits.payload
    if takes == "pixels" and asked == "jpeg":
        raise InvalidParameter(
            "encoding is 'jpeg', but this provider is given the pixels themselves: leave it out",
            "encoding",
        )
    if takes == "jpeg" and asked == "png":
        raise InvalidParameter(
            "encoding is 'png', but this provider takes JPEG alone: leave it out", "encoding"
        )
    return "jpeg" if takes == "png" and asked == "jpeg" else takes


def _largest(height: int, width: int, encoding: Literal["pixels", "png", "jpeg"]) -> int:
    """Return what no sample exceeds in bytes, whatever is on it; 0 for pixels."""
    if encoding == "pixels":
        return 0
    if encoding == "png":
        return png.largest(height, width)
    # Black and white noise takes 1.0 bytes a value at this quality, and nothing much more.
    blocks = [-(-side // _JPEG_BLOCK) * _JPEG_BLOCK for side in (height, width)]
    return int(1.25 * 3 * blocks[0] * blocks[1]) + 4096
