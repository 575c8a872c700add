"""Whose turn it is: first come, first served.

Python's own lock lets whoever asks at the right moment go first, so that one busy thread can
hold up the others for as long as it has work. Here a thread that comes again stands behind all
that already wait.
"""

import threading
from collections import deque
from types import TracebackType


class Turns:
    """A lock that is passed on in the order of asking. A context manager; not reentrant."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Event] = deque()

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        return len(self._waiting)

    def __enter__(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Event()
            self._waiting.append(mine)
        try:
            mine.wait()
        except BaseException:  # Ctrl-C while waiting: step out of the queue, or pass the turn on
            with self._guard:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                else:
                    self._pass_on()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._guard:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()  # stays taken: it is theirs now
        else:
            self._taken = False
