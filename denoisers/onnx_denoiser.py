"""A denoiser from an ONNX file; see :mod:`denoisers.onnx_network` for the networks it takes."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from certification.errors import InvalidParameter
from denoisers import memory
from denoisers.computing import ROOM_SECONDS, Queue, device_of
from denoisers.errors import NotUsable
from denoisers.onnx_format import check_onnx
from denoisers.onnx_network import Floats, OnnxNetwork, trial_pictures
from denoisers.reading import read_whole, refuse_pickle

TRIAL_ROOM_SECONDS = 2.0  # for a new size, before anything is paid for


class OnnxDenoiser:
    """A denoiser ready to use, with the methods of :class:`denoisers.runtime.Runtime`.

    Args:
        name: as a request gives it.
        path: the ONNX file.
        summary: one line for people.

    Raises:
        NotUsable: if onnxruntime is not installed.
        BrokenWeights: if the file is damaged or no such network.
    """

    compute = "cpu/onnx-float32"

    def __init__(self, name: str, path: Path, *, summary: str = "") -> None:
        data = read_whole(path)
        refuse_pickle(path.name, data)
        check_onnx(path.name, data)
        self.name, self.summary = name, summary
        self.weights_sha256: str | None = hashlib.sha256(data).hexdigest()
        self._queue = Queue(device_of("cpu"))
        self._network = OnnxNetwork(path.name, data, self._queue.run)
        self._taken = set[tuple[int, int]]()

    def batch_of(self, height: int, width: int) -> int:
        """Return how many pictures of this size are cleaned at once; a new size is tried first.

        Raises:
            InvalidParameter: if the network does not take pictures of this size, or the memory
                does not hold them.
        """
        if (height, width) in self._taken:
            return self._network.batch
        try:
            self._network.check_size(height, width)
            shape = self._network.batch, height, width
            self._in_turn(shape, lambda: trial_pictures(*shape), 0.25, TRIAL_ROOM_SECONDS)
        except NotUsable as error:
            raise InvalidParameter(f"the denoiser {self.name!r}: {error}", "size") from None
        self._taken.add((height, width))
        return self._network.batch

    def _in_turn(
        self,
        shape: tuple[int, int, int],
        noisy: Callable[[], Floats],
        sigma: float,
        seconds: float = ROOM_SECONDS,
    ) -> Floats:
        count, height, width = shape
        wanted = count * height * width * self._network.pixel_bytes
        try:
            return self._queue.run_with_room(
                lambda: self._network(noisy(), sigma),
                lambda: memory.has(wanted, torch.device("cpu")),
                seconds=seconds,
            )
        except MemoryError:
            raise NotUsable(
                f"the memory does not hold {count} at once of {width}×{height} pixels: use a "
                "smaller size, or export the network with a batch of 1"
            ) from None

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
            InvalidParameter: if the network does not take pictures of this size, or fails on
                these, which others of their size need not.
        """
        out = np.empty(noisy.shape, dtype=np.uint8)
        _, height, width, _ = noisy.shape
        size = self.batch_of(height, width)
        for start in range(0, len(noisy), size):
            some = noisy[start : start + size]
            work = functools.partial(_full, some, size)
            try:
                cleaned = self._in_turn((size, height, width), work, sigma)[: len(some)]
            except NotUsable as error:
                raise InvalidParameter(
                    f"the denoiser {self.name!r} failed on this picture: {error}", "denoiser"
                ) from None
            whole = np.rint(cleaned.clip(0, 1) * 255)
            out[start : start + size] = whole.transpose(0, 2, 3, 1)
        return out


def _full(some: NDArray[np.int16], size: int) -> Floats:
    """Return pictures as the network takes them: a full batch of so many."""
    batch = np.zeros((size, 3, *some.shape[1:3]), dtype=np.float32)
    batch[: len(some)] = some.transpose(0, 3, 1, 2)
    batch /= 255
    return batch
