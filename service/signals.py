"""The signals by which a user ends a command."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

HANG_UP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # not on every platform


def answer(handler: Callable[[int], None]) -> list[signal.Signals]:
    """Have SIGINT, SIGTERM and SIGHUP answered on the running loop, until it is closed.

    Args:
        handler: is called with the signal's number, in the place of one before it.

    Returns:
        Those that are answered: not SIGHUP where it is ignored.
    """
    loop = asyncio.get_running_loop()
    signals = [signal.SIGINT, signal.SIGTERM]
    if HANG_UP is not None and signal.getsignal(HANG_UP) is not signal.SIG_IGN:  # by nohup
        signals.append(HANG_UP)
    for number in signals:
        loop.add_signal_handler(number, handler, number)
    return signals


@contextlib.contextmanager
def answered(handler: Callable[[int], None]) -> Iterator[list[signal.Signals]]:
    """Do as `answer`, until the context is left; yields what it returns."""
    loop, signals = asyncio.get_running_loop(), answer(handler)
    try:
        yield signals
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
