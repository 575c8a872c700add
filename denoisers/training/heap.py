"""Keeps memory that a training step has freed for the next one.

A step allocates the same large blocks as the one before. The C library gives each back to the
kernel when it is freed and gets it anew, page by page and filled with zeros, which takes a fifth of
a step on a CPU. Only the training does so: a service should return what it does not need.
"""

import ctypes

_SETTINGS = (  # of glibc's mallopt(3)
    (-3, 2**30),  # M_MMAP_THRESHOLD: blocks below it come from the heap
    (-1, 2**31 - 1),  # M_TRIM_THRESHOLD: and stay there when they are freed
    (-2, 2**26),  # M_TOP_PAD: which grows by so much at once
)


def keep_freed() -> bool:
    """Tell the C library, for as long as the process lives; False where it has no such thing."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl's is another, Windows and macOS have none
        return False
    return all([mallopt(setting, value) == 1 for setting, value in _SETTINGS])
