"""Runs a stranger's graph with an end to it, and sees what memory it takes.

A graph may loop for ever, and onnxruntime tells nobody what memory it will take: an intermediate
result of 64 channels at full size is twenty times the picture.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOOK_SECONDS = 0.001  # between two looks at the memory
STATM = Path("/proc/self/statm")  # pages; Linux alone has it


class TooLong(Exception):
    """The graph did not come to an end in time."""


def run(
    session: Any,  # noqa: ANN401  onnxruntime is untyped
    given: Mapping[str, NDArray[np.float32]],
    seconds: float,
) -> Sequence[Any]:
    """Run a graph; end it if it takes too long.

    Args:
        session: an onnxruntime.InferenceSession.
        given: its inputs.
        seconds: that it may take.

    Returns:
        Its outputs.

    Raises:
        TooLong: if it was ended.
        Exception: what onnxruntime raises.
    """
    import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415  an extra

    options, over = onnxruntime.RunOptions(), threading.Event()

    def end() -> None:
        over.set()
        options.terminate = True

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        outputs: Sequence[Any] = session.run(None, dict(given), options)
    except Exception:
        if over.is_set():
            raise TooLong(f"it took more than {seconds:.0f} seconds") from None
        raise
    finally:
        timer.cancel()
    return outputs


def bytes_taken(work: Callable[[], object]) -> int:
    """Return by how many bytes this process grew at most while something was done.

    What other threads take meanwhile counts too, and what is freed and taken again does not count
    twice. 0 where the system does not tell.
    """
    before = resident()
    if before is None:
        return 0
    most, done = [before], threading.Event()

    def look() -> None:
        while not done.is_set():
            most[0] = max(most[0], resident() or 0)
            time.sleep(LOOK_SECONDS)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        work()
    finally:
        done.set()
        looking.join()
    return most[0] - before


def resident() -> int | None:
    """Return the bytes of this process that are in memory; None where the system does not tell."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
