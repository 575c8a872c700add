"""One call for every architecture: pictures and their noise level in, clean pictures out.

For one's own programs and for measuring. Surety itself runs networks faster, and each picture to
the same bits whatever shares its batch: :mod:`denoisers.runtime`.
"""

import torch
from torch import nn


@torch.inference_mode()
def denoise(network: nn.Module, noisy: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
    """Clean pictures.

    Args:
        network: of any architecture, see :mod:`denoisers.architectures`; is put into evaluation
            mode, and computes where its weights are and in their precision.
        noisy: float32 (N, 3, H, W), pictures on [0, 1] plus noise, not clipped; any size.
        sigma: standard deviation of the noise on the same scale: one for all pictures, or (N,).

    Returns:
        float32 (N, 3, H, W) where `noisy` is, not clipped.

    Raises:
        RuntimeError: if there are neither one nor N levels.
    """
    weights = next(network.parameters(), noisy)
    given = noisy.to(weights.device).contiguous(memory_format=torch.channels_last)
    levels = torch.as_tensor(sigma, dtype=torch.float32, device=weights.device)
    cleaned: torch.Tensor = network.eval()(given, levels.reshape(-1).expand(len(noisy)))
    return cleaned.float().to(noisy.device)
