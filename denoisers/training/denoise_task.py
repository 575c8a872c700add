"""Learning to denoise: squared error, stability of surrogates' answers, or both."""

import copy
import dataclasses
import json
import math
from collections.abc import Sequence

import torch
from torch import nn

from denoisers.errors import BadData, BadSurrogate, BrokenWeights, NotUsable
from denoisers.memory import out_of_memory
from denoisers.placing import placed
from denoisers.training.muon import Muon
from denoisers.training.objective import Objective
from denoisers.training.pictures import Pictures
from denoisers.training.resuming import digest_of
from denoisers.training.surrogates import stability, try_out

__all__ = ["DenoiseTask", "Objective", "psnr"]

OPTIONS = {
    "size": "crop",
    "sigmas": "sigma",
    "stable_from": "stable-from",
    "seed": "seed of the order",
}  # as users know them
LEAST_ERROR = 1e-5  # 50 dB; an even black picture, clipped, has none at all


class DenoiseTask:
    """See :class:`denoisers.training.objective.Objective`.

    Args:
        network: called as network(noisy, sigma).
        pictures: to learn from; those smaller than `size` are left out.
        objective: what is minimised.
        surrogates: for its stability, see :mod:`denoisers.training.surrogates`; are put into
            evaluation mode, their weights fixed.
        device: where it is computed.

    Attributes:
        identity: what besides the plan decides the curve, by name.
        usable: how many of the pictures are large enough.
        objective: as given.
        device: as given.

    Raises:
        BadData: if every picture is smaller than the squares.
        BadSurrogate: if stability has no surrogates, or one cannot be used.
        NotUsable: if the network does not return pictures of the same shape, for odd sides too, or
            not of each picture by itself.
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
        self.objective, self.device = objective, torch.device(device)
        self._pictures = pictures
        self._usable = torch.tensor(pictures.at_least(objective.size))
        self.usable = len(self._usable)
        if not self.usable:
            longest = int(pictures.shapes.min(axis=1).max())
            raise BadData(
                f"no picture has {objective.size}×{objective.size} pixels (the largest square in "
                f"one has {longest}): give a smaller --crop"
            )
        whole = bool((pictures.shapes == objective.size).all())
        self._shift = objective.size // 8 if whole else 0
        self._batch = min(objective.batch, self.usable)
        self._epoch, self._order = -1, self._usable
        self.model = network.to(
            device,
            memory_format=torch.channels_last,  # type: ignore[call-overload]
        )
        # no memory format: a batch norm's or linear layer's surrogate may be of any kind
        self._surrogates = [s.to(device).eval().requires_grad_(False) for s in surrogates]
        self._check_network()
        self._check_surrogates()
        self.identity = self._identify()

    def optimizer(self) -> torch.optim.Optimizer:
        """Make the one that the objective names, its rate at the peak."""
        parameters, rate = self.model.parameters(), self.objective.rate
        if self.objective.optimizer == "muon":
            return Muon(parameters, rate)
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=1e-4, foreach=True)

    def loss(self, step: int, generator: torch.Generator) -> tuple[torch.Tensor, float, int]:
        """Compute one step: the objective, PSNR of the batch in dB, pictures.

        Every choice is drawn on the CPU: the same ones, wherever it is computed.
        """
        objective = self.objective
        clean = self._draw(step, generator)
        sigma = self._levels(len(clean), generator)
        noise = torch.randn(clean.shape, generator=generator).to(self.device)
        clean, sigma = clean.to(self.device).float() / 255, sigma.to(self.device)
        clean = clean.contiguous(memory_format=torch.channels_last)
        noisy = clean + sigma.view(-1, 1, 1, 1) * noise
        cleaned = self.model(noisy, sigma).float()
        errors = (cleaned - clean).square().mean(dim=(1, 2, 3))
        lost = _relative(cleaned, clean) if objective.relative else errors / sigma
        total = objective.mse * lost.mean()
        # Numbers that are none end the training, as its own fault and not a surrogate's.
        if objective.stability and bool(errors.isfinite().all()):
            most = objective.jitter
            places = torch.randint(-most, most + 1, (2,), generator=generator).tolist()
            seen = [torch.roll(pictures, places, dims=(2, 3)) for pictures in (clean, cleaned)]
            # Dealt on from the last step, so that all of them are asked alike.
            lost, _ = stability(self._surrogates, seen[0], seen[1], first=step * len(clean))
            if objective.stable_from:
                lost = lost * (sigma / objective.stable_from).clamp(max=1)
            total = total + objective.stability * lost.mean()
        return total, psnr(errors.detach().mean().item()), len(clean)

    def _draw(self, step: int, generator: torch.Generator) -> torch.Tensor:
        epoch, place = divmod(step, self.usable // self._batch)
        if epoch != self._epoch:
            order = torch.Generator().manual_seed(self.objective.seed * 7919 + epoch)
            self._order = self._usable[torch.randperm(self.usable, generator=order)]
            self._epoch = epoch
        chosen = self._order[place * self._batch : (place + 1) * self._batch]
        return self._pictures.crops(
            chosen.tolist(),
            self.objective.size,
            generator,
            shift=self._shift,
            turns=self.objective.turns,
        )

    def _levels(self, count: int, generator: torch.Generator) -> torch.Tensor:
        low, high = self.objective.sigmas
        place = torch.rand(count, generator=generator)
        even = torch.rand(count, generator=generator) < self.objective.even
        levels = torch.where(even, low + (high - low) * place, _by_ratio(low, high, place))
        if self.objective.focus is None:
            return levels
        often = torch.rand(count, generator=generator) < 0.5
        return torch.where(often, _by_ratio(*self.objective.focus, place), levels)

    @torch.no_grad()
    def _check_network(self) -> None:
        size = self.objective.size
        if not any(p.requires_grad for p in self.model.parameters()):
            raise NotUsable("the network has no weights that could be learnt")
        noisy = torch.full((1, 3, size, size), 0.5, device=self.device)
        try:
            cleaned = self.model.eval()(noisy, torch.full((1,), 0.25, device=self.device))
        except Exception as error:
            if out_of_memory(error):
                raise
            raise NotUsable(
                f"the network fails on a picture of {size}×{size} ({type(error).__name__}: {error})"
            ) from error
        shape = getattr(cleaned, "shape", None)
        if shape != noisy.shape:  # which might even be broadcast, and learnt from
            raise NotUsable(
                f"the network makes {shape} of {tuple(noisy.shape)}: it must return pictures of "
                "the shape that it is given"
            )
        try:  # what it will be asked for when it is used, odd sides too
            placed(copy.deepcopy(self.model), self.device)
        except BrokenWeights as error:
            raise NotUsable(str(error)) from error

    def _check_surrogates(self) -> None:
        if not self.objective.stability:
            return
        if not self._surrogates:
            raise BadSurrogate(
                "stability needs at least one surrogate: --surrogate MODULE:FUNCTION"
            )
        try_out(self._surrogates, self.objective.size, self.device)

    def _identify(self) -> dict[str, object]:
        numbers: dict[str, object] = dataclasses.asdict(self.objective)
        for name in ("relative", "turns"):  # a checkpoint from before there were any has none
            numbers[name] = numbers[name] or None
        for field, name in OPTIONS.items():
            numbers[name] = numbers.pop(field)
        made = getattr(self.model, "architecture", type(self.model).__name__)
        used = self._surrogates if self.objective.stability else []
        return {
            **numbers,
            "pictures": f"{len(self._pictures)} ({self._pictures.digest[:12]})",
            "network": f"{made} {json.dumps(getattr(self.model, 'arguments', {}))}",
            "initial weights": digest_of(self.model)[:12],
            "surrogates": [f"{type(s).__name__} {digest_of(s)[:12]}" for s in used],
        }


def _by_ratio(low: float, high: float, place: torch.Tensor) -> torch.Tensor:
    """Return the level at each place from 0 to 1, as many below as above √(low·high)."""
    return low * (high / low) ** place


def _relative(cleaned: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Return a hundredth of the logarithm of each picture's squared error, clipped as PSNR is.

    A hundredth, since then its gradient is about as long as that of squared error / σ. That
    gradient goes past the clipping: else a pixel that is white in place of black stayed so.
    """
    clipped = cleaned + (cleaned.clamp(0, 1) - cleaned).detach()
    errors = (clipped - clean).square().mean(dim=(1, 2, 3))
    return (errors + LEAST_ERROR).log() / 100


def psnr(squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB for values on [0, 1]."""
    return -10 * math.log10(max(squared_error, 1e-12))
