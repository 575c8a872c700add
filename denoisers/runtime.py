"""Runs a denoising network on batches of one fixed shape, as fast as the machine can.

Batches of different shape may be computed by different kernels and differ in their low bits, so
all batches of pictures of one size are padded to the same number: a picture's result does not
depend on what shares its batch. bfloat16 and channels-last where the CPU or GPU has them.
"""

import functools
import logging
import re
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from certification.errors import InvalidParameter
from certification.leaving import NobodyWaits
from denoisers import memory
from denoisers.batches import Batches, as_pixels, see_that_all
from denoisers.computing import NoMemory, Queue, device_of
from denoisers.cuda_graphs import Graph, Graphs, NotCapturable, compute_as_named
from denoisers.device import choose, compute_type
from denoisers.device_noise import draw
from denoisers.errors import NotUsable
from denoisers.lanes import may_lie_beside, ours
from denoisers.placing import faster, placed
from denoisers.sizes import Sizes, Split, no_room

LONGEST_REASON = 200
DEVICE = re.compile("CUDA (driver )?error|cuDNN error|CU(DNN|BLAS)_STATUS")  # at fault itself

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
        self._queue = Queue(device_of(self._device))
        self._network, dtype = self._queue.run(lambda: placed(network, self._device))
        self._faster = self._queue.run(lambda: faster(self._network, self._device, dtype))
        changed = self._faster is not self._network
        self.compute = compute_type(self._device, dtype, fused=changed)
        beside = may_lie_beside(self._network) and may_lie_beside(self._faster)
        self._sizes = Sizes(self._network, self._device, beside=beside)
        self._batches = Batches(
            self._faster,
            self._device,
            self._queue,
            self._sizes.has_room,
            alike=ours(self._faster),
        )
        self._graphs: Graphs | None = None
        if self._device.type == "cuda":
            self._graphs = Graphs(functools.partial(as_pixels, self._network), self._device)

    def batch_of(self, height: int, width: int) -> int:
        """Return to how many pictures of this size each batch is filled up.

        Raises:
            InvalidParameter: if the memory does not hold one.
        """
        return self._split(height, width).batch

    def at_once(self, height: int, width: int) -> int:
        """Return how many pictures of this size are cleaned at once, in whole batches.

        Raises:
            InvalidParameter: if the memory does not hold one.
        """
        return self._split(height, width).pictures

    def _split(self, height: int, width: int) -> Split:
        known = self._sizes.known(height, width)
        return known or self._queue.run(lambda: self._split_of_new(height, width))

    def _split_of_new(self, height: int, width: int) -> Split:
        """Measure a size. In one's turn: what a batch of another size takes is free then."""
        try:
            return self._sizes.split(height, width)
        except InvalidParameter:
            self._make_room(height, width)
            return self._sizes.split(height, width)

    @property
    def waiting(self) -> int:
        """How many batches wait for their turn."""
        return self._queue.waiting

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
        picture = torch.from_numpy(pixels.astype(np.int16))
        out = np.empty((count, *pixels.shape), dtype=np.uint8)

        def samples(place: int, some: int) -> torch.Tensor:
            shape = (height, width, 3)
            noise = draw(key, start + place, some, shape, sigma, self._device)
            return noise.add_(picture.to(self._device))

        return self._in_batches(out, samples, sigma)

    def _in_batches(
        self, out: NDArray[np.uint8], samples: Callable[[int, int], torch.Tensor], sigma: float
    ) -> NDArray[np.uint8]:
        start, (height, width, _) = 0, out.shape[1:]
        while start < len(out):
            split = self._split(height, width)
            count = min(split.pictures, len(out) - start)
            made = functools.partial(samples, start, count)
            work = functools.partial(self._run, split, (height, width, 3), made, sigma)
            room = functools.partial(self._sizes.has_room, split.batch, height, width)
            try:
                done = self._queue.run_with_room(work, room)
                out[start : start + len(done)] = done
                start += len(done)
                continue
            except NobodyWaits:
                raise
            except Exception as error:
                if not memory.out_of_memory(error):
                    raise self._failed(error, height, width) from error
                if isinstance(error, NoMemory):  # which was asked for one batch alone
                    count = min(count, split.batch)
                lasts = memory.lasts(error)
            # Out here the error is gone, and with it what it held of the batch.
            if split.batch * split.lanes_for(count) == 1:
                raise self._without_kernels() if lasts else no_room(height, width)
            self._shrink(height, width, split, count)
        return out

    @torch.inference_mode()
    def _run(
        self,
        split: Split,
        size: tuple[int, ...],
        samples: Callable[[], torch.Tensor],
        sigma: float,
    ) -> NDArray[np.uint8]:
        """Clean pictures; one that has no room beside the graphs of others gets theirs."""
        shape = (split.batch, *size)
        try:
            return self._cleaned(split, shape, samples(), sigma)
        except Exception as error:
            alone = shape[0] == 1 and memory.out_of_memory(error)
            if not alone or not self._give_graphs_back(shape):
                raise
        # In the same turn: else others would take the room again, and so on.
        return self._cleaned(split, shape, samples(), sigma)

    def _cleaned(
        self, split: Split, shape: tuple[int, ...], samples: torch.Tensor, sigma: float
    ) -> NDArray[np.uint8]:
        graph = self._graph(shape)
        if graph is not None:
            cleaned, fine = graph(samples, sigma)
            see_that_all(fine)
            return cleaned
        return self._batches(split, shape, samples, sigma)

    def _graph(self, shape: tuple[int, ...]) -> Graph | None:
        """Return the graph of this shape; None on a CPU, and for a network that has none."""
        if self._graphs is None:
            return None
        try:
            return self._graphs.of(shape)
        except NotCapturable as error:
            _log.warning(
                "%s runs without CUDA graphs, which it cannot: %s", self.name, _reason(error)
            )
            self._graphs = None
            return None

    def _shrink(self, height: int, width: int, tried: Split, count: int) -> None:
        self._sizes.halve(height, width, tried, count)
        self._queue.run(self._give_graphs_back)

    def _make_room(self, height: int, width: int) -> None:
        """Give all graphs up for a picture that would have room then. In one's turn."""
        if self._device.type == "cuda" and memory.could_hold_one(
            self._network, height, width, self._device
        ):
            self._give_graphs_back()

    def _give_graphs_back(self, shape: tuple[int, ...] | None = None) -> bool:
        """Give all graphs up; tell whether there was one of another shape. In one's turn."""
        others = self._graphs is not None and self._graphs.clear(shape)
        if self._device.type == "cuda":
            memory.give_back()
        return others

    def _without_kernels(self) -> NotUsable:
        return NotUsable(
            f"oneDNN has no memory for the code of the kernels that {self.name!r} needs, and stays "
            "so: begin the process anew, with more memory or without a limit on its addresses "
            "(ulimit -v)"
        )

    def _failed(self, error: Exception, height: int, width: int) -> Exception:
        """Return what a failure means: the device is at fault, or the network with this picture."""
        if isinstance(error, torch.AcceleratorError) or DEVICE.search(str(error)):
            return NotUsable(f"the device of the denoiser {self.name!r} failed: {_reason(error)}")
        _log.warning("%s failed on %d×%d pixels", self.name, width, height, exc_info=error)
        return InvalidParameter(
            f"the denoiser {self.name!r} failed on this picture of {width}×{height} pixels: "
            f"{_reason(error)}; choose another one, or another size",
            "denoiser",
        )


def _reason(error: Exception) -> str:
    """Return the first line of what a stranger's network may have said, fit for a terminal."""
    text = (str(error).splitlines() or [""])[0] or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in text)[:LONGEST_REASON]
