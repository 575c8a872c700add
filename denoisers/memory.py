"""How many pictures fit into memory at once, and how torch says that it was too much."""

import contextlib
import copy
import ctypes
import re
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from denoisers.control_groups import ROOT, memory_left

SHARE = 0.4  # of the free memory; the rest is for scratch space, other requests and the system
# cuDNN's words where it has room for none of its ways to compute; or, with some type, no way
NO_ENGINE = "unable to find an engine"
# Words of errors that are no torch.OutOfMemoryError
FULL = (
    "can't allocate memory",  # a CPU's
    "not enough memory",
    "CUDA error: out of memory",  # of pinned memory, or while a graph is made
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    NO_ENGINE,
)
# oneDNN's, which had no room for a kernel's code; without a descriptor it knows no way to compute
KERNEL = re.compile("could not (create|execute) a primitive(?! descriptor)")
SMALL = 2**16  # pixels of a picture that is denoised in less time than the estimate takes
UNKNOWN = 2**30  # free bytes that are assumed where the system does not tell
ALWAYS = 2**26  # bytes that are taken to be there, since looking takes as long as a small picture

_trimmed = -1.0  # when the C library was asked last to give back, by time.monotonic


def largest_batch(network: nn.Module, height: int, width: int, device: torch.device) -> float:
    """Return how many pictures of this size fit, by the memory that is free now; may be below 1.

    Args:
        network: called as network(noisy, sigma).
        height: of the pictures, in pixels.
        width: of the pictures, in pixels.
        device: whose memory counts.
    """
    if device.type == "cpu":
        _trim()
    return SHARE * free_bytes(device) / peak_bytes(network, height, width)


def free_bytes(device: torch.device, root: Path = ROOT) -> int:
    """Return the memory that can still be had, a container's limit included.

    Args:
        device: whose.
        root: of the file system.
    """
    if device.type == "cuda":
        give_back()  # what torch then still keeps in reserve is some graph's alone
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        free = next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError, IndexError):
        return UNKNOWN
    left = memory_left(root)
    return max(1, free if left is None else min(free, left))


def has(wanted: float, device: torch.device) -> bool:
    """Say whether the memory that is free now holds so many bytes, as far as is worth a look."""
    if wanted < ALWAYS or wanted <= free_bytes(device):
        return True
    _trim()
    return wanted <= free_bytes(device)


def _trim() -> None:
    """Have the C library give back what is free in it, which it keeps for each thread.

    At most once a second: each time it is slower for a while.
    """
    global _trimmed  # noqa: PLW0603
    if time.monotonic() - _trimmed < 1:
        return
    _trimmed = time.monotonic()
    with contextlib.suppress(OSError, AttributeError, TypeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def give_back() -> None:
    """Give the memory of a GPU back that torch keeps in reserve and that no graph needs."""
    with contextlib.suppress(RuntimeError):  # torch may refuse while another thread captures
        torch.cuda.empty_cache()


def peak_bytes(network: nn.Module, height: int, width: int) -> int:
    """Return the bytes that are alive at once while one picture is denoised, weights not counted.

    Found by running the network: a large picture on tensors that have a shape but no memory, a
    small one on real ones, since the former take a second to import what torch does them with. A
    network that cannot be run so is taken to need 64 float32 channels, four times.
    """
    return measured(network, height, width) or 4 * 64 * 4 * height * width


def holds_one(network: nn.Module, height: int, width: int, device: torch.device) -> bool:
    """Tell whether the memory that is free now holds one picture, as far as can be measured."""
    return (measured(network, height, width) or 0) <= free_bytes(device)


def could_hold_one(network: nn.Module, height: int, width: int, device: torch.device) -> bool:
    """Tell whether a GPU would hold one picture if it were empty."""
    return (measured(network, height, width) or 0) <= torch.cuda.mem_get_info(device)[1]


def measured(network: nn.Module, height: int, width: int) -> int | None:
    """Return :func:`peak_bytes` as it was measured; None for a network that cannot be run so."""
    try:
        device, shadow = "cpu", network
        if height * width > SMALL or any(p.device.type != "cpu" for p in network.parameters()):
            device, shadow = "meta", copy.deepcopy(network).to("meta")
        noisy = torch.zeros((1, 3, height, width), device=device)
        sigma = torch.ones(1, device=device)
        counter = _Alive()
        with torch.inference_mode(), counter:
            shadow(noisy, sigma)
    except Exception:  # noqa: BLE001  a stranger's network may do anything
        return None
    return max(counter.peak, 4 * 3 * height * width)


def out_of_memory(error: BaseException) -> bool:
    """Tell whether something failed because the memory is full, the CPU's or a GPU's."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error) if isinstance(error, RuntimeError) else ""
    return any(words in said for words in FULL) or lasts(error)


def lasts(error: BaseException) -> bool:
    """Tell whether it may fail so from now on, though there is memory again.

    oneDNN makes no kernel any more in a process that once had no room for one's code, as under a
    limit on its address space.
    """
    return isinstance(error, RuntimeError) and KERNEL.search(str(error)) is not None


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of all tensors that are alive."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Say no: to hide from torch.compile is to import it, a second for each new process."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        identity = storage._cdata  # shared by all tensors that look at it
        if identity in self._known:
            return
        size = storage.nbytes()
        self._known.add(identity)
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._gone, identity, size)

    def _gone(self, identity: int, size: int) -> None:
        self._known.discard(identity)
        self._now -= size
