"""The one thread that has work done on a device, for all denoisers and whoever waits for them.

Each thread that enters torch gets a team of OpenMP threads, as many as there are cores, and keeps
it for life: with a thread for each request a machine of 64 cores would have thousands, and libgomp
ends the process where the system gives it no more. So requests hand their batches over, and wait:
first come, first served, so that one with much work does not hold up the others. What the thread
comes to when nobody waits for it any more is left out. On a CPU it parts them among a few others,
see :mod:`denoisers.lanes`.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from certification.leaving import NobodyWaits, gone
from denoisers.lanes import Lanes

T = TypeVar("T")

ROOM_SECONDS = 20.0  # for memory that others have now
LOOK_SECONDS = 0.2  # between two looks at it


class NoMemory(MemoryError):
    """There was no memory for it, for as long as was waited."""


class _Short(Exception):
    """There is no memory for it now."""


class Device:
    """A device's thread, begun with the first work.

    Args:
        name: of the device.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.begin()

    def begin(self) -> None:
        """Have a thread of one's own, as a new process has to."""
        self._pool = ThreadPoolExecutor(1, f"denoise-{self._name}", initializer=self._begun)
        self._thread: int | None = None
        self._lanes: Lanes | None = None

    def run(self, work: Callable[[], T]) -> T:
        """Do something there, behind all that already waits; at once in work that is done there.

        Raises:
            NobodyWaits: if the run that it is for has gone before its turn came.
            Exception: what the work raised.
        """
        if threading.get_ident() == self._thread or self._in_a_lane():
            return work()
        left, threads = gone(), torch.get_num_threads()

        def turn() -> T:
            if left is not None and left.is_set():
                raise NobodyWaits
            if torch.get_num_threads() != threads:  # set since then, for each thread by itself
                torch.set_num_threads(threads)
            return work()

        future = self._pool.submit(turn)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C while waiting: step out of the queue
            raise
        finally:
            # An error holds this frame, and would be held by what it came through: then all that
            # a batch took, which may be why it failed, stayed until Python looks for cycles.
            del future, turn

    def side_by_side(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """Do several things at once, in work that is done there; for a CPU.

        Returns:
            Their results, in order.

        Raises:
            Exception: what the first of them raised that failed; all have ended by then.
        """
        if self._in_a_lane():  # where all others may be taken by those who wait for this
            return [work() for work in works]
        threads = torch.get_num_threads()
        if self._lanes is None or self._lanes.threads != threads:
            if self._lanes is not None:
                self._lanes.end()
            self._lanes = Lanes(threads)
        return self._lanes.run(works)

    def _begun(self) -> None:
        self._thread = threading.get_ident()
        if self._name.startswith("cuda"):  # for what a stranger's network makes on "cuda"
            with contextlib.suppress(RuntimeError, AssertionError):  # which the work will meet too
                torch.cuda.set_device(self._name)

    def _in_a_lane(self) -> bool:
        return self._lanes is not None and threading.get_ident() in self._lanes.identities


class Queue:
    """One denoiser's way to its device's thread; tells how many of its batches wait.

    Args:
        device: where it computes.
    """

    def __init__(self, device: Device) -> None:
        self._device, self._guard, self._places = device, threading.Lock(), set[object]()

    @property
    def waiting(self) -> int:
        """How many batches wait for their turn."""
        return len(self._places)

    def run(self, work: Callable[[], T]) -> T:
        """See :meth:`Device.run`."""
        place = object()
        with self._guard:
            self._places.add(place)

        def turn() -> T:
            self._leave(place)
            return work()

        try:
            return self._device.run(turn)
        finally:
            self._leave(place)

    def side_by_side(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """See :meth:`Device.side_by_side`."""
        return self._device.side_by_side(works)

    def run_with_room(
        self, work: Callable[[], T], has_room: Callable[[], bool], seconds: float = ROOM_SECONDS
    ) -> T:
        """Do something once there is memory for it, see :meth:`Device.run`.

        Args:
            work: what is done.
            has_room: is asked in one's turn, when what the batch before took is free again.
            seconds: for which others may have the memory; they do not wait meanwhile.

        Raises:
            NoMemory: if there was none for so long.
        """
        until = time.monotonic() + seconds

        def turn() -> T:
            if not has_room():
                raise _Short
            return work()

        while True:
            try:
                return self.run(turn)
            except _Short:
                if time.monotonic() >= until:
                    raise NoMemory from None
            time.sleep(LOOK_SECONDS)

    def _leave(self, place: object) -> None:
        with self._guard:
            self._places.discard(place)


_DEVICES: dict[str, Device] = {}
_GUARD = threading.Lock()


def device_of(where: torch.device | str) -> Device:
    """Return the thread of a device, "cpu" or "cuda:0", the same for all who compute there."""
    with _GUARD:
        return _DEVICES.setdefault(str(where), Device(str(where)))


def _begin_all() -> None:
    global _GUARD  # noqa: PLW0603
    _GUARD = threading.Lock()
    for device in _DEVICES.values():
        device.begin()


os.register_at_fork(after_in_child=_begin_all)  # a child has none of its parent's threads
