"""PSNR of denoising networks on whole pictures, kept so that a killed run goes on."""

import functools
import hashlib
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import nn

from benchmarks.contestants import Cleans
from benchmarks.kept import Kept
from denoisers.denoise import denoise
from denoisers.training.denoise_task import psnr
from denoisers.training.sources import Source

Denoise = Callable[[torch.Tensor, float], torch.Tensor]  # (1, 3, H, W) on [0, 1] to the same


@dataclass(frozen=True)
class Judged:
    """A denoiser whose PSNR is measured.

    Attributes:
        label: stands in the table.
        mark: changes when the denoiser does.
        denoise: float32 picture plus noise, sigma → the picture, not clipped.
        levels: the sigmas that it is asked at.
    """

    label: str
    mark: str
    denoise: Denoise
    levels: Sequence[float]


def by_network(network: nn.Module, device: torch.device) -> Denoise:
    """Ask the network itself, in float32."""
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return functools.partial(denoise, network)


def by_runtime(denoiser: Cleans) -> Denoise:
    """Ask as Surety does: noise rounded to whole numbers, and the picture too."""

    def cleaned(noisy: torch.Tensor, sigma: float) -> torch.Tensor:
        whole = (noisy * 255).round().to(torch.int16).permute(0, 2, 3, 1).contiguous()
        clean = torch.from_numpy(denoiser.clean(whole.numpy(), sigma))
        return clean.permute(0, 3, 1, 2).float() / 255

    return cleaned


def noisy_itself(noisy: torch.Tensor, sigma: float) -> torch.Tensor:
    """Leave the noise where it is."""
    return noisy


@torch.inference_mode()
def measure(
    judged: Judged, source: Source, names: Sequence[str], folder: Path
) -> Mapping[float, list[float]]:
    """Return the PSNR of each picture in dB, at each level.

    Args:
        judged: what denoises.
        source: of the pictures.
        names: which of them.
        folder: for what has been found.
    """
    found = {}
    for level in judged.levels:
        stem = f"{judged.label}-{source.title}-{level:.3f}".replace(" ", "_").replace("/", "_")
        kept = Kept(folder, stem, {"data": source.mark, "mark": judged.mark, "sigma": level})
        missing = [name for name in names if name not in kept]
        console, text = Console(stderr=True), f"{judged.label}, sigma {level:.3f}"
        for name in track(missing, description=text, console=console, disable=not missing):
            clean = _tensor(source.read(name))
            seed = hashlib.sha256(f"{name} {level!r}".encode()).digest()[:7]
            generator = torch.Generator().manual_seed(int.from_bytes(seed))
            noisy = clean + level * torch.randn(clean.shape, generator=generator)
            error = (judged.denoise(noisy, level).clamp(0, 1) - clean).square().mean().item()
            kept.add({"picture": name, "psnr": round(psnr(error), 4)})
        found[level] = [float(kept[name]["psnr"]) for name in names]
    return found


def paired(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Return the mean of what `one` has more than `other`, and its standard error.

    Over the same pictures it is known far better than either mean: pictures differ by many dB.

    Args:
        one: of each picture, of which there are two at least.
        other: of the same pictures, in the same order.
    """
    more = [a - b for a, b in zip(one, other, strict=True)]
    return statistics.mean(more), statistics.stdev(more) / math.sqrt(len(more))


def _tensor(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).unsqueeze(0).float() / 255
