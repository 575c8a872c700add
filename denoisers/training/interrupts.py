"""Ctrl-C, SIGTERM and a closed terminal, put off to the end of a step."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def after_the_step() -> Iterator[Callable[[], bool]]:
    """Note a signal instead of stopping at once: at the end of a step weights and count agree.

    A second one stops at once; the checkpoint is then the one before.

    Yields:
        A function that tells whether a signal came.
    """
    seen = False

    def note(*_: object) -> None:
        nonlocal seen
        if seen:
            raise KeyboardInterrupt
        seen = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: seen  # signals reach the main thread alone
        return
    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # which nohup asks for
        wanted.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in wanted}
    try:
        yield lambda: seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
