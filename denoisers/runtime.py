"""Runs a denoising network on batches of one fixed shape, as fast as the machine can.

Batches of different shape may be computed by different kernels and differ in their low bits, so
all batches of pictures of one size are padded to the same number: a picture's result does not
depend on what shares its batch. bfloat16 and channels-last where the CPU or GPU has them.
"""

import copy
import functools
import logging
import threading
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from denoisers import memory
from denoisers.cuda_graphs import Graph, Graphs, compute_as_named
from denoisers.device import choose, compute_type, precision
from denoisers.device_noise import draw
from denoisers.errors import BrokenWeights, NotUsable
from denoisers.fused import alike, available, fused
from denoisers.turns import Turns

MOST_PICTURES = {"cpu": 32, "cuda": 512}  # at once; more is no faster
MOST_PIXELS = {"cpu": 2**18, "cuda": 2**23}
TRIAL = 16  # side of the picture that a new network is tried with

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
        BrokenWeights: if what it returns is no picture.
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
        self._network, dtype = _placed(network, self._device)
        self._faster = _faster(self._network, self._device, dtype)
        changed = self._faster is not self._network
        self.compute = compute_type(self._device, dtype, fused=changed)
        self._turns, self._sizes = Turns(), _Sizes(self._network, self._device)
        self._graphs: Graphs | None = None
        if self._device.type == "cuda":
            self._graphs = Graphs(functools.partial(as_pixels, self._network), self._device)

    def batch_of(self, height: int, width: int) -> int:
        """Return how many pictures of this size are cleaned at once."""
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
            NotUsable: if the memory does not even hold one picture.
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
            NotUsable: if the memory does not even hold one picture.
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
            except RuntimeError as error:
                if not memory.out_of_memory(error):
                    raise
                self._shrink(shape[0], shape[1], size)
                continue
            start += count
        return out

    def _run(
        self, shape: tuple[int, ...], samples: torch.Tensor, sigma: float
    ) -> NDArray[np.uint8]:
        graph = self._graph(shape)
        if graph is not None:
            return graph(samples, sigma)
        batch = torch.zeros(shape, dtype=torch.int16, device=self._device)
        batch[: len(samples)] = samples
        level = torch.full(shape[:1], sigma, device=self._device)
        whole = as_pixels(self._faster, batch, level)
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
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            _log.warning("%s runs without CUDA graphs, which it cannot: %s", self.name, reason)
            self._graphs = None
            return None

    def _shrink(self, height: int, width: int, tried: int) -> None:
        self._sizes.halve(height, width, tried)
        graphs = self._graphs  # another thread may find just now that there can be none
        if graphs is not None:
            with self._turns:
                graphs.clear()
        if self._device.type == "cuda":
            memory.give_back()


def as_pixels(network: nn.Module, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Denoise whole numbers to whole numbers.

    Args:
        network: called as network(noisy, sigma) on [0, 1].
        noisy: int16 (N, H, W, 3) on the 0..255 scale, not clipped.
        sigma: float32 (N,) on the [0, 1] scale.

    Returns:
        uint8 (N, H, W, 3), rounded to the nearest and clipped.
    """
    cleaned = network(noisy.permute(0, 3, 1, 2).float() / 255, sigma)
    whole: torch.Tensor = (cleaned.float() * 255).round_().clamp_(0, 255).to(torch.uint8)
    return whole.permute(0, 2, 3, 1).contiguous()


class _Sizes:
    """The fixed batch for each picture size: as large as is useful and fits into memory."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._network, self._device = network, device
        self._found: dict[tuple[int, int], int] = {}
        self._lock = threading.Lock()

    def batch(self, height: int, width: int) -> int:
        with self._lock:
            if (height, width) not in self._found:
                self._found[height, width] = self._find(height, width)
            return self._found[height, width]

    def halve(self, height: int, width: int, tried: int) -> None:
        if tried <= 1:
            raise NotUsable(
                f"the memory does not hold one picture of {width}×{height} while it is denoised: "
                "use a smaller size, or a machine with more memory"
            ) from None
        with self._lock:
            self._found[height, width] = min(self._found[height, width], tried // 2)
        _log.warning("out of memory: batches of %d pictures from now on", tried // 2)

    def _find(self, height: int, width: int) -> int:
        kind = self._device.type
        useful = min(MOST_PICTURES[kind], MOST_PIXELS[kind] // (height * width))
        most = min(useful, memory.largest_batch(self._network, height, width, self._device))
        return 1 << max(0, int(most).bit_length() - 1)  # a power of two, at least 1


def _placed(network: nn.Module, device: torch.device) -> tuple[nn.Module, torch.dtype]:
    """Bring a network to the device, in the best precision that it can be run in."""
    fold: Callable[[], nn.Module] = getattr(network.eval(), "folded", lambda: network)
    folded = fold()
    asked = getattr(network, "precision", "") == "float32"
    best = torch.float32 if asked else precision(device)
    for dtype in dict.fromkeys((best, torch.float32)):
        try:
            placed: nn.Module = copy.deepcopy(folded).to(  # type: ignore[call-overload]
                device, dtype=dtype, memory_format=torch.channels_last
            )
            shape = tuple(_tried(placed, device).shape)
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            failed = error
            continue
        if shape != (1, 3, TRIAL, TRIAL + 1):
            raise BrokenWeights(
                f"the network made {tuple(shape)} of (1, 3, {TRIAL}, {TRIAL + 1}), or values that "
                "are not finite: it must return pictures of the shape that it is given"
            )
        return placed, dtype
    raise NotUsable(f"the network cannot be run on {device} ({type(failed).__name__}: {failed})")


def _faster(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Fuse a network's parts, where that can be done and is seen to change nothing.

    In float32 too, where rounding hides less: a part may write over what others still look at.
    """
    if not available(device, dtype):
        return network
    try:
        faster = fused(network)
        exact = copy.deepcopy(network).float()
        pairs = ((fused(exact), exact, torch.float32), (faster, network, dtype))
        same = all(alike(_tried(a, device), _tried(b, device), kind) for a, b, kind in pairs)
    except Exception:  # noqa: BLE001  a stranger's network may do anything with its parts
        return network
    return faster if same else network


@torch.inference_mode()
def _tried(network: nn.Module, device: torch.device) -> torch.Tensor:
    noisy = torch.linspace(0, 1, 3 * TRIAL * (TRIAL + 1), device=device)
    noisy = noisy.view(1, 3, TRIAL, TRIAL + 1)
    cleaned = network(noisy.clone(), torch.full((1,), 0.25, device=device))
    if not isinstance(cleaned, torch.Tensor) or not bool(cleaned.isfinite().all()):
        return torch.empty(0)
    return cleaned
