"""From a denoised sample to what the provider is sent: fit to size, then encode.

All of this is part of the base classifier f and is treated alike for every sample, so it
cannot hurt the proof. It is named in the subject, since another f has other votes.
"""

import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from certification.errors import InvalidParameter
from certification.protocols import Payload, Pixels, Traits

JPEG_QUALITY = 95


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
    def plan(cls, height: int, width: int, traits: Traits) -> "PostProcess":
        """Choose what a provider needs for samples of height × width.

        Raises:
            InvalidParameter: if the samples are larger than the provider takes. Known before
                the first call, so no money has been spent.
        """
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
        largest = int(1.01 * 3 * sent_h * sent_w) + 4096
        most = None if traits.payload == "pixels" else traits.max_bytes
        if most is not None and largest > most:
            raise InvalidParameter(
                f"samples sent as {sent_w}×{sent_h} pixels may take {largest:,} bytes, more than "
                f"the {most:,} that the provider takes: ask for a smaller size",
                "size",
            )
        return cls(None if size == (height, width) else size, traits.payload)

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
        if self.size is None and self.encoding == "pixels":
            return sample
        picture = Image.fromarray(sample)
        if self.size is not None:
            height, width = self.size
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        if self.encoding == "pixels":
            return np.asarray(picture, dtype=np.uint8)
        buffer = io.BytesIO()
        if self.encoding == "png":
            # Fast rather than small: samples are sent once and thrown away.
            picture.save(buffer, "PNG", compress_level=1)
        else:
            picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        return buffer.getvalue()
