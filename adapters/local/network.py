"""The network of the built-in classifier: a small residual net that starts at half resolution.

After ResNet-9 of the DAWNBench entries (Page, "How to train your ResNet", 2018), with a
pixel-unshuffle in place of its full-resolution layers: about 27 million multiplications for a
32×32 picture.
"""

import torch
from torch import nn

from adapters.local.labels import LABELS

MEAN = (0.4914, 0.4822, 0.4465)
SCALE = 0.125  # keeps the first scores small, as in ResNet-9
DEVIATION = (0.2470, 0.2435, 0.2616)


class ConvNorm(nn.Sequential):
    """3×3 convolution, batch normalisation, ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )


class Residual(nn.Module):
    """Two convolutions with a way around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = ConvNorm(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x + f(x); shape (N, C, H, W) stays."""
        out: torch.Tensor = x + self.second(self.first(x))
        return out


class LocalClassifier(nn.Module):
    """Scores ten labels.

    Args:
        width: channels of the first layer; the others are multiples of it.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2),
            ConvNorm(12, width),
            ConvNorm(width, width),
            ConvNorm(width, 2 * width),
            nn.MaxPool2d(2),
            Residual(2 * width),
            ConvNorm(2 * width, 4 * width),
            nn.MaxPool2d(2),
            Residual(4 * width),
            ConvNorm(4 * width, 8 * width),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(8 * width, len(LABELS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score pictures.

        Args:
            x: float32 (N, 3, 32, 32) on [0, 1].

        Returns:
            Logits, float32 (N, 10).
        """
        features = self.body((x - self.mean) / self.deviation)
        scores: torch.Tensor = SCALE * self.head(features)
        return scores
