"""False certificates over thousands of whole runs, and how much of the true radius is reached.

Worlds whose smoothed answer is known in closed form (tests/certification/worlds.py), each run
with a key of its own.

    python benchmarks/closed_form.py [--runs 2000] [--votes 300] [--alpha 0.01]
"""

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.certification.test_closed_form import SIGMA, WORLDS, certified, exceeds
from tests.certification.worlds import half_space


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--votes", type=int, default=300)
    parser.add_argument("--alpha", type=float, default=0.01)
    chosen = parser.parse_args()
    print(f"{chosen.runs} runs each, up to {chosen.votes} votes, alpha {chosen.alpha}")
    for name, (answer, truth) in WORLDS.items():
        false = 0
        for key in range(chosen.runs):
            proof = await certified(answer, key, alpha=chosen.alpha, max_votes=chosen.votes)
            false += exceeds(proof, truth)
        print(f"{name:26} false {false:5} = {false / chosen.runs:.4f}")
    print("share of the true radius at n = 10,000, alpha = 0.001:")
    for sigmas in (0.25, 0.5, 1.0, 1.5, 2.0, 2.5):
        proof = await certified(half_space(sigmas * SIGMA), 7, max_votes=10_000)
        print(f"{sigmas:5} sigma  {(proof['radius'] or 0) / (sigmas * SIGMA):.3f}")


if __name__ == "__main__":
    asyncio.run(main())
