"""Gives pictures to the real decoder and says what came of them."""

import resource
import sys
import time
import traceback
from typing import NamedTuple

from certification.canonical import Limits, canonicalise
from certification.errors import ImageError

MOST_SECONDS = 2.0  # of processor time: a busy machine makes no picture slower
# Over what the process needs anyway. The largest picture, with transparency, takes two copies
# of 25 million pixels of four bytes.
MOST_MEMORY = 2**29


class Outcome(NamedTuple):
    """What came of one picture.

    Attributes:
        kind: "picture", or the class of the error.
        seconds: of processor time.
        wrong: what must not happen, in words; None if all is well.
    """

    kind: str
    seconds: float
    wrong: str | None


def peak_memory() -> int:
    """Return the most bytes of memory that this process ever had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def attempt(data: bytes, base: int | None = None) -> Outcome:
    """Decode an upload as the service does, with its own limits.

    Args:
        data: the file.
        base: `peak_memory` before; None leaves memory and time alone.
    """
    started, wrong = time.thread_time(), None
    try:
        image = canonicalise(data, limits=Limits(), name="upload")
        kind = "picture"
        if image.pixels.ndim != 3 or image.pixels.shape[2] != 3 or not image.pixels.size:
            wrong = f"an array of shape {image.pixels.shape}"
    except ImageError as error:
        kind = type(error).__name__
        if "does not fit into memory" in str(error):
            wrong = "memory ran out"
    except BaseException as error:  # noqa: BLE001  that is what is looked for
        kind = type(error).__name__
        wrong = "".join(traceback.format_exception(error)[-4:])
    seconds = time.thread_time() - started
    if wrong is None and base is not None and seconds > MOST_SECONDS:
        wrong = f"{seconds:.1f} s of processor time"
    if wrong is None and base is not None and (peak := peak_memory() - base) > MOST_MEMORY:
        wrong = f"{peak / 2**20:,.0f} MiB of memory"
    return Outcome(kind, seconds, wrong)
