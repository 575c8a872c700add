"""How many pictures of a size are denoised at once."""

import logging
import threading
from dataclasses import dataclass

import torch
from torch import nn

from certification.errors import InvalidParameter
from denoisers import memory
from denoisers.lanes import lanes_of

MOST_PICTURES = {"cpu": 64, "cuda": 512}  # in a batch; more is no faster
MOST_PIXELS = {"cpu": 2**18, "cuda": 2**23}

_log = logging.getLogger(__name__)


def no_room(height: int, width: int) -> InvalidParameter:
    """Return what to raise for a picture that the memory does not hold."""
    return InvalidParameter(
        f"the memory does not hold one picture of {width}×{height} while it is denoised: use a "
        "smaller size, or a machine with more memory",
        "size",
    )


@dataclass(frozen=True)
class Split:
    """How pictures of a size are parted.

    Attributes:
        batch: pictures that go through the network together; each batch is filled up to as many.
        lanes: batches at once, see :mod:`denoisers.lanes`.
    """

    batch: int
    lanes: int

    @property
    def pictures(self) -> int:
        """How many pictures are computed at once."""
        return self.batch * self.lanes

    def lanes_for(self, count: int) -> int:
        """Return how many lanes so many pictures take."""
        return min(self.lanes, -(-count // self.batch))


class Sizes:
    """The fixed batch for each picture size: as large as is useful and fits into memory.

    Args:
        network: on its device.
        device: whose memory counts.
        beside: whether several batches may be computed side by side, on a CPU.
    """

    def __init__(self, network: nn.Module, device: torch.device, *, beside: bool = False) -> None:
        self._network, self._device = network, device
        self._beside = beside and device.type == "cpu"
        self._found: dict[tuple[int, int], Split] = {}
        self._peaks: dict[tuple[int, int], int] = {}  # bytes of one picture
        self._lock = threading.Lock()

    def known(self, height: int, width: int) -> Split | None:
        """Return how a size is parted; None for one that is new."""
        return self._found.get((height, width))  # not locked, as it is while one is measured

    def split(self, height: int, width: int) -> Split:
        """Return how a size is parted; measures the memory for one that is new.

        Raises:
            InvalidParameter: if the memory that is free does not hold one picture.
        """
        with self._lock:
            if (height, width) not in self._found:
                self._found[height, width] = self._find(height, width)
            return self._found[height, width]

    def has_room(self, count: float, height: int, width: int) -> bool:
        """Say whether the memory that is free now holds a batch, which others may have taken since.

        On a CPU, whose system ends a process that takes too much; a GPU says so itself.
        """
        wanted = count * self._peaks.get((height, width), 0)
        return self._device.type != "cpu" or memory.has(wanted, self._device)

    def halve(self, height: int, width: int, tried: Split, count: int) -> None:
        """Take half of what was tried for a size from now on: of its lanes, then of its batch.

        Args:
            height: of the pictures.
            width: of the pictures.
            tried: with what the memory did not suffice.
            count: pictures that there were then.
        """
        lanes = tried.lanes_for(count)
        less = Split(tried.batch, lanes // 2) if lanes > 1 else Split(tried.batch // 2, tried.lanes)
        with self._lock:
            if self._found[height, width] != tried:  # by another batch that failed meanwhile
                return
            self._found[height, width] = less
        _log.warning(
            "out of memory: batches of %d pictures from now on, %d at once", less.batch, less.lanes
        )

    def _find(self, height: int, width: int) -> Split:
        kind = self._device.type
        fits = memory.largest_batch(self._network, height, width, self._device)
        # One that takes more than all that is free would have the system end the process.
        if fits < 1 and not memory.holds_one(self._network, height, width, self._device):
            raise no_room(height, width)
        if kind == "cpu":
            self._peaks[height, width] = memory.measured(self._network, height, width) or 0
        useful = MOST_PIXELS[kind] // (height * width)
        most = min(MOST_PICTURES[kind], useful, fits)
        batch = 1 << max(0, int(most).bit_length() - 1)  # a power of two, at least 1
        # A larger picture has all threads to itself, since it may be in memory alone; and so has
        # one of a network whose memory nobody knows.
        beside = self._beside and useful and self._peaks[height, width]
        lanes = lanes_of(torch.get_num_threads()) if beside else 1
        return Split(batch, max(1, min(lanes, int(fits // batch))))
