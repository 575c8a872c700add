"""How many pictures of a size are denoised at once."""

import logging
import threading

import torch
from torch import nn

from certification.errors import InvalidParameter
from denoisers import memory

MOST_PICTURES = {"cpu": 32, "cuda": 512}  # at once; more is no faster
MOST_PIXELS = {"cpu": 2**18, "cuda": 2**23}

_log = logging.getLogger(__name__)


def no_room(height: int, width: int) -> InvalidParameter:
    """Return what to raise for a picture that the memory does not hold."""
    return InvalidParameter(
        f"the memory does not hold one picture of {width}×{height} while it is denoised: use a "
        "smaller size, or a machine with more memory",
        "size",
    )


class Sizes:
    """The fixed batch for each picture size: as large as is useful and fits into memory.

    Args:
        network: on its device.
        device: whose memory counts.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._network, self._device = network, device
        self._found: dict[tuple[int, int], int] = {}
        self._peaks: dict[tuple[int, int], int] = {}  # bytes of one picture
        self._lock = threading.Lock()

    def known(self, height: int, width: int) -> int | None:
        """Return the batch for a size; None for one that is new."""
        return self._found.get((height, width))  # not locked, as it is while one is measured

    def batch(self, height: int, width: int) -> int:
        """Return the batch for a size; measures the memory for one that is new.

        Raises:
            InvalidParameter: if the memory that is free does not hold one picture.
        """
        with self._lock:
            if (height, width) not in self._found:
                self._found[height, width] = self._find(height, width)
            return self._found[height, width]

    def has_room(self, count: int, height: int, width: int) -> bool:
        """Say whether the memory that is free now holds a batch, which others may have taken since.

        On a CPU, whose system ends a process that takes too much; a GPU says so itself.
        """
        wanted = count * self._peaks.get((height, width), 0)
        return self._device.type != "cpu" or memory.has(wanted, self._device)

    def halve(self, height: int, width: int, tried: int) -> None:
        """Take half of what was tried for a size from now on."""
        with self._lock:
            self._found[height, width] = min(self._found[height, width], tried // 2)
        _log.warning("out of memory: batches of %d pictures from now on", tried // 2)

    def _find(self, height: int, width: int) -> int:
        kind = self._device.type
        fits = memory.largest_batch(self._network, height, width, self._device)
        # One that takes more than all that is free would have the system end the process.
        if fits < 1 and not memory.holds_one(self._network, height, width, self._device):
            raise no_room(height, width)
        if kind == "cpu":
            self._peaks[height, width] = memory.measured(self._network, height, width) or 0
        most = min(MOST_PICTURES[kind], MOST_PIXELS[kind] // (height * width), fits)
        return 1 << max(0, int(most).bit_length() - 1)  # a power of two, at least 1
