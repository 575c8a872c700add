"""What is done to a picture before and after a network, so that it has the same task at each sigma.

    x̂ = ½ + c_skip·(y − ½) + c_out·U([c_in·(y − ½), ¼ ln σ])       y = x + σε

with c_skip = s²/(σ² + s²), c_out = σs/√(σ² + s²), c_in = 1/√(σ² + s²) and s the standard
deviation of pixel values: what U is given and what it has to learn then have variance one at
every σ (Karras, Aittala, Aila, Laine, "Elucidating the Design Space of Diffusion-Based
Generative Models", NeurIPS 2022, table 1). Without it U learns mostly to repeat strong noise.
"""

import torch
from torch.nn import functional

LEAST = 1e-6  # sigma: less is no noise at all, and 0 has no logarithm
CENTRE, SPREAD = 0.5, 0.25  # mean and standard deviation of pixel values, roughly


def levels(sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return σ and σ² + s², float32 (N, 1, 1, 1) each.

    Args:
        sigma: float32 (N,).
    """
    level = sigma.view(-1, 1, 1, 1).clamp(min=LEAST)
    return level, level.square() + SPREAD**2


def filled_up(pictures: torch.Tensor, multiple: int) -> torch.Tensor:
    """Return pictures, (N, C, H, W), continued on the right and below to a multiple of pixels.

    Mirrored: copies of the last row would show its noise as stripes, not as noise.
    """
    height, width = pictures.shape[2:]
    right, below = -width % multiple, -height % multiple
    if not right and not below:
        return pictures
    mirrored = right < width and below < height
    mode = "reflect" if mirrored else "replicate"
    return functional.pad(pictures, (0, right, 0, below), mode=mode)
