"""A denoiser from an ONNX file; see :mod:`denoisers.onnx_network` for the networks it takes."""

import functools
import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from certification.errors import InvalidParameter
from denoisers.computing import Queue, device_of
from denoisers.errors import NotUsable
from denoisers.memory import free_bytes
from denoisers.onnx_format import check_onnx
from denoisers.onnx_network import OnnxNetwork, trial_pictures
from denoisers.reading import read_whole, refuse_pickle


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
        self._network = self._queue.run(lambda: OnnxNetwork(path.name, data))
        self._taken = set[tuple[int, int]]()

    def batch_of(self, height: int, width: int) -> int:
        """Return how many pictures of this size are cleaned at once; a new size is tried first.

        Raises:
            InvalidParameter: if the network does not take pictures of this size, or the memory
                does not hold them.
        """
        try:
            self._network.check_size(height, width)
            self._check_room(height, width)
            if (height, width) not in self._taken:
                pictures = trial_pictures(self._network.batch, height, width)
                self._queue.run(lambda: self._network(pictures, 0.25))
        except NotUsable as error:
            raise InvalidParameter(f"the denoiser {self.name!r}: {error}", "size") from None
        self._taken.add((height, width))
        return self._network.batch

    def _check_room(self, height: int, width: int) -> None:
        wanted = self._network.batch * height * width * self._network.pixel_bytes
        if wanted > free_bytes(torch.device("cpu")):
            raise NotUsable(
                f"the memory does not hold {self._network.batch} at once of {width}×{height} "
                "pixels: use a smaller size, or export the network with a batch of 1"
            )

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
            batch = np.zeros((size, 3, height, width), dtype=np.float32)
            batch[: len(some)] = some.transpose(0, 3, 1, 2)
            batch /= 255
            work = functools.partial(self._network, batch, sigma)
            try:
                cleaned = self._queue.run(work)[: len(some)]
            except NotUsable as error:
                raise InvalidParameter(
                    f"the denoiser {self.name!r} failed on this picture: {error}", "denoiser"
                ) from None
            whole = np.rint(cleaned.clip(0, 1) * 255)
            out[start : start + size] = whole.transpose(0, 2, 3, 1)
        return out
