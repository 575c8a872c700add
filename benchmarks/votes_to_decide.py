"""How many votes does "is the radius at least z sigma?" take? Exact, and by running the process.

The run ends when the target is reached or hopeless. Two boundaries on the number of successes
say when; dynamic programming gives the mean number of votes and the outcome. A simulation with
the process itself stands beside it. Votes that are not for the label are spread thinly, so that
no other label leads.

    python -m benchmarks.votes_to_decide [--runs 200]
"""

import argparse
from collections.abc import Iterator

import numpy as np

from benchmarks.false_coverage import ALPHA
from certification import expected_votes
from certification.confidence import ConfidenceProcess
from certification.options import Options
from certification.stopping import Hopeless, TargetReached, first_stop

CASES = ((0.5, (1.0, 0.95, 0.9, 0.8, 0.6, 0.5, 0.3)), (1.0, (1.0, 0.95, 0.9, 0.8, 0.6, 0.3)))
LONGEST = 20_000


def votes(p: float, rng: np.random.Generator) -> Iterator[str]:
    """Draw votes for "it" with probability p, each other one for a label of its own."""
    for i, hit in enumerate(rng.random(LONGEST) < p):
        yield "it" if hit else f"other {i}"


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=200)
    runs = options.parse_args().runs
    rng = np.random.default_rng(0)
    print(f"alpha = {ALPHA}, named label; exact | {runs} simulated runs (mean ± standard error)")
    print("target      p  mean votes  reached  hopeless | mean votes    reached")
    for target, rates in CASES:
        options = Options(sigma=1.0, alpha=ALPHA, target_radius=target, max_votes=LONGEST)
        for p in rates:
            exact = expected_votes.expected_votes(p, options)
            outcomes = exact.outcomes
            taken, reached = [], 0
            for _ in range(runs):
                process = ConfidenceProcess(ALPHA, "it")
                rules = [TargetReached(target), Hopeless(target)]
                n, reason = first_stop(process, votes(p, rng), rules)
                taken.append(n)
                reached += reason == "target_reached"
            error = float(np.std(taken)) / runs**0.5
            print(
                f"{target:>6} {p:>6} {exact.mean:>11.1f} {outcomes['target_reached']:>8.4f}"
                f" {outcomes['hopeless']:>9.4f} |"
                f" {np.mean(taken):>8.1f} ± {error:<4.1f} {reached / runs:>6.3f}"
            )


if __name__ == "__main__":
    main()
