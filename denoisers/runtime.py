"""Runs a denoising network on batches of one fixed shape, as fast as the machine can.

Batches of different shape may be computed by different kernels and differ in their low bits, so
all batches of pictures of one size are padded to the same number: a picture's result does not
depend on what shares its batch. bfloat16 and channels-last where the CPU or GPU has them.
"""

import functools
import logging
import threading
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from certification.errors import InvalidParameter
from denoisers import memory
from denoisers.cuda_graphs import Graph, Graphs, compute_as_named
from denoisers.device import choose, compute_type
from denoisers.device_noise import draw
from denoisers.errors import NotUsable
from denoisers.placing import faster, placed
from denoisers.turns import Turns

MOST_PICTURES = {"cpu": 32, "cuda": 512}  # at once; more is no faster
MOST_PIXELS = {"cpu": 2**18, "cuda": 2**23}
LONGEST_REASON = 200

_log = logging.getLogger(__name__)


class Runtime:
    """A denoiser ready to use, from several threads if need be; they take turns batch by batch.

    Args:
        name: as a request gives it.
        network: called as network(noisy, sigma) on [0, 1], see :mod:`denoisers.architectures`.
            Its attribute `precision`, "float32", keeps it from bfloat16.
        weights_sha256: SHA-256 of its weights file.
        device: "auto", "cpu", "cuda" or "cuda:N".
        summary: one line for people.

    Raises:
        NotUsable: if there is no such device here, or the network cannot be run on it.
        BrokenWeights: if what it returns is no picture, or not of each picture by itself.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        weights_sha256: str,
        *,
        device: str = "auto",
        summary: str = "",
    ) -> None:
        self.name, self.summary = name, summary
        self.weights_sha256: str | None = weights_sha256
        self._device = choose(device)
        if self._device.type == "cuda":
            compute_as_named()
        self._network, dtype = placed(network, self._device)
        self._faster = faster(self._network, self._device, dtype)
        changed = self._faster is not self._network
        self.compute = compute_type(self._device, dtype, fused=changed)
        self._turns, self._sizes = Turns(), _Sizes(self._network, self._device)
        self._graphs: Graphs | None = None
        if self._device.type == "cuda":
            self._graphs = Graphs(functools.partial(as_pixels, self._network), self._device)

    def batch_of(self, height: int, width: int) -> int:
        """Return how many pictures of this size are cleaned at once.

        Raises:
            InvalidParameter: if the memory does not hold one.
        """
        try:
            return self._sizes.batch(height, width)
        except InvalidParameter:
            if not self._give_graphs_back():
                raise
            return self._sizes.batch(height, width)

    @property
    def waiting(self) -> int:
        """How many batches wait for their turn."""
        return self._turns.waiting

    def clean(self, noisy: NDArray[np.int16], sigma: float) -> NDArray[np.uint8]:
        """Denoise, round to whole pixel values and clip.

        Args:
            noisy: int16 (N, H, W, 3), picture plus noise on the 0..255 scale, not clipped.
            sigma: standard deviation of the noise on the [0, 1] scale.

        Returns:
            uint8 (N, H, W, 3).

        Raises:
            InvalidParameter: if the memory does not even hold one picture, or the network fails
                on these, which others of its kind need not.
            NotUsable: if the device fails.
        """
        out = np.empty(noisy.shape, dtype=np.uint8)

        def samples(start: int, count: int) -> torch.Tensor:
            return torch.from_numpy(noisy[start : start + count])

        return self._in_batches(out, samples, sigma)

    @property
    def draws_noise(self) -> bool:
        """Whether :meth:`clean_drawn` is faster than drawing on the CPU."""
        return self._device.type == "cuda"

    def clean_drawn(
        self, pixels: NDArray[np.uint8], key: bytes, start: int, count: int, sigma: float
    ) -> NDArray[np.uint8]:
        """Draw the noise of consecutive samples on the device, add it and denoise.

        The same as `clean(draw_many(key, range(start, start + count), …) + pixels, sigma)`.

        Args:
            pixels: uint8 (H, W, 3).
            key: 16 bytes, the key of the noise.
            start: index of the first sample.
            count: samples.
            sigma: standard deviation of the noise on the [0, 1] scale.

        Returns:
            uint8 (count, H, W, 3).

        Raises:
            InvalidParameter: if the memory does not even hold one picture, or the network fails
                on these, which others of its kind need not.
            NotUsable: if the device fails.
        """
        height, width, _ = pixels.shape
        picture = torch.from_numpy(pixels.astype(np.int16)).to(self._device)
        out = np.empty((count, *pixels.shape), dtype=np.uint8)

        def samples(place: int, some: int) -> torch.Tensor:
            shape = (height, width, 3)
            return draw(key, start + place, some, shape, sigma, self._device) + picture

        return self._in_batches(out, samples, sigma)

    @torch.inference_mode()
    def _in_batches(
        self, out: NDArray[np.uint8], samples: Callable[[int, int], torch.Tensor], sigma: float
    ) -> NDArray[np.uint8]:
        start, shape = 0, out.shape[1:]
        while start < len(out):
            size = self.batch_of(shape[0], shape[1])
            count = min(size, len(out) - start)
            try:
                with self._turns:  # one batch at a time: the cores are busy with it anyway
                    out[start : start + count] = self._run(
                        (size, *shape), samples(start, count), sigma
                    )
            except Exception as error:
                if isinstance(error, RuntimeError) and memory.out_of_memory(error):
                    self._shrink((size, *shape))
                    continue
                raise self._failed(error, shape[0], shape[1]) from error
            start += count
        return out

    def _run(
        self, shape: tuple[int, ...], samples: torch.Tensor, sigma: float
    ) -> NDArray[np.uint8]:
        graph = self._graph(shape)
        if graph is not None:
            cleaned, fine = graph(samples, sigma)
            see_that_all(fine)
            return cleaned
        batch = torch.zeros(shape, dtype=torch.int16, device=self._device)
        batch[: len(samples)] = samples
        level = torch.full(shape[:1], sigma, device=self._device)
        whole, finite = as_pixels(self._faster, batch, level)
        see_that_all(finite[: len(samples)])
        result: NDArray[np.uint8] = whole[: len(samples)].cpu().numpy()
        return result

    def _graph(self, shape: tuple[int, ...]) -> Graph | None:
        """Return the graph of this shape; None on a CPU, and for a network that has none."""
        if self._graphs is None:
            return None
        try:
            return self._graphs.of(shape)
        except RuntimeError as error:
            if memory.out_of_memory(error):
                raise
            _log.warning(
                "%s runs without CUDA graphs, which it cannot: %s", self.name, _reason(error)
            )
            self._graphs = None
            return None

    def _shrink(self, shape: tuple[int, ...]) -> None:
        """Take half of the batch, or the memory of other sizes' graphs where it is one already."""
        size, height, width, _ = shape
        others = self._give_graphs_back(shape)
        if size > 1:
            self._sizes.halve(height, width, size)
        elif not others:
            raise _no_room(height, width) from None

    def _give_graphs_back(self, shape: tuple[int, ...] | None = None) -> bool:
        """Give up all graphs; tell whether there was one of another shape than this."""
        graphs, others = self._graphs, False  # another thread may find just now that there are none
        if graphs is not None:
            with self._turns:
                others = graphs.clear(shape)
        if self._device.type == "cuda":
            memory.give_back()
        return others

    def _failed(self, error: Exception, height: int, width: int) -> Exception:
        """Return what a failure means: the device is at fault, or the network with this picture."""
        if isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error):
            return NotUsable(f"the device of the denoiser {self.name!r} failed: {_reason(error)}")
        _log.warning("%s failed on %d×%d pixels", self.name, width, height, exc_info=error)
        return InvalidParameter(
            f"the denoiser {self.name!r} failed on this picture of {width}×{height} pixels: "
            f"{_reason(error)}; choose another one, or another size",
            "denoiser",
        )


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
    given = noisy.permute(0, 3, 1, 2).float() / 255
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


def _reason(error: Exception) -> str:
    """Return the first line of what a stranger's network may have said, fit for a terminal."""
    text = (str(error).splitlines() or [""])[0] or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in text)[:LONGEST_REASON]


def _no_room(height: int, width: int) -> InvalidParameter:
    return InvalidParameter(
        f"the memory does not hold one picture of {width}×{height} while it is denoised: use a "
        "smaller size, or a machine with more memory",
        "size",
    )


class _Sizes:
    """The fixed batch for each picture size: as large as is useful and fits into memory."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._network, self._device = network, device
        self._found: dict[tuple[int, int], int] = {}
        self._lock = threading.Lock()

    def batch(self, height: int, width: int) -> int:
        found = self._found.get((height, width))
        if found is not None:  # without the lock, which is held while a new size is measured
            return found
        with self._lock:
            if (height, width) not in self._found:
                self._found[height, width] = self._find(height, width)
            return self._found[height, width]

    def halve(self, height: int, width: int, tried: int) -> None:
        with self._lock:
            self._found[height, width] = min(self._found[height, width], tried // 2)
        _log.warning("out of memory: batches of %d pictures from now on", tried // 2)

    def _find(self, height: int, width: int) -> int:
        kind = self._device.type
        fits = memory.largest_batch(self._network, height, width, self._device)
        if fits < memory.SHARE:  # more than all that is free: the system would end the process
            raise _no_room(height, width)
        most = min(MOST_PICTURES[kind], MOST_PIXELS[kind] // (height * width), fits)
        return 1 << max(0, int(most).bit_length() - 1)  # a power of two, at least 1
