"""The denoiser on a CUDA GPU: one captured graph for each picture size, pinned transfers.

A captured graph is launched at once where a network of small layers would spend more time on
launching its kernels than on computing them. Its shape is fixed, as the runtime's batches are, and
so are its kernels: what was chosen when it was captured computes every batch.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from denoisers.memory import out_of_memory

TRIED = (1, 16, 17, 3)  # the first batch that a function is captured with
KEPT = 8  # graphs; each holds the memory of its activations

_CAPTURING = threading.Lock()  # torch: one capture at a time in a process

AsPixels = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class NotCapturable(RuntimeError):
    """A function does what a capture does not permit; says what."""


class Graph:
    """A function of one fixed batch, captured.

    Args:
        function: (int16 (N, H, W, 3), float32 (N,)) to uint8 (N, H, W, 3) and bool (N,), whether
            what it made of each was finite; on the device.
        shape: N, H, W, 3.
        device: a CUDA GPU.

    Raises:
        NotCapturable: if the function cannot be captured, as one that looks at values cannot.
        RuntimeError: if there is no memory for it, see :func:`denoisers.memory.out_of_memory`, or
            the function fails by itself.
    """

    def __init__(self, function: AsPixels, shape: tuple[int, ...], device: torch.device) -> None:
        compute_as_named()  # whatever a stranger's package has set since
        self._noisy = torch.zeros(shape, dtype=torch.int16, device=device)
        self._sigma = torch.full((shape[0],), 0.25, device=device)
        self._sent = torch.zeros(shape, dtype=torch.int16, pin_memory=True)
        self._got = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
        self._graph = torch.cuda.CUDAGraph()
        beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream(device))
        with _CAPTURING, torch.cuda.stream(beside):
            for _ in range(3):  # libraries set themselves up outside of the capture
                function(self._noisy, self._sigma)
            try:
                self._cleaned, self._finite = self._captured(function, beside)
            except RuntimeError as error:
                if out_of_memory(error):
                    raise
                raise NotCapturable(str(error)) from error
        torch.cuda.current_stream(device).wait_stream(beside)

    def _captured(
        self, function: AsPixels, beside: torch.cuda.Stream
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # Other threads may go on meanwhile, with another denoiser or the next request's picture:
        # what they do would spoil a capture that were not this thread's alone.
        capture = torch.cuda.graph(self._graph, stream=beside, capture_error_mode="thread_local")
        try:
            with capture:
                return function(self._noisy, self._sigma)
        except RuntimeError as error:  # often the capture's own, which hides why it ended
            if isinstance(error.__context__, RuntimeError):
                raise error.__context__ from None
            raise

    def __call__(
        self, samples: torch.Tensor, sigma: float
    ) -> tuple[NDArray[np.uint8], torch.Tensor]:
        """Denoise.

        Args:
            samples: int16 (up to N, H, W, 3), on the CPU or on the device.
            sigma: standard deviation of the noise on the [0, 1] scale.

        Returns:
            uint8 of the same shape, and bool (N,): whether what was made of each was finite.
        """
        count, device = len(samples), self._noisy.device
        if samples.device.type == "cpu":
            self._sent[:count] = samples
            samples = self._sent[:count]
        with torch.cuda.device(device):
            self._noisy[:count].copy_(samples, non_blocking=True)
            self._noisy[count:].zero_()  # nobody's picture shares a batch with another request's
            self._sigma.fill_(sigma)
            self._graph.replay()
            self._got.copy_(self._cleaned, non_blocking=True)
            torch.cuda.current_stream(device).synchronize()
        result: NDArray[np.uint8] = self._got[:count].numpy().copy()
        return result, self._finite[:count]


def compute_as_named() -> None:
    """Have this process choose kernels that add in one order, and whose float32 is float32.

    Left to itself, cuDNN takes some for transposed convolutions whose low bits change from run to
    run, and multiplies float32 with 10 bits of mantissa (TF32): no compute type says so.
    """
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    # Undoes what may have been set the older way, or torch refuses to tell which of both holds.
    torch.set_float32_matmul_precision("highest")
    # That leaves them to what torch.backends is set to, where that is newer.
    cudnn: Any = torch.backends.cudnn  # whose annotations do not name these
    for kind in (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul):
        kind.fp32_precision = "ieee"


class Graphs:
    """The graphs of the picture sizes used last. Not for several threads at once."""

    def __init__(self, function: AsPixels, device: torch.device) -> None:
        self._function, self._device = function, device
        self._kept: OrderedDict[tuple[int, ...], Graph] = OrderedDict()
        self._able = False  # to be captured, as far as is known

    def of(self, shape: tuple[int, ...]) -> Graph:
        """Return the graph of a batch's shape, captured at its first use.

        Raises:
            NotCapturable: if there can be none.
            RuntimeError: see :class:`Graph`.
        """
        if shape not in self._kept:
            while len(self._kept) >= KEPT:
                self._kept.popitem(last=False)
            with torch.cuda.device(self._device):
                if not self._able:
                    # torch 2.13 never frees what a failed capture took: let it be little.
                    Graph(self._function, TRIED, self._device)
                    self._able = True
                self._kept[shape] = Graph(self._function, shape, self._device)
        self._kept.move_to_end(shape)
        return self._kept[shape]

    def clear(self, shape: tuple[int, ...] | None = None) -> bool:
        """Give the memory of all graphs back; tell whether there was one of another shape."""
        others = bool(self._kept.keys() - {shape})
        self._kept.clear()
        return others
