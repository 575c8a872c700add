"""Certified accuracy of the built-in classifier: how many pictures are right at which radius.

A picture counts at radius r if the certified label is its true one and the certified radius is
at least r. Every denoiser asked for sees the same pictures.

    python -m benchmarks.certified_accuracy --data FOLDER_OR_ZIP [--pictures 500] [--sigma 0.25]
        [--denoisers cifar none] [--votes 1000] [--svg docs/pictures/certified_accuracy.svg]

The data are laid out as for `surety train`; the pictures are spread evenly over the test part.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

import denoisers.registry
from adapters.local.adapter import LABELS, LocalAdapter
from benchmarks.curves import draw_curves
from certification.canonical import CanonicalImage
from certification.certify import certify
from certification.ledger import MemoryLedgers
from certification.machine import Machine
from certification.options import Options
from certification.protocols import Denoiser
from denoisers.training.data import Pictures, load_pictures

RADII = (0.0, 0.25, 0.5, 0.75, 1.0)


async def radii(
    denoiser: Denoiser, test: Pictures, chosen: list[int], options: Options
) -> tuple[list[float], list[int]]:
    """Certify pictures; −1 stands for a wrong label or none.

    Returns:
        Radius of each picture, and the votes that each took.
    """
    machine, adapter = Machine(MemoryLedgers(), bytes(32)), LocalAdapter()
    found: list[float] = []
    votes: list[int] = []
    for i in track(chosen, description=denoiser.name):
        pixels = np.ascontiguousarray(test.images[i].permute(1, 2, 0).numpy())
        image = CanonicalImage(pixels, {}, ())
        proof = (await certify(machine, image, options, denoiser=denoiser, classifier=adapter))[
            "proof"
        ]
        right = proof["label"] == LABELS[int(test.labels[i])]
        found.append(proof["radius"] if right else -1.0)
        votes.append(proof["votes"]["n"])
    return found, votes


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--sigma", type=float, default=0.25)
    parser.add_argument("--votes", type=int, default=1000)
    parser.add_argument("--denoisers", nargs="+", default=["cifar", "none"])
    parser.add_argument("--svg", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        test = load_pictures(asked.data, "test", Path(cache))
    chosen = torch.linspace(0, len(test.images) - 1, asked.pictures).round().int().tolist()
    options = Options(sigma=asked.sigma, max_votes=asked.votes, good_enough=None)
    print(f"{len(chosen)} pictures, sigma {asked.sigma}, {asked.votes} votes, alpha 0.001")
    print("denoiser   " + "".join(f"  r={r:<5}" for r in RADII) + " mean votes  votes/s")
    curves: dict[str, list[float]] = {}
    for name in asked.denoisers:
        began = time.perf_counter()
        denoiser = denoisers.registry.load(name)
        found, votes = asyncio.run(radii(denoiser, test, chosen, options))
        curves[name] = found
        shares = [sum(r >= at for r in found) / len(found) for at in RADII]
        speed = sum(votes) / (time.perf_counter() - began)
        print(
            f"{name:11}"
            + "".join(f"{100 * s:6.1f} % " for s in shares)
            + f"{statistics.mean(votes):8.0f} {speed:10.0f}"
        )
    if asked.svg is not None:
        title = f"certified accuracy, σ = {asked.sigma:g}, {len(chosen)} pictures"
        asked.svg.write_text(draw_curves(curves, title))


if __name__ == "__main__":
    main()
