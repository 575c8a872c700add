"""How often is a null that is true rejected, looking after every vote? Exact, no simulation.

The number of successes is a Markov chain, and a test is a boundary: it rejects at vote n as
soon as S reaches it. Dynamic programming over S gives the probability of ever reaching it.
States too unlikely to matter are dropped, and their mass is counted as an error ("≤").

    python -m benchmarks.false_coverage [--votes 100000]
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from certification import clopper_pearson
from certification.martingale import Null, threshold

Boundary = NDArray[np.int64]
ALPHA = 0.001
NEGLIGIBLE = 1e-22


@dataclass(frozen=True)
class Walk:
    """What became of the chain.

    Attributes:
        up: probability of having reached the upper boundary.
        down: probability of having reached the lower one first.
        lost: mass of the states that were dropped; up and down are exact to within it.
        alive: probability of having reached neither after n votes, float64 (n_max + 1,).
    """

    up: float
    down: float
    lost: float
    alive: NDArray[np.float64]


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


def mixture_boundary(p: float, q: float, level: float, n_max: int) -> Boundary:
    """Return the boundary of the process's test of "the true probability is at most p"."""
    null, wanted = Null.of(p, q), threshold(level)
    return boundary(lambda s, n: float(null.log_m(s, n - s)) >= wanted, n_max)


def clopper_pearson_boundary(q: float, level: float, n_max: int) -> Boundary:
    """Return the boundary of Clopper and Pearson's test, misused at every n."""
    return boundary(lambda s, n: clopper_pearson.rejects(s, n, q, level), n_max)


def with_milestone(upper: Boundary, milestone: int, q: float, level: float) -> Boundary:
    """Return a boundary with one Clopper-Pearson look of its own level at n = milestone."""
    lowered = upper.copy()
    s = milestone + 1
    while 2 * (s - 1) > milestone and clopper_pearson.rejects(s - 1, milestone, q, level):
        s -= 1
    lowered[milestone] = min(upper[milestone], s)
    return lowered


def walk(p: float, q: float, upper: Boundary, lower: Boundary | None = None) -> Walk:
    """Run the chain from S = 0 and stop it where it reaches a boundary.

    Args:
        p: probability of a success.
        q: 1 − p.
        upper: stops at S ≥ upper[n].
        lower: stops at S ≤ lower[n]; −1 where nothing stops.
    """
    state, first = np.ones(1), 0  # state[i] is the probability of S = first + i
    up = down = lost = 0.0
    alive = np.ones(upper.size)
    for n in range(1, upper.size):
        grown = np.empty(state.size + 1)
        grown[:-1] = state * q
        grown[-1] = 0.0
        grown[1:] += state * p
        state = grown
        cut = int(upper[n]) - first
        if cut < state.size:
            up += float(state[max(cut, 0) :].sum())
            state = state[: max(cut, 0)]
        if lower is not None and lower[n] >= first:
            gone = int(lower[n]) - first + 1
            down += float(state[:gone].sum())
            state, first = state[gone:], first + gone
        if n % 32 == 0:
            keep = np.flatnonzero(state > NEGLIGIBLE)
            a, b = (int(keep[0]), int(keep[-1]) + 1) if keep.size else (0, 0)
            lost += float(state[:a].sum() + state[b:].sum())
            state, first = state[a:b], first + a
        if not state.size:
            alive[n:] = 0.0
            break
        alive[n] = state.sum()
    return Walk(up, down, lost, alive)


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
