"""How good a denoiser is on pictures it has not seen: PSNR, and answers that stay."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import nn

from denoisers.denoise import denoise
from denoisers.training.checks import Check
from denoisers.training.denoise_task import psnr
from denoisers.training.pictures import Pictures

SHOWN = (0.1, 0.25, 0.5, 1.0)
LARGEST_SIDE = 512  # a larger picture is measured on its centre
MOST_PICTURES, MOST_PIXELS = 1000, 2**24  # at each level; more would only take longer


def shown(low: float, high: float) -> tuple[float, ...]:
    """Return the levels at which a denoiser for a range of sigma is measured."""
    return tuple(level for level in SHOWN if low <= level <= high) or tuple({low: 0, high: 0})


@torch.inference_mode()
def quality(
    model: nn.Module,
    pictures: Pictures,
    levels: Iterable[float] = SHOWN,
    *,
    most: int = MOST_PICTURES,
    seed: int = 1,
    watch: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, dict[str, float]]:
    """Mean PSNR over pictures, before (clipped) and after denoising, at several levels.

    Args:
        model: called as model(noisy, sigma); is put into evaluation mode.
        pictures: to measure with, evenly spread ones if there are more than `most`.
        levels: standard deviations of the noise, on [0, 1].
        most: pictures that are measured.
        seed: of the noise.
        watch: called after every picture, with how many are done and how many there are.

    Returns:
        sigma → {"noisy": dB, "denoised": dB}, the mean over pictures.
    """
    measured = [_centre(pictures.picture(k)) for k in spread(pictures, most)]
    result: dict[str, dict[str, float]] = {}
    levels, done = tuple(levels), 0
    for level in levels:
        generator = torch.Generator().manual_seed(seed)
        before, after = 0.0, 0.0
        for picture in measured:
            clean = _on_unit(picture)
            noisy, cleaned = _denoised(model, clean, level, generator)
            before += psnr((noisy.clamp(0, 1) - clean).square().mean().item())
            after += psnr((cleaned - clean).square().mean().item())
            done += 1
            watch(done, len(measured) * len(levels))
        means = (round(total / len(measured), 2) for total in (before, after))
        result[f"{level:g}"] = dict(zip(("noisy", "denoised"), means, strict=True))
    return result


@torch.inference_mode()
def kept(
    model: nn.Module,
    pictures: Pictures,
    checks: Sequence[Check],
    levels: Iterable[float] = SHOWN,
    *,
    most: int = MOST_PICTURES,
    seed: int = 1,
    watch: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, dict[str, float]]:
    """Share of pictures whose answer, once noisy and denoised, is that to the clean picture.

    As when Surety certifies: a picture is brought to the classifier's size first, then come
    noise, denoiser, rounding and the question.

    Args:
        model: called as model(noisy, sigma); is put into evaluation mode.
        pictures: to measure with, evenly spread ones if there are more than `most`.
        checks: the classifiers.
        levels: standard deviations of the noise, on [0, 1].
        most: pictures that are measured.
        seed: of the noise.
        watch: called after every picture, with how many are done and how many there are.

    Returns:
        name of the classifier → sigma → share, from 0 to 1.
    """
    result: dict[str, dict[str, float]] = {}
    levels = tuple(levels)
    for check in checks:
        places = spread(pictures, most, check.size)
        measured = [_fitted(pictures.picture(k), check.size) for k in places]
        answers = [check.answer(picture) for picture in measured]
        shares: dict[str, float] = {}
        done = 0
        for level in levels:
            generator = torch.Generator().manual_seed(seed)
            same = 0
            for picture, answer in zip(measured, answers, strict=True):
                _, cleaned = _denoised(model, _on_unit(picture), level, generator)
                whole = (cleaned[0] * 255).round().to(torch.uint8).permute(1, 2, 0)
                same += check.answer(whole.numpy()) == answer
                done += 1
                watch(done, len(measured) * len(levels))
            shares[f"{level:g}"] = round(same / len(measured), 4)
        result[check.name] = shares
    return result


def spread(pictures: Pictures, most: int, size: tuple[int, int] | None = None) -> list[int]:
    """Return evenly spread pictures, fewer if they are large, or are brought to a large size."""
    pixels = np.minimum(pictures.shapes, LARGEST_SIDE).prod(axis=1).mean()
    if size is not None:
        pixels = size[0] * size[1]
    count = max(1, min(most, len(pictures), int(MOST_PIXELS / pixels)))
    return [int(k) for k in np.linspace(0, len(pictures) - 1, count).round()]


def _denoised(
    model: nn.Module, clean: torch.Tensor, level: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    noisy = clean + level * torch.randn(clean.shape, generator=generator)
    return noisy, denoise(model, noisy, level).clamp(0, 1)


def _on_unit(picture: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).unsqueeze(0).float() / 255


def _centre(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    top, left = (max(0, side - LARGEST_SIDE) // 2 for side in picture.shape[:2])
    return picture[top : top + LARGEST_SIDE, left : left + LARGEST_SIDE]


def _fitted(picture: NDArray[np.uint8], size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Cut out the largest part of the wanted shape at the centre and scale it."""
    if size is None:
        return _centre(picture)
    height, width = size
    scaled = ImageOps.fit(Image.fromarray(picture), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(scaled)
