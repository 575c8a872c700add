"""The whole way of a vote against its slowest stage alone.

Stages: draw and denoise; encode; call (the adapter at its own concurrency, against an emulator in
a process of its own). The whole is a certification with a fixed number of votes. All of them in
turn, medians of the ratios.

    python -m benchmarks.pipeline --provider google --denoiser photo --size 224 [--votes 256]
"""

import argparse
import asyncio
import statistics
import time

import numpy as np

import adapters.registry
import denoisers.registry
from adapters.policy.gate import AccountGates
from adapters.profiles import Profiles
from benchmarks.adapters import emulate, profile
from certification.canonical import CanonicalImage
from certification.certify import certify
from certification.ledger import MemoryLedgers
from certification.machine import Machine
from certification.options import Options
from certification.postprocess import PostProcess
from certification.protocols import Classifier, Denoiser, Payload, at_once
from certification.sampling import Sampler

SIGMA = 0.25


def picture(side: int) -> CanonicalImage:
    """A smooth picture."""
    y, x = np.mgrid[:side, :side] * (32 / side)
    waves = [128 + 90 * np.sin(x / 5 + c) * np.cos(y / 6 - c) for c in range(3)]
    return CanonicalImage(np.stack(waves, axis=-1).astype(np.uint8), {}, ())


async def stages(
    image: CanonicalImage, denoiser: Denoiser, adapter: Classifier, votes: int, key: int
) -> dict[str, float]:
    """Return votes a second of each stage alone; a new key, since the emulator remembers."""
    plan = PostProcess.plan(image.height, image.width, adapter.traits)
    sampler = Sampler(image, SIGMA, lambda: key.to_bytes(16, "big"), denoiser, plan)
    chunk = at_once(denoiser, image.height, image.width)
    rates = {}
    began = time.perf_counter()
    samples = []
    for start in range(0, votes, chunk):
        samples += await asyncio.to_thread(sampler.draw, start, chunk)
    rates["denoise"] = len(samples) / (time.perf_counter() - began)
    samples = samples[:votes]

    batch = adapter.traits.max_batch
    batches = [samples[i : i + batch] for i in range(0, votes, batch)]
    payloads: list[list[Payload]] = []

    async def encode(todo: list[list[object]]) -> None:
        while todo:
            payloads.append(list(await sampler.payloads(todo.pop())))

    began = time.perf_counter()
    todo = [*batches]
    await asyncio.gather(*(encode(todo) for _ in range(adapter.traits.concurrency)))
    rates["encode"] = votes / (time.perf_counter() - began)

    gate = AccountGates().of(adapter)

    async def call() -> None:
        while payloads:
            some = payloads.pop()
            permit = await gate.enter(len(some))
            permit.done(await adapter.classify(some))

    began = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(adapter.traits.concurrency)))
    rates["call"] = votes / (time.perf_counter() - began)
    return rates


async def whole(
    image: CanonicalImage, denoiser: Denoiser, adapter: Classifier, votes: int, key: int
) -> float:
    """Return votes a second of a certification."""
    machine = Machine(MemoryLedgers(), key.to_bytes(32, "big"), gates=AccountGates())
    options = Options(sigma=SIGMA, max_votes=votes, good_enough=None)
    began = time.perf_counter()
    document = await certify(machine, image, options, denoiser=denoiser, classifier=adapter)
    return float(document["proof"]["votes"]["n"] / (time.perf_counter() - began))


async def measure(chosen: argparse.Namespace) -> None:
    """Measure and print."""
    table = Profiles({chosen.provider: profile(chosen.provider) | {"rate": chosen.rate}})
    adapter = adapters.registry.load(chosen.provider, table)
    denoiser = denoisers.registry.load(chosen.denoiser)
    image = picture(chosen.size)
    await whole(image, denoiser, adapter, 64, 999)  # warm up
    ratios = []
    for key in range(chosen.rounds):
        rates = await stages(image, denoiser, adapter, chosen.votes, key)
        rates["whole"] = await whole(image, denoiser, adapter, chosen.votes, key)
        slowest = min(rates[stage] for stage in ("denoise", "encode", "call"))
        ratios.append(rates["whole"] / slowest)
        print("  ".join(f"{stage} {rate:.0f}/s" for stage, rate in rates.items()), flush=True)
    print(f"whole / slowest stage, median of {chosen.rounds}: {statistics.median(ratios):.2f}")
    await adapter.close()


def main() -> None:
    """Start the emulator, measure, end it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provider", default="google")
    parser.add_argument("--denoiser", default="photo")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rate", type=float, default=1e6, help="quota, units a second")
    parser.add_argument("--votes", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    process = emulate(chosen.provider)
    try:
        asyncio.run(measure(chosen))
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
