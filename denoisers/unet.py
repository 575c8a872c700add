"""A U-shaped denoiser that works at half resolution and below and is told the noise level.

    x̂ = ½ + c_skip·(y − ½) + c_out·U([unshuffle(c_in·(y − ½)), ¼ ln σ·1])       y = x + σε

whose coefficients are those of :mod:`denoisers.preconditioning`. Pixel-unshuffling and the noise
map are FFDNet's (Zhang, Zuo, Zhang, "FFDNet", TIP 2018); the U shape with residual blocks and no
normalisation is DRUNet's (Zhang et al., "Plug-and-Play Image Restoration with Deep Denoiser
Prior", TPAMI 2021), much narrower.
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from denoisers.finish import AS_IT_IS, Finish
from denoisers.fused import Convolution, fusible, hooked
from denoisers.growing import grow
from denoisers.preconditioning import CENTRE, SPREAD, filled_up, levels
from denoisers.unet_fused import FusedUNet

MULTIPLE = 8  # three halvings


class Residual(nn.Module):
    """Two 3×3 convolutions with a ReLU between them and a way around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)  # begins as the identity

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x + f(x); shape (N, C, H, W) stays."""
        out: torch.Tensor = x + self.second(functional.relu(self.first(x)))
        return out

    def fused(self) -> nn.Module:
        """Return the same in two passes through the memory, see :mod:`denoisers.fused`.

        It writes over what it is given, which nothing here looks at again.
        """
        plain = type(self) is Residual and fusible(self.first) and fusible(self.second)
        return _Fused(self) if plain else self


class _Fused(nn.Module):
    def __init__(self, plain: Residual) -> None:
        super().__init__()
        self.first = Convolution(plain.first, relu=True)
        self.second = Convolution(plain.second)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second.add_to(x, self.first(x))


class UNet(nn.Module):
    """See the module's text. Its convolutions run in the precision of its weights.

    Args:
        width: channels at half resolution; doubled at each further halving.
        half: residual blocks at half resolution, on the way down and again on the way up.
        quarter: the same at a quarter.
        eighth: residual blocks at an eighth of the resolution, in the middle.
        mirror, again, contrast: what is done with it once it is trained, see
            :class:`denoisers.finish.Finish`.
    """

    architecture = "unet"

    def __init__(
        self,
        width: int = 48,
        half: int = 1,
        quarter: int = 2,
        eighth: int = 2,
        *,
        mirror: int = 0,
        again: int = 0,
        contrast: int = AS_IT_IS,
    ) -> None:
        super().__init__()
        self.arguments = {"width": width, "half": half, "quarter": quarter, "eighth": eighth}
        self.finish = Finish(mirror, again, contrast)
        self.arguments |= self.finish.arguments()
        w = width
        self.head = nn.Conv2d(13, w, 3, padding=1)
        self.down1 = _blocks(half, w)
        self.to2 = nn.Conv2d(w, 2 * w, 2, stride=2)
        self.down2 = _blocks(quarter, 2 * w)
        self.to4 = nn.Conv2d(2 * w, 4 * w, 2, stride=2)
        self.middle = _blocks(eighth, 4 * w)
        self.from4 = nn.ConvTranspose2d(4 * w, 2 * w, 2, stride=2)
        self.up2 = _blocks(quarter, 2 * w)
        self.from2 = nn.ConvTranspose2d(2 * w, w, 2, stride=2)
        self.up1 = _blocks(half, w)
        self.tail = nn.Conv2d(w, 12, 3, padding=1)
        nn.init.zeros_(self.tail.weight)

    def grown(self, arguments: Mapping[str, int]) -> "UNet":
        """Return a larger network that computes the same, see :mod:`denoisers.growing`.

        Args:
            arguments: those that change.

        Raises:
            NotUsable: if one gets smaller.
        """
        larger = UNet(**{**self.arguments, **arguments})
        grow(self, larger)
        return larger

    def finished(self, finish: Finish) -> "UNet":
        """Return the same network, to be used in another way.

        Args:
            finish: that way; this network's own is given up.
        """
        made = UNet(**{**self.arguments, **vars(finish)})
        made.load_state_dict(self.state_dict())
        return made.train(self.training)

    def fused(self) -> nn.Module:
        """Return what computes the same on a CPU in fewer passes through the memory.

        This network itself, if somebody changed a part of it or wants to know of its calls, and
        while it is trained.
        """
        ends = all(fusible(part) and _like(part, 3, 1, 1) for part in (self.head, self.tail))
        down = all(fusible(part) and _like(part, 2, 2, 0) for part in (self.to2, self.to4))
        up = all(
            type(part) is nn.ConvTranspose2d
            and _like(part, 2, 2, 0)
            and part.output_padding == (0, 0)
            for part in (self.from4, self.from2)
        )
        watched = any(hooked(part) for part in self.modules())
        if type(self) is not UNet or self.training or watched or not (ends and down and up):
            return self
        return FusedUNet(self, MULTIPLE)

    def forward(self, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Clean pictures.

        Args:
            noisy: float32 (N, 3, H, W), pictures on [0, 1] plus noise, not clipped; any size.
            sigma: float32 (N,), standard deviation of each picture's noise on the same scale.

        Returns:
            float32 (N, 3, H, W), not clipped.
        """
        if self.training:  # on what it computes itself
            return self._once(noisy, sigma)
        return self.finish.clean(self._once, noisy, sigma)

    def _once(self, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        height, width = noisy.shape[2:]
        level, total = levels(sigma)
        centred = noisy - CENTRE
        scaled = filled_up(centred / total.sqrt(), MULTIPLE)
        halved = functional.pixel_unshuffle(scaled.to(self.head.weight.dtype), 2)
        told = (level.log() / 4).to(halved.dtype).expand(-1, 1, *halved.shape[2:])
        given = torch.cat([halved, told], dim=1).contiguous(memory_format=torch.channels_last)
        full = self.down1(self.head(given))
        half = self.down2(self.to2(full))
        low = self.middle(self.to4(half))
        half = self.up2(self.from4(low).add_(half))
        full = self.up1(self.from2(half).add_(full))
        learnt = functional.pixel_shuffle(self.tail(full), 2)[:, :, :height, :width]
        kept = SPREAD**2 / total * centred
        cleaned: torch.Tensor = CENTRE + kept + level * SPREAD / total.sqrt() * learnt
        return cleaned


def _like(part: nn.Conv2d | nn.ConvTranspose2d, side: int, stride: int, padding: int) -> bool:
    shape = part.kernel_size, part.stride, part.padding, part.dilation, part.groups
    return shape == ((side,) * 2, (stride,) * 2, (padding,) * 2, (1, 1), 1)


def _blocks(count: int, channels: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(channels) for _ in range(count)))
