"""DnCNN, the denoiser of the paper on denoised smoothing: plain convolutions that find the noise.

    x̂ = y − R(y)        R: conv, ReLU, then (conv, normalisation, ReLU) × (depth − 2), conv

Zhang, Zuo, Chen, Meng, Zhang, "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for
Image Denoising", TIP 2017, figure 1; 17 layers of 64 channels as in Salman et al., "Denoised
Smoothing", NeurIPS 2020. It is not told the noise level: trained on a range of them, it is the
blind DnCNN of the paper's section III.E.
"""

import copy
from collections.abc import Iterable
from typing import cast

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class DnCNN(nn.Module):
    """See the module's text.

    Args:
        depth: convolutions.
        width: channels between them.
        norm: 1 with batch normalisation, as in the paper; 0 without.
    """

    architecture = "dncnn"

    def __init__(self, depth: int = 17, width: int = 64, norm: int = 1) -> None:
        super().__init__()
        if depth < 2 or width < 1 or norm not in (0, 1):
            raise ValueError("a DnCNN has 2 convolutions and 1 channel or more; norm is 0 or 1")
        self.arguments = {"depth": depth, "width": width, "norm": norm}
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(width, width, 3, padding=1, bias=not norm),
                    nn.BatchNorm2d(width) if norm else nn.Identity(),
                    nn.ReLU(inplace=True),
                )
                for _ in range(depth - 2)
            )
        )
        self.tail = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Clean pictures.

        Args:
            noisy: float32 (N, 3, H, W), pictures on [0, 1] plus noise, not clipped; any size.
            sigma: not used.

        Returns:
            float32 (N, 3, H, W), not clipped.
        """
        features = torch.relu_(self.head(noisy.to(self.head.weight.dtype)))
        cleaned: torch.Tensor = noisy - self.tail(self.body(features))
        return cleaned

    def folded(self) -> "DnCNN":
        """Return the same function without normalisation, each folded into its convolution.

        This network stays as it is, in training if it was.
        """
        folded = copy.deepcopy(self).eval()
        for block in cast(Iterable[nn.Sequential], folded.body):
            conv, norm = block[0], block[1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[0], block[1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
        folded.arguments["norm"] = 0
        return folded
