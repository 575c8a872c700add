"""Threads that compute side by side, each a batch of its own.

All threads at one batch wait for each other after every layer, and fetch what the others wrote
from their caches: for pictures of 32×32 on a CPU that multiplies bfloat16 matrices, two of them
were slower than one. Each at a batch of its own, they meet at its end only.
"""

import contextlib
import ctypes
import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import torch
from torch import nn

from denoisers.fused import hooked

T = TypeVar("T")

MOST = 8  # each holds Python's lock for a part of its time; more cores than that share the lanes
BLOCK = 2**25 - 2**16  # bytes: the largest that glibc keeps, see `_keep_what_is_freed`
STATELESS = ("denoisers.", "torch.nn.modules.")  # where classes come from that keep nothing


def lanes_of(threads: int) -> int:
    """Return how many lanes so many threads make: alike, and at most an eighth left over."""
    each = (n for n in range(1, MOST + 1) if 8 * n * (threads // n) >= 7 * threads)
    return max(each) if threads > 0 else 1


def ours(network: nn.Module) -> bool:
    """Say whether a network is Surety's own: it keeps nothing anywhere while it computes.

    And comes to the same bits with any number of threads.
    """
    parts = list(network.modules())
    known = all(type(part).__module__.startswith(STATELESS) for part in parts)
    whole = type(network).__module__.startswith(STATELESS[0])
    return known and whole and not any(hooked(part) for part in parts)


def may_lie_beside(network: nn.Module) -> bool:
    """Say whether several threads may call a network at once.

    Our own, and those that say so by an attribute `side_by_side`. Any other may keep something
    while it computes: then what is computed beside it would come into it, and be certified.
    """
    return getattr(network, "side_by_side", False) is True or ours(network)


class Lanes:
    """The lanes, which share the threads that torch computes with. Made where work is handed out.

    Args:
        threads: of all together.
    """

    def __init__(self, threads: int) -> None:
        self.threads, number = threads, lanes_of(threads)
        self.identities = set[int]()
        self._lanes = list[ThreadPoolExecutor]()  # of one thread each
        _keep_what_is_freed()
        # The system may give no more threads: then with those there are.
        with contextlib.suppress(RuntimeError):
            for place in range(number):
                lane = ThreadPoolExecutor(1, f"lane-{place}")
                self.identities.add(lane.submit(_compute_with, threads // number).result())
                self._lanes.append(lane)
        torch.set_num_threads(threads)  # a lane may have changed that of threads that begin later

    def run(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """Do all, side by side, and return their results in order, once all have ended.

        Raises:
            Exception: what the first of them raised.
        """
        if not self._lanes:
            return [work() for work in works]
        futures, done = list[Future[T]](), list[T]()
        try:
            for lane, work in zip(itertools.cycle(self._lanes), works, strict=False):
                futures.append(lane.submit(work))
            wait(futures)
            while futures:
                done.append(futures.pop(0).result())
        finally:
            wait(futures)
            # An error holds this frame, and would be held by it: then all that a batch took, which
            # may be why it failed, stayed until Python looks for cycles.
            futures.clear()
        return done

    def end(self) -> None:
        """Let the threads go."""
        for lane in self._lanes:
            lane.shutdown(wait=False)


def _compute_with(threads: int) -> int:
    """Give this thread so many to compute with; return its identity."""
    torch.get_num_threads()  # from now on torch leaves this thread's number alone
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).omp_set_num_threads(threads)  # this thread's alone
    if torch.get_num_threads() != threads:  # torch has another OpenMP, or none
        torch.set_num_threads(threads)  # which is also that of threads that begin later
    return threading.get_ident()


def _keep_what_is_freed() -> None:
    """Have the C library keep blocks as large as those between layers, for the next ones.

    It gives larger blocks than it has ever seen freed back to the kernel at once, and gets them
    anew, page by page and filled with zeros, for each layer: about a fifth of the time for
    photographs. It learns from one block that is freed (mallopt(3), M_MMAP_THRESHOLD).
    """
    torch.empty(BLOCK, dtype=torch.uint8)
