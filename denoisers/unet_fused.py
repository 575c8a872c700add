"""What :class:`denoisers.unet.UNet` computes, in fewer passes through the memory, for a CPU.

Colours lie last all the way, and the four pixels that become one at half resolution are taken row
by row: their six values that lie together stay together. The weights of the first and the last
convolution are put into that order instead. A transposed convolution of 2×2 with stride 2 is a
product of matrices for each pixel; its result is added to the way around while it is put into
place. See also :mod:`denoisers.fused`.
"""

from typing import TYPE_CHECKING

import torch
from torch import nn

from denoisers.fused import Convolution, fused
from denoisers.preconditioning import CENTRE, SPREAD, filled_up, levels

if TYPE_CHECKING:
    from denoisers.unet import UNet

COLOURS, PIXELS = 3, 4  # of which four become one
VALUES = COLOURS * PIXELS


class Up(nn.Module):
    """A transposed convolution of 2×2 with stride 2, added to another tensor.

    Args:
        plain: its weights are copied.
    """

    def __init__(self, plain: nn.ConvTranspose2d) -> None:
        super().__init__()
        weight = plain.weight.detach()  # (in, out, down, right)
        deep, wide = weight.shape[:2]
        rows = weight.permute(2, 3, 1, 0).reshape(PIXELS * wide, deep, 1, 1)
        bias = None if plain.bias is None else plain.bias.repeat(PIXELS)
        self.product = Convolution(_with(rows, bias))

    def forward(self, x: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        """Return `beside`, (N, C, 2H, 2W), to which is added what becomes of x, (N, 2C, H, W)."""
        made = self.product(x).permute(0, 2, 3, 1)
        count, height, width, values = made.shape
        rows = made.view(count, height, width, 2, values // 2).transpose(2, 3)
        beside.permute(0, 2, 3, 1).view(rows.shape).add_(rows)
        return beside


class FusedUNet(nn.Module):
    """See the module's text.

    Args:
        plain: in evaluation mode, with ordinary parts; its weights are copied.
        multiple: of pixels, to which pictures are filled up.
    """

    def __init__(self, plain: "UNet", multiple: int) -> None:
        super().__init__()
        self.finish, self.multiple, self.dtype = plain.finish, multiple, plain.head.weight.dtype
        order = torch.arange(VALUES).view(COLOURS, PIXELS // 2, 2).permute(1, 2, 0).flatten()
        self.head = Convolution(_taking(plain.head, order))
        self.down1, self.down2 = fused(plain.down1), fused(plain.down2)
        self.to2, self.to4 = Convolution(plain.to2), Convolution(plain.to4)
        self.middle = fused(plain.middle)
        self.from4, self.from2 = Up(plain.from4), Up(plain.from2)
        self.up2, self.up1 = fused(plain.up2), fused(plain.up1)
        self.tail = Convolution(_making(plain.tail, order))

    def forward(self, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Clean pictures, see :meth:`denoisers.unet.UNet.forward`."""
        return self.finish.clean(self._once, noisy, sigma)

    def _once(self, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        height, width = noisy.shape[2:]
        level, total = levels(sigma)
        scale, centred = 1 / total.sqrt(), noisy - CENTRE
        scaled = centred * scale
        full = self.head(self._halved(filled_up(scaled, self.multiple), level))
        full = self.down1(full)
        half = self.down2(self.to2(full))
        low = self.middle(self.to4(half))
        half = self.up2(self.from4(low, half))
        full = self.up1(self.from2(half, full))
        cleaned = _doubled(self.tail(full))[:, :, :height, :width].mul_(level * SPREAD * scale)
        return cleaned.addcmul_(centred, SPREAD**2 / total).add_(CENTRE)

    def _halved(self, scaled: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Return all pixels of four as one, and the noise level: (N, 13, H/2, W/2)."""
        pixels = scaled.permute(0, 2, 3, 1).contiguous().to(self.dtype)
        count, height, width, _ = pixels.shape
        rows = pixels.view(count, height // 2, 2, width // 2, VALUES // 2).unbind(2)
        told = (level.log() / 4).to(self.dtype).expand(-1, height // 2, width // 2, 1)
        return torch.cat([*rows, told], dim=3).permute(0, 3, 1, 2)


def _doubled(values: torch.Tensor) -> torch.Tensor:
    """Return pictures, float32 (N, 3, 2H, 2W), of all their pixels of four, (N, 12, H, W)."""
    count, _, height, width = values.shape
    rows = values.permute(0, 2, 3, 1).view(count, height, width, 2, VALUES // 2).unbind(3)
    pixels = torch.cat(rows, dim=2).float().view(count, 2 * height, 2 * width, COLOURS)
    return pixels.permute(0, 3, 1, 2)


def _taking(plain: nn.Conv2d, order: torch.Tensor) -> nn.Conv2d:
    """Return a convolution whose inputs, all but those behind, come in this order."""
    weight = plain.weight.detach()
    behind = torch.arange(len(order), weight.shape[1])
    return _with(weight[:, torch.cat([order, behind])], plain.bias)


def _making(plain: nn.Conv2d, order: torch.Tensor) -> nn.Conv2d:
    """Return a convolution whose outputs come in this order."""
    bias = None if plain.bias is None else plain.bias[order]
    return _with(plain.weight.detach()[order], bias)


def _with(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Conv2d:
    """Return a convolution with these weights, (out, in, S, S), whose result keeps its size."""
    out, taken, side, _ = weight.shape
    made = nn.Conv2d(taken, out, side, padding=side // 2, bias=False, device="meta")
    made.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
    made.bias = None if bias is None else nn.Parameter(bias.detach())
    return made
