"""Batches of one fixed shape, from whole numbers to whole numbers, side by side on a CPU.

A picture is always computed in a batch of the same number, filled up with black ones.
"""

import functools
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from denoisers.computing import Queue
from denoisers.sizes import Split

SPARE = 1.5  # times the memory of several batches, since what the kernels take is not measured


class Batches:
    """Cleans pictures without CUDA graphs.

    Args:
        network: called as network(noisy, sigma) on [0, 1].
        device: where it is.
        queue: the way to the device's thread, which calls this.
        has_room: tells whether the memory holds so many pictures (count, height, width) now.
        alike: whether the network comes to the same bits with any number of threads.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        queue: Queue,
        has_room: Callable[[float, int, int], bool],
        *,
        alike: bool,
    ) -> None:
        self._network, self._device, self._alike = network, device, alike
        self._queue, self._has_room = queue, has_room

    def __call__(
        self, split: Split, shape: tuple[int, ...], samples: torch.Tensor, sigma: float
    ) -> NDArray[np.uint8]:
        """Clean pictures, or as many of the first ones as there is memory for at once.

        Args:
            split: how they are parted.
            shape: of a batch, (N, H, W, 3).
            samples: int16 (M, H, W, 3) on the 0..255 scale, no more than the split takes.
            sigma: on the [0, 1] scale.

        Returns:
            uint8 (L, H, W, 3): of all, or of the first L, at least one batch of them.

        Raises:
            RuntimeError: if the network makes something else than pictures of them.
        """
        parts = torch.split(samples, split.batch)
        wide = min(len(parts), split.lanes)
        while wide > 1 and not self._has_room(SPARE * wide * split.batch, shape[1], shape[2]):
            wide //= 2
        works = [functools.partial(self._clean, shape, part, sigma) for part in parts[:wide]]
        if split.lanes == 1 or (wide == 1 and self._alike):
            return works[0]()  # by all threads
        return np.concatenate(self._queue.side_by_side(works))

    @torch.inference_mode()
    def _clean(
        self, shape: tuple[int, ...], samples: torch.Tensor, sigma: float
    ) -> NDArray[np.uint8]:
        batch = torch.zeros(shape, dtype=torch.int16, device=self._device)
        batch[: len(samples)] = samples
        level = torch.full(shape[:1], sigma, device=self._device)
        whole, finite = as_pixels(self._network, batch, level)
        see_that_all(finite[: len(samples)])
        result: NDArray[np.uint8] = whole[: len(samples)].cpu().numpy()
        return result


def as_pixels(
    network: nn.Module, noisy: torch.Tensor, sigma: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Denoise whole numbers to whole numbers.

    Args:
        network: called as network(noisy, sigma) on [0, 1].
        noisy: int16 (N, H, W, 3) on the 0..255 scale, not clipped.
        sigma: float32 (N,) on the [0, 1] scale.

    Returns:
        uint8 (N, H, W, 3), rounded to the nearest and clipped; and bool (N,), whether the network
        made finite numbers of the picture: what is none would be black, and certified as such.

    Raises:
        RuntimeError: if it does not return pictures of the shape that it is given.
    """
    given = noisy.permute(0, 3, 1, 2).float().div_(255)
    cleaned = network(given, sigma)
    if cleaned.shape != given.shape:
        raise RuntimeError(f"it made {tuple(cleaned.shape)} of {tuple(given.shape)}")
    scaled = cleaned.float() * 255
    finite = scaled.sum(dim=(1, 2, 3)).isfinite()
    whole = scaled.round_().clamp_(0, 255).to(torch.uint8)
    return whole.permute(0, 2, 3, 1).contiguous(), finite


def see_that_all(finite: torch.Tensor) -> None:
    """Refuse what is not a number.

    Raises:
        RuntimeError: if one is False.
    """
    if not bool(finite.all()):
        raise RuntimeError("it made values that are not finite")
