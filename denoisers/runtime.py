"""Runs a denoising network on batches of one fixed shape.

Batches of different shape may be computed by different kernels and differ in their low bits, so
all batches of pictures of one size are padded to the same number: a picture's result does not
depend on what shares its batch.
"""

import threading

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from denoisers.errors import NotUsable

BATCH = 32
PIXELS = 2**20  # in one batch; 32 pictures of 512×512 would take gigabytes


class Runtime:
    """A denoiser ready to use, from several threads if need be.

    Args:
        name: as a request gives it.
        network: called as network(noisy, sigma) on [0, 1], see :class:`denoisers.unet.UNet`.
        weights_sha256: SHA-256 of its weights file.
        device: "cpu" for now.
        summary: one line for people.

    Raises:
        NotUsable: if there is no such device here.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        weights_sha256: str,
        *,
        device: str = "cpu",
        summary: str = "",
    ) -> None:
        self.name, self.summary = name, summary
        self.weights_sha256: str | None = weights_sha256
        self.compute = f"{device}/float32"
        self._device = _usable(device)
        # torch's own stubs leave out memory_format
        self._network: nn.Module = network.eval().to(  # type: ignore[call-overload]
            self._device, memory_format=torch.channels_last
        )
        self._lock = threading.Lock()

    def batch_of(self, height: int, width: int) -> int:
        """Return how many pictures of this size are cleaned at once."""
        return max(1, min(BATCH, PIXELS // (height * width)))

    def clean(self, noisy: NDArray[np.int16], sigma: float) -> NDArray[np.uint8]:
        """Denoise, round to whole pixel values and clip.

        Args:
            noisy: int16 (N, H, W, 3), picture plus noise on the 0..255 scale, not clipped.
            sigma: standard deviation of the noise on the [0, 1] scale.

        Returns:
            uint8 (N, H, W, 3).
        """
        size = self.batch_of(*noisy.shape[1:3])
        parts = [
            self._clean_batch(noisy[start : start + size], sigma, size)
            for start in range(0, len(noisy), size)
        ]
        if not parts:
            return np.empty(noisy.shape, dtype=np.uint8)
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    @torch.inference_mode()
    def _clean_batch(self, noisy: NDArray[np.int16], sigma: float, size: int) -> NDArray[np.uint8]:
        count = len(noisy)
        batch = np.zeros((size, *noisy.shape[1:]), dtype=np.int16)
        batch[:count] = noisy
        with self._lock:  # one batch at a time: the cores are busy with it anyway
            pictures = torch.from_numpy(batch).to(self._device).permute(0, 3, 1, 2)
            level = torch.full((size,), sigma, device=self._device)
            cleaned = self._network(pictures.float() / 255, level)
            whole = (cleaned * 255).round_().clamp_(0, 255).to(torch.uint8)
            out: NDArray[np.uint8] = whole.permute(0, 2, 3, 1).cpu().numpy()
        return np.ascontiguousarray(out[:count])


def _usable(device: str) -> torch.device:
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise NotUsable(
            f"the device {device[:40]!r} cannot be used here ({type(error).__name__}): "
            "SURETY_DEVICE=cpu always can"
        ) from None
    return found
