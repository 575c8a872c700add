"""Learning to denoise: squared error, stability of surrogates' answers, or both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from denoisers.errors import BadData
from denoisers.training.pictures import Pictures
from denoisers.training.surrogates import stability


@dataclass(frozen=True)
class Objective:
    """What is minimised: mse·(squared error / σ) + stability·(cross-entropy to surrogates).

    Attributes:
        mse: weight of the squared error; divided by σ, so that strong noise does not drown weak.
        stability: weight of the cross-entropy.
        sigmas: range of noise levels, on [0, 1]; drawn log-uniformly.
        even: share of the pictures whose level is drawn uniformly instead, which is stronger.
        size: side of the squares that are cut out of the pictures; whole pictures of that size
            are shifted by up to an eighth.
        batch: pictures per step.
        seed: of order, noise and flips.
        rate: peak learning rate.
    """

    mse: float = 1.0
    stability: float = 0.0
    sigmas: tuple[float, float] = (0.05, 1.0)
    even: float = 0.0
    size: int = 32
    batch: int = 128
    seed: int = 0
    rate: float = 1.5e-3


class DenoiseTask:
    """See :class:`Objective`.

    Args:
        network: called as network(noisy, sigma).
        pictures: to learn from; those smaller than `size` are left out.
        objective: what is minimised.
        surrogates: for its stability, see :mod:`denoisers.training.surrogates`.
        device: where it is computed.

    Raises:
        BadData: if every picture is smaller than the squares, or stability has no surrogates.
    """

    name = "denoiser"
    metric = "dB"

    def __init__(
        self,
        network: nn.Module,
        pictures: Pictures,
        objective: Objective,
        surrogates: Sequence[nn.Module] = (),
        device: torch.device | str = "cpu",
    ) -> None:
        self.model = network.to(
            device, memory_format=torch.channels_last  # type: ignore[call-overload]
        )
        # no memory format: a batch norm's or linear layer's surrogate may be of any kind
        self._surrogates = [surrogate.to(device) for surrogate in surrogates]
        if objective.stability and not self._surrogates:
            raise BadData("stability needs at least one surrogate: --surrogate MODULE:FUNCTION")
        self._pictures, self._objective, self._device = pictures, objective, torch.device(device)
        self._usable = torch.tensor(pictures.at_least(objective.size))
        if not len(self._usable):
            raise BadData(
                f"no picture has {objective.size}×{objective.size} pixels: give a smaller --crop"
            )
        whole = bool((pictures.shapes == objective.size).all())
        self._shift = objective.size // 8 if whole else 0
        self._batch = min(objective.batch, len(self._usable))

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW, all tensors at once."""
        return torch.optim.AdamW(
            self.model.parameters(), lr=self._objective.rate, weight_decay=1e-4, foreach=True
        )

    def loss(self, step: int, generator: torch.Generator) -> tuple[torch.Tensor, float, int]:
        """Compute one step: the objective, PSNR of the batch in dB, pictures."""
        objective = self._objective
        clean = self._draw(step, generator)
        sigma = self._levels(len(clean), generator)
        noise = torch.randn(clean.shape, generator=generator).to(self._device)
        clean, sigma = clean.to(self._device).float() / 255, sigma.to(self._device)
        clean = clean.contiguous(memory_format=torch.channels_last)
        noisy = clean + sigma.view(-1, 1, 1, 1) * noise
        cleaned = self.model(noisy, sigma).float()
        errors = (cleaned - clean).square().mean(dim=(1, 2, 3))
        total = objective.mse * (errors / sigma).mean()
        if objective.stability:
            lost, _ = stability(self._surrogates, clean, cleaned)
            total = total + objective.stability * lost.mean()
        return total, psnr(errors.detach().mean().item()), len(clean)

    def _draw(self, step: int, generator: torch.Generator) -> torch.Tensor:
        epoch, place = divmod(step, len(self._usable) // self._batch)
        order = torch.Generator().manual_seed(self._objective.seed * 7919 + epoch)
        chosen = self._usable[torch.randperm(len(self._usable), generator=order)]
        chosen = chosen[place * self._batch : (place + 1) * self._batch]
        return self._pictures.crops(
            chosen.tolist(), self._objective.size, generator, shift=self._shift
        )

    def _levels(self, count: int, generator: torch.Generator) -> torch.Tensor:
        low, high = self._objective.sigmas
        place = torch.rand(count, generator=generator)
        even = torch.rand(count, generator=generator) < self._objective.even
        logarithmic = low * (high / low) ** place
        return torch.where(even, low + (high - low) * place, logarithmic)


def psnr(squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB for values on [0, 1]."""
    return -10 * math.log10(max(squared_error, 1e-12))
