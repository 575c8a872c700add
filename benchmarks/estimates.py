"""Does an estimate come true? Estimated against actual votes, with the built-in classifier.

Certifies pictures spread evenly over the test part, then estimates their votes from nothing and
from pilots of some of them: how far off, and how often the actual number lies in the interval.

    python -m benchmarks.estimates --data FOLDER_OR_ZIP [--pictures 60] [--sigma 0.25]
        [--target-radius 0.125] [--pilots 3 10 20] [--times 200]

The data are laid out as for `surety train`.
"""

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

import denoisers.registry
from adapters.local.adapter import LocalAdapter
from certification.canonical import CanonicalImage
from certification.certify import certify
from certification.ledger import MemoryLedgers
from certification.machine import Machine
from certification.options import Options
from denoisers.training.data import Pictures, load_pictures
from service.jobs.estimates.estimate import estimate, pilot_numbers
from service.jobs.rows import Row


async def rows(test: Pictures, chosen: list[int], arguments: Mapping[str, Any]) -> list[Row]:
    """Certify pictures."""
    machine, adapter = Machine(MemoryLedgers(), bytes(32)), LocalAdapter()
    denoiser, found = denoisers.registry.load("cifar"), []
    for number, i in enumerate(track(chosen, description="certifying")):
        pixels = np.ascontiguousarray(test.images[i].permute(1, 2, 0).numpy())
        document = await certify(
            machine,
            CanonicalImage(pixels, {}, ()),
            Options(**arguments),
            denoiser=denoiser,
            classifier=adapter,
        )
        proof, bill = document["proof"], document["accounting"]
        found.append(
            Row(
                number,
                str(i),
                "",
                "done",
                abstained=proof["abstained"],
                radius=proof["radius"],
                n=proof["votes"]["n"],
                images=bill["images"],
                calls=bill["calls"],
                stop_reason=proof["stop_reason"],
                seconds=bill["seconds"],
            )
        )
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--sigma", type=float, default=0.25)
    parser.add_argument("--target-radius", type=float, default=0.125)
    parser.add_argument("--pilots", type=int, nargs="+", default=[3, 10, 20])
    parser.add_argument("--times", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        test = load_pictures(asked.data, "test", Path(cache))
    # Not the ones that the reference was measured with.
    spread = torch.linspace(50, len(test.images) - 51, asked.pictures).round().int().tolist()
    arguments = {"sigma": asked.sigma, "target_radius": asked.target_radius}
    found, traits = asyncio.run(rows(test, spread, arguments)), LocalAdapter().traits
    count, votes = len(found), sum(row.n for row in found)
    images = sum(row.images for row in found)
    print(f"{count} pictures took {votes:,} votes, {images:,} pictures sent")
    print("pilot   estimated / actual votes  90 % interval / actual  holds it  sent / actual")
    guess = estimate(arguments, count, traits).job
    print(
        f"none   {guess.votes.expected / votes:26.2f}"
        f"  {guess.votes.low / votes:10.2f} – {guess.votes.high / votes:<10.2f}"
        f" {guess.votes.low <= votes <= guess.votes.high!s:>8}"
        f"  {guess.images.expected / images:13.2f}"
    )
    for m in asked.pilots:
        told = []
        for seed in range(asked.times):
            seen = [found[i] for i in pilot_numbers(count, m, seed)]
            told.append(estimate(arguments, count, traits, seen, seed=seed).job)
        off = [one.votes.expected / votes for one in told]
        low = statistics.median(one.votes.low for one in told) / votes
        high = statistics.median(one.votes.high for one in told) / votes
        holds = statistics.mean(one.votes.low <= votes <= one.votes.high for one in told)
        sent = statistics.median(one.images.expected / images for one in told)
        print(
            f"{m:<6} {statistics.mean(off):17.2f} ± {statistics.stdev(off):<6.2f}"
            f"  {low:10.2f} – {high:<10.2f} {holds:>7.0%}  {sent:13.2f}"
        )


if __name__ == "__main__":
    main()
