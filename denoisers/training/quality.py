"""How good a denoiser is on pictures it has not seen: PSNR, and answers that stay."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

from denoisers.training.denoise_task import psnr
from denoisers.training.pictures import Pictures

SHOWN = (0.1, 0.25, 0.5, 1.0)
LARGEST_SIDE = 512  # a larger picture is measured on its centre


@torch.inference_mode()
def quality(
    model: nn.Module,
    pictures: Pictures,
    levels: Iterable[float] = SHOWN,
    *,
    most: int = 1000,
    seed: int = 1,
    answer: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> dict[str, dict[str, float]]:
    """Mean PSNR over pictures, before (clipped) and after denoising, at several levels.

    Args:
        model: called as model(noisy, sigma); is put into evaluation mode.
        pictures: to measure with, evenly spread ones if there are more than `most`.
        levels: standard deviations of the noise, on [0, 1].
        most: pictures that are measured.
        seed: of the noise.
        answer: a classifier, float32 (1, 3, H, W) on [0, 1] → label; adds "stable", the share of
            pictures whose answer is that of the clean picture.

    Returns:
        sigma → {"noisy": dB, "denoised": dB}, the mean over pictures.
    """
    model.eval()
    places = np.unique(np.linspace(0, len(pictures) - 1, min(most, len(pictures))).round())
    result = {}
    for level in levels:
        generator = torch.Generator().manual_seed(seed)
        before, after, stable = 0.0, 0.0, 0
        for place in places:
            clean = _centre(pictures, int(place))
            noisy = clean + level * torch.randn(clean.shape, generator=generator)
            cleaned = model(
                noisy.contiguous(memory_format=torch.channels_last), torch.tensor([level])
            ).clamp(0, 1)
            before += psnr((noisy.clamp(0, 1) - clean).square().mean().item())
            after += psnr((cleaned - clean).square().mean().item())
            if answer is not None:
                stable += int(answer(cleaned).item() == answer(clean).item())
        row = {"noisy": round(before / len(places), 2), "denoised": round(after / len(places), 2)}
        result[f"{level:g}"] = row | (
            {} if answer is None else {"stable": round(stable / len(places), 4)}
        )
    return result


def _centre(pictures: Pictures, index: int) -> torch.Tensor:
    picture = pictures.picture(index)
    top, left = (max(0, side - LARGEST_SIDE) // 2 for side in picture.shape[:2])
    cut = picture[top : top + LARGEST_SIDE, left : left + LARGEST_SIDE]
    return torch.from_numpy(cut.copy()).permute(2, 0, 1).unsqueeze(0).float() / 255
