"""How often is a null that is true rejected, looking after every vote? Exact, no simulation.

See `certification.walk` for how; the mass of states too unlikely to matter is counted as an
error ("≤").

    python -m benchmarks.false_coverage [--votes 100000]
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from scipy.special import ndtr, ndtri

from certification import clopper_pearson
from certification.walk import Boundary, mixture_boundary, walk, with_milestone

ALPHA = 0.001


def boundary(rejects: Callable[[int, int], bool], n_max: int, *, majority: bool = True) -> Boundary:
    """Return the smallest S at which a test rejects, for every n; n + 1 where none does.

    From one n to the next it stays or grows by one: a failure never helps a test, and a
    success never hurts it.

    Args:
        rejects: the test, of (s, n).
        n_max: last n.
        majority: whether only S > n/2 is tested, as the process does.

    Returns:
        int64 (n_max + 1,).
    """
    found = np.empty(n_max + 1, np.int64)
    s = 1
    for n in range(n_max + 1):
        if s <= n and not rejects(s, n):
            s += 1
        found[n] = max(s, n // 2 + 1) if majority else s
    return found


def clopper_pearson_boundary(q: float, level: float, n_max: int) -> Boundary:
    """Return the boundary of Clopper and Pearson's test, misused at every n."""
    return boundary(lambda s, n: clopper_pearson.rejects(s, n, q, level), n_max)


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--votes", type=int, default=100_000)
    votes = options.parse_args().votes
    print(f"P(ever rejecting a true null) / level within {votes:,} votes, alpha = {ALPHA}")
    print("true p   named 0.9a  other 0.1a   none a/2  milestone 100 | Clopper-Pearson always: P")
    for p in (0.5, 0.55, 0.7, 0.9, 0.99, 0.999):
        begun, row, lost, q = time.perf_counter(), [], 0.0, float(ndtr(-ndtri(p)))
        for level in (0.9 * ALPHA, 0.1 * ALPHA, 0.5 * ALPHA):
            result = walk(p, q, mixture_boundary(p, q, level, votes))
            row.append((result.up + result.lost) / level)
            lost += result.lost
        half = 0.45 * ALPHA
        upper = with_milestone(mixture_boundary(p, q, half, votes), 100, q, half)
        result = walk(p, q, upper)
        row.append((result.up + result.lost) / (2 * half))
        always = walk(p, q, clopper_pearson_boundary(q, ALPHA, votes))
        lost += result.lost + always.lost
        print(
            f"{p:<8} {row[0]:>10.3f} {row[1]:>11.3f} {row[2]:>10.3f} {row[3]:>14.3f} |"
            f" {always.up + always.lost:>10.4f}"
            f"  (lost {lost:.0e}, {time.perf_counter() - begun:.0f} s)"
        )


if __name__ == "__main__":
    main()
