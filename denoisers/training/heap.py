"""Keeps memory that a training step has freed for the next one.

A step allocates the same large blocks as the one before. The C library gives each back to the
kernel when it is freed and gets it anew, page by page and filled with zeros, which takes up to a
third of a step where the kernel is busy (docs/benchmarks.md). Only the training does so: a service
should return what it does not need.
"""

import ctypes

# Of glibc's mallopt(3)
FROM_HEAP, SIZES = -3, (2**30, 2**25)  # M_MMAP_THRESHOLD: older versions take no more than 32 MiB
KEEP, FOR_EVER = -1, 2**31 - 1  # M_TRIM_THRESHOLD
GROW, AT_ONCE = -2, 2**26  # M_TOP_PAD


def keep_freed() -> bool:
    """Tell the C library, for as long as the process lives; False where it has no such thing."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # only glibc has it
        return False
    # Without the first the others harm: each ends the library's own raising of that limit.
    if not any(mallopt(FROM_HEAP, size) == 1 for size in SIZES):
        return False
    mallopt(KEEP, FOR_EVER)
    mallopt(GROW, AT_ONCE)
    return True
