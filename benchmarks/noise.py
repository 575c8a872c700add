"""Keyed exact noise against `torch.randn` of the same shape.

    python -m benchmarks.noise [--rounds 60] [--cpu]

Both sides run in turn inside one process; the table shows medians and the median of the paired
ratios (below 1: the exact noise is faster). torch is measured with one thread and with its
default number; the noise itself always uses one. With --cpu the clock counts this process's CPU
time, so that other work on the machine weighs less.
"""

import argparse
import os
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


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Time one call."""
    start = clock()
    work()
    return clock() - start


def compare(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    rounds: int,
    clock: Callable[[], float],
) -> str:
    """Run both in turn and return a row of the table: medians in ms and the paired ratio."""
    for work in (ours, theirs) * 3:
        work()
    pairs = [
        (seconds(ours, clock), seconds(theirs, clock))
        if i % 2
        else (seconds(theirs, clock), seconds(ours, clock))[::-1]
        for i in range(rounds)
    ]
    mine, other = (statistics.median(side) * 1e3 for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return f"{mine:8.3f} {other:8.3f} {ratio:7.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="pairs per row")
    parser.add_argument("--cpu", action="store_true", help="count CPU time, not wall time")
    options = parser.parse_args()
    rounds, clock = options.rounds, time.process_time if options.cpu else time.perf_counter
    default = torch.get_num_threads()
    print(f"numpy {np.__version__}, torch {torch.__version__}, {os.cpu_count()} cores")
    for sigma in SIGMAS:
        print(f"table of sigma {sigma}: {seconds(lambda s=sigma: gaussian_table(s)) * 1e3:.0f} ms")
    print("\nthreads  sigma  shape            ours ms randn ms   ratio")
    for threads in dict.fromkeys((1, default)):
        torch.set_num_threads(threads)
        for sigma in SIGMAS:
            large = compare(
                lambda s=sigma: draw(KEY, 5, LARGE, s), lambda: torch.randn(LARGE), rounds, clock
            )
            small = compare(
                lambda s=sigma: draw_many(KEY, range(BATCH), SMALL, s),
                lambda: torch.randn((BATCH, *SMALL)),
                rounds,
                clock,
            )
            print(f"{threads:7} {sigma:6}  {'224x224x3':14} {large}")
            print(f"{threads:7} {sigma:6}  {'64 of 32x32x3':14} {small}")
    torch.set_num_threads(default)


if __name__ == "__main__":
    main()
