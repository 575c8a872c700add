"""Keyed exact noise against `torch.randn` of the same shape.

    python -m benchmarks.noise [--rounds 60]

Both sides run in turn inside one process; the table shows medians and the median of the paired
ratios (below 1: the exact noise is faster). torch is measured with one thread and with its
default number; the noise itself always uses one.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from certification.gaussian_table import gaussian_table
from certification.noise import draw, draw_many

KEY = bytes(range(16))
SIGMAS = (0.05, 0.25, 0.5, 1.0)
LARGE = (224, 224, 3)
SMALL, BATCH = (32, 32, 3), 64


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> str:
    """Run both in turn and return a row of the table: medians in ms and the paired ratio."""
    for work in (ours, theirs) * 3:
        work()
    pairs = [
        (seconds(ours), seconds(theirs)) if i % 2 else (seconds(theirs), seconds(ours))[::-1]
        for i in range(rounds)
    ]
    mine, other = (statistics.median(side) * 1e3 for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return f"{mine:8.3f} {other:8.3f} {ratio:7.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="pairs per row")
    rounds = parser.parse_args().rounds
    default = torch.get_num_threads()
    print(f"numpy {np.__version__}, torch {torch.__version__}, {platform.processor()}")
    for sigma in SIGMAS:
        print(f"table of sigma {sigma}: {seconds(lambda s=sigma: gaussian_table(s)) * 1e3:.0f} ms")
    print("\nthreads  sigma  shape            ours ms randn ms   ratio")
    for threads in dict.fromkeys((1, default)):
        torch.set_num_threads(threads)
        for sigma in SIGMAS:
            large = compare(
                lambda s=sigma: draw(KEY, 5, LARGE, s), lambda: torch.randn(LARGE), rounds
            )
            small = compare(
                lambda s=sigma: draw_many(KEY, range(BATCH), SMALL, s),
                lambda: torch.randn((BATCH, *SMALL)),
                rounds,
            )
            print(f"{threads:7} {sigma:6}  {'224x224x3':14} {large}")
            print(f"{threads:7} {sigma:6}  {'64 of 32x32x3':14} {small}")
    torch.set_num_threads(default)


if __name__ == "__main__":
    main()
