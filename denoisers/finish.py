"""What a trained network's pictures gain without training: less left of the noise, more contrast.

Classifiers make more of such pictures, those that were never asked while the network was trained
most of all: measured in docs/benchmarks.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

Network = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

AS_IT_IS = 100  # percent
RANGES = {"mirror": (0, 1), "again": (0, 100), "contrast": (1, 1000)}


@dataclass(frozen=True)
class Finish:
    """How a trained network is used: whole numbers, as weights files hold them.

    Attributes:
        mirror: 1 for the mean of both ways, see :func:`both_ways`; takes twice as long.
        again: more than 0 to clean the result once more, as if noise with a sigma of that many
            hundredths were left in it.
        contrast: percent, see :func:`with_contrast`.

    Raises:
        ValueError: if a number is out of its range.
    """

    mirror: int = 0
    again: int = 0
    contrast: int = AS_IT_IS

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from {least} to {most}")

    def arguments(self) -> dict[str, int]:
        """Return what differs from the usual: older weights files name nothing of it."""
        usual = Finish()
        return {name: given for name, given in vars(self).items() if given != vars(usual)[name]}

    def clean(self, network: Network, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Clean pictures.

        Args:
            network: called as network(noisy, sigma).
            noisy: float32 (N, 3, H, W).
            sigma: float32 (N,).

        Returns:
            float32 (N, 3, H, W), not clipped.
        """
        cleaned = both_ways(network, noisy, sigma) if self.mirror else network(noisy, sigma)
        if self.again:
            cleaned = network(cleaned, torch.full_like(sigma, self.again / 100))
        return with_contrast(cleaned, self.contrast)


def both_ways(network: Network, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Clean each picture and its mirror image, and take the mean (both the same way round).

    Errors that differ from one way to the other average out ("enhanced prediction" of Timofte,
    Rothe, Van Gool, "Seven ways to improve example-based single image super resolution", CVPR
    2016).

    Args:
        network: called as network(noisy, sigma).
        noisy: float32 (N, 3, H, W).
        sigma: float32 (N,).

    Returns:
        float32 (N, 3, H, W); that of a mirrored picture is mirrored.
    """
    mirrored = network(noisy.flip(3), sigma).flip(3)
    return (network(noisy, sigma) + mirrored) / 2


def with_contrast(cleaned: torch.Tensor, percent: int) -> torch.Tensor:
    """Move every pixel away from its picture's mean, or towards it.

        x = m + percent/100 · (x̂ − m)        m: mean of x̂ over pixels and channels

    A denoiser that learns from squared error shows the mean of all pictures that may lie under
    the noise, which has less contrast than each of them.

    Args:
        cleaned: float32 (N, 3, H, W).
        percent: 100 leaves it as it is.

    Returns:
        float32 (N, 3, H, W), not clipped.
    """
    if percent == AS_IT_IS:
        return cleaned
    # Side by side: of all at once torch parts the sum among threads where the batch is one picture,
    # and its low bits would hang on their number.
    total = cleaned.sum(dim=3).sum(dim=2).sum(dim=1).view(-1, 1, 1, 1)
    middle = total / cleaned[0].numel()
    return middle + percent / 100 * (cleaned - middle)
