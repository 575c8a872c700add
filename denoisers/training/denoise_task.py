"""Learning to denoise: mean squared error on pictures with Gaussian noise of every level."""

import math

import torch
from torch import nn

from denoisers.unet import UNet

SIGMAS = (0.05, 1.0)  # the range of noise levels, drawn log-uniformly
SHOWN = (0.1, 0.25, 0.5, 1.0)


class DenoiseTask:
    """Squared error, weighted by 1/σ so that strong noise does not drown weak.

    Args:
        images: uint8 (N, 3, H, W).
        batch: pictures per step.
        seed: of weights and order.
        rate: peak learning rate.
    """

    name = "denoiser"
    metric = "dB"

    def __init__(
        self, images: torch.Tensor, *, batch: int = 128, seed: int = 0, rate: float = 1.5e-3
    ) -> None:
        torch.manual_seed(seed)
        self.model: nn.Module = UNet().to(
            memory_format=torch.channels_last  # type: ignore[call-overload]
        )
        self._images, self._seed, self._rate = images, seed, rate
        self._batch = min(batch, len(images))

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW, all tensors at once."""
        return torch.optim.AdamW(
            self.model.parameters(), lr=self._rate, weight_decay=1e-4, foreach=True
        )

    def loss(self, step: int, generator: torch.Generator) -> tuple[torch.Tensor, float, int]:
        """Compute one step: weighted squared error, PSNR of the batch in dB, pictures."""
        epoch, place = divmod(step, len(self._images) // self._batch)
        order = torch.Generator().manual_seed(self._seed * 7919 + epoch)
        chosen = torch.randperm(len(self._images), generator=order)
        chosen = chosen[place * self._batch : (place + 1) * self._batch]
        clean = self._images[chosen].float() / 255
        flipped = torch.rand(len(clean), 1, 1, 1, generator=generator) < 0.5
        clean = torch.where(flipped, clean.flip(3), clean)
        low, high = map(math.log, SIGMAS)
        sigma = (low + (high - low) * torch.rand(len(clean), generator=generator)).exp()
        noise = torch.randn(clean.shape, generator=generator)
        noisy = clean + sigma.view(-1, 1, 1, 1) * noise
        cleaned = self.model(noisy.contiguous(memory_format=torch.channels_last), sigma).float()
        errors = (cleaned - clean).square().mean(dim=(1, 2, 3))
        return (errors / sigma).mean(), psnr(errors.detach().mean().item()), len(clean)


def psnr(squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB for values on [0, 1]."""
    return -10 * math.log10(max(squared_error, 1e-12))


@torch.inference_mode()
def quality(model: nn.Module, images: torch.Tensor, seed: int = 1) -> dict[str, dict[str, float]]:
    """Mean PSNR over pictures, before (clipped) and after denoising, at several levels.

    Args:
        model: called as model(noisy, sigma); is put into evaluation mode.
        images: uint8 (N, 3, H, W).
        seed: of the noise.

    Returns:
        sigma → {"noisy": dB, "denoised": dB}, the mean over pictures.
    """
    model.eval()
    result = {}
    for level in SHOWN:
        generator = torch.Generator().manual_seed(seed)
        before: list[float] = []
        after: list[float] = []
        for start in range(0, len(images), 250):
            clean = images[start : start + 250].float() / 255
            noisy = clean + level * torch.randn(clean.shape, generator=generator)
            cleaned = model(
                noisy.contiguous(memory_format=torch.channels_last),
                torch.full((len(clean),), level),
            )
            for shown, into in ((noisy, before), (cleaned, after)):
                errors = (shown.clamp(0, 1) - clean).square().mean(dim=(1, 2, 3))
                into += [psnr(e) for e in errors.tolist()]
        result[f"{level:g}"] = {
            "noisy": round(sum(before) / len(before), 2),
            "denoised": round(sum(after) / len(after), 2),
        }
    return result
