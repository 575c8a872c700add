"""No denoiser: clips to the pixel range. The baseline to compare with."""

import numpy as np
from numpy.typing import NDArray


class NoDenoiser:
    """Clips. Exact whole numbers on any machine."""

    name = "none"
    summary = "no denoiser, the noisy samples clipped: the baseline"
    weights_sha256: str | None = None
    compute = "cpu/int16"

    def batch_of(self, height: int, width: int) -> int:
        """Return how many pictures are clipped at once: few enough to fit into memory."""
        return max(1, min(32, 2**22 // (height * width)))

    def clean(self, noisy: NDArray[np.int16], sigma: float) -> NDArray[np.uint8]:
        """Clip to 0..255.

        Args:
            noisy: int16 (N, H, W, 3).
            sigma: not used.

        Returns:
            uint8 (N, H, W, 3).
        """
        return np.clip(noisy, 0, 255).astype(np.uint8)
