"""Votes per second of the engine against a bare loop over the same denoiser and classifier.

Both sides in turn in one process, medians reported. The bare loop draws no noise of ours, keeps
no ledger, looks at no confidence process and encodes nothing: it is the least that has to be
computed for a vote.

    python benchmarks/engine.py [--votes 1024] [--rounds 5] [--denoiser cifar]
"""

import argparse
import asyncio
import statistics
import time

import numpy as np

import denoisers.registry
from adapters.local.adapter import BATCH, LocalAdapter
from certification.canonical import CanonicalImage
from certification.certify import certify
from certification.ledger import MemoryLedgers
from certification.machine import Machine
from certification.options import Options
from certification.protocols import Denoiser, at_once

SIGMA = 0.25


def picture() -> CanonicalImage:
    """A smooth 32×32 picture."""
    y, x = np.mgrid[:32, :32]
    waves = [128 + 90 * np.sin(x / 5 + c) * np.cos(y / 6 - c) for c in range(3)]
    return CanonicalImage(np.stack(waves, axis=-1).astype(np.uint8), {}, ())


async def bare(denoiser: Denoiser, adapter: LocalAdapter, votes: int) -> float:
    """Seconds for draw (numpy's normal), denoise, classify, one batch after the other."""
    pixels, rng = picture().pixels, np.random.default_rng(0)
    together = at_once(denoiser, *pixels.shape[:2])
    began = time.perf_counter()
    for done in range(0, votes, together):
        count = min(together, votes - done)
        noise = rng.standard_normal((count, *pixels.shape), dtype=np.float32)
        noisy = np.rint(noise * (255 * SIGMA)).astype(np.int16) + pixels
        cleaned = denoiser.clean(noisy, SIGMA)
        for start in range(0, count, BATCH):
            await adapter.classify(list(cleaned[start : start + BATCH]))
    return time.perf_counter() - began


async def engine(denoiser: Denoiser, adapter: LocalAdapter, votes: int, key: int) -> float:
    """Seconds for a certification of as many votes, from the clean answer to the certificate."""
    machine = Machine(MemoryLedgers(), key.to_bytes(32, "big"))
    options = Options(sigma=SIGMA, max_votes=votes, good_enough=None)
    began = time.perf_counter()
    document = await certify(machine, picture(), options, denoiser=denoiser, classifier=adapter)
    seconds = time.perf_counter() - began
    return seconds * votes / document["proof"]["votes"]["n"]


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--votes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--denoiser", default="cifar")
    chosen = parser.parse_args()
    denoiser, adapter = denoisers.registry.load(chosen.denoiser), LocalAdapter()
    await bare(denoiser, adapter, BATCH * 4)  # warm up
    await engine(denoiser, adapter, BATCH * 4, 1)
    times: list[tuple[float, float]] = []
    for key in range(chosen.rounds):
        plain = await bare(denoiser, adapter, chosen.votes)
        times.append((plain, await engine(denoiser, adapter, chosen.votes, key)))
        rates = [chosen.votes / t for t in times[-1]]
        print(f"bare {rates[0]:7.0f} votes/s   engine {rates[1]:7.0f} votes/s")
    ratio = statistics.median(plain / ours for plain, ours in times)
    print(f"engine / bare, median of {chosen.rounds}: {ratio:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
