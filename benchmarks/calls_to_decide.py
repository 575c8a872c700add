"""What "is the radius at least 0.5 sigma?" costs with the engine and the built-in classifier.

For real pictures whose vote rate is at least 0.9: pictures asked about, the clean one and calls
in flight behind the stop included, against the mean number of votes that the mathematics alone
asks for at that rate.

    python -m benchmarks.calls_to_decide PICTURE... [--runs 40] [--sigma 0.25]
"""

import argparse
import asyncio
import statistics
from pathlib import Path

import denoisers.registry
from adapters.local.adapter import LocalAdapter
from certification.canonical import CanonicalImage, canonicalise
from certification.certify import certify
from certification.expected_votes import expected_votes
from certification.ledger import MemoryLedgers
from certification.machine import Machine
from certification.options import Options
from certification.protocols import Denoiser

LONGEST = 5000
RATE_VOTES = 2000


async def run(
    image: CanonicalImage, key: int, options: Options, denoiser: Denoiser, adapter: LocalAdapter
) -> dict[str, object]:
    """Certify with noise of its own."""
    machine = Machine(MemoryLedgers(), key.to_bytes(32, "big"))
    return await certify(machine, image, options, denoiser=denoiser, classifier=adapter)


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--sigma", type=float, default=0.25)
    asked = parser.parse_args()
    denoiser, adapter = denoisers.registry.load("cifar"), LocalAdapter()
    rate_of = Options(sigma=asked.sigma, max_votes=RATE_VOTES, good_enough=None)
    decide = Options(sigma=asked.sigma, target_radius=asked.sigma / 2, max_votes=LONGEST)
    print(f"{'picture':24} {'rate':>6} {'mathematics':>12} {'asked':>7} {'ratio':>6}  decided")
    ratios = []
    for path in asked.pictures:
        image = canonicalise(path.read_bytes(), size=(32, 32))
        votes = (await run(image, 10**6, rate_of, denoiser, adapter))["proof"]["votes"]  # type: ignore[index]
        p = max(votes["counts"].values(), default=0) / RATE_VOTES
        if p < 0.9:
            print(f"{path.name:24} {p:6.3f}  left out")
            continue
        needed = expected_votes(p, decide).mean
        documents = [await run(image, key, decide, denoiser, adapter) for key in range(asked.runs)]
        images = statistics.mean(d["accounting"]["images"] for d in documents)  # type: ignore[index]
        reached = sum(d["proof"]["stop_reason"] == "target_reached" for d in documents)  # type: ignore[index]
        ratios.append(images / needed)
        print(
            f"{path.name:24} {p:6.3f} {needed:12.1f} {images:7.1f} {ratios[-1]:6.2f}"
            f"  {reached} of {asked.runs} reached"
        )
    if ratios:
        print(f"largest ratio {max(ratios):.2f}, median {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    asyncio.run(main())
