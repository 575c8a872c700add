"""How many votes a second 1, 2 and 4 workers bring where the provider's answers take their time.

    python -m benchmarks.workers [--workers 1 2 4] [--latency 0.2] [--pictures 96] [--rounds 3]

Each worker is a process of its own; all share one store and Google's emulator, whose answers take
--latency seconds and which allows any rate. A worker has few calls in flight, so it is the latency
that bounds it and not the processor. Every round is a job of as many pictures with as many votes,
from nothing; the clock runs from the first to the last tenth of the images that are sent.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from adapters.emulators.brain import Brain
from adapters.emulators.faults import Faults, Latency
from adapters.emulators.registry import emulator_class
from adapters.emulators.server import Emulator
from certification.png import encode as encode_png
from service.core import Surety
from service.jobs.submit import Handed, spec_of, submit
from service.load_settings import load_settings

VOTES, AT_ONCE, CONCURRENCY = 60, 4, 2
SECRET = "42" * 32


class Dark:
    """A classifier that costs next to nothing."""

    labels = ("dark", "bright")
    size = (8, 8)
    version = "1"
    max_batch = 64

    def scores(self, pictures: np.ndarray) -> np.ndarray:
        """Score pictures, uint8 (N, H, W, 3)."""
        bright = pictures.mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)


async def handed(count: int, seed: int) -> AsyncIterator[Handed]:
    """Yield pictures that nobody has certified before."""
    draw = np.random.default_rng(seed)
    for number in range(count):
        pixels = draw.integers(0, 60, (16, 16, 3), dtype=np.uint8)
        yield Handed(f"{number}.png", encode_png(pixels))


async def measured(emulator: Emulator, workers: int, pictures: int, seed: int) -> float:
    """Return images a second of one job."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "providers.toml")
        file.write_text(  # noqa: ASYNC240  before anything else goes on
            f"[google]\nrate = 100000\nconcurrency = {CONCURRENCY}\n"
        )
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SURETY_")} | {
            **emulator.environment(),
            "SURETY_DATA_DIR": folder,
            "SURETY_SECRET": SECRET,
            "SURETY_PROVIDERS_FILE": str(file),
            "SURETY_DENOISER": "none",
            "SURETY_LOG_LEVEL": "error",
            "OMP_NUM_THREADS": "1",
        }
        os.environ.update(environment)
        async with Surety.opened(load_settings()) as surety:
            processes = [
                await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "service.cli", "worker", "--pictures", str(AT_ONCE),
                    env=environment,
                    stdout=asyncio.subprocess.DEVNULL,
                )
                for _ in range(workers)
            ]  # fmt: skip
            try:
                while len(await surety.state.workers.list()) < workers:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                emulator.desk.counts.calls.clear()
                arguments = {
                    "sigma": 0.25,
                    "provider": "google",
                    "max_votes": VOTES,
                    "good_enough": None,
                }
                spec = await spec_of(surety, arguments)
                job = await submit(surety, spec, handed(pictures, seed))
                while job.ended is None:
                    await asyncio.sleep(0.2)
                    job = await surety.state.jobs.get(job.id)
            finally:
                for process in processes:
                    process.terminate()
                await asyncio.gather(*(process.wait() for process in processes))
    calls = [*emulator.desk.counts.calls]
    steady = calls[len(calls) // 10 : -len(calls) // 10]
    return sum(len(c.images) for c in steady[1:]) / (steady[-1].at - steady[0].at)


async def main() -> None:
    """Measure in turn, and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--pictures", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    found: dict[int, list[float]] = {count: [] for count in asked.workers}
    faults = Faults(latency=Latency(median=asked.latency))
    async with emulator_class("google")(Brain(Dark()), faults) as emulator:
        for number in range(asked.rounds):
            for count in asked.workers:
                seed = 100 * number + count
                found[count].append(await measured(emulator, count, asked.pictures, seed))
                print(f"{count} workers: {found[count][-1]:.0f} images/s", file=sys.stderr)
    first = found[asked.workers[0]]
    table = Table("workers", "images/s", "times one worker (median of rounds)")
    for count, rates in found.items():
        ratios = [rate / one for rate, one in zip(rates, first, strict=True)]
        table.add_row(
            str(count), f"{statistics.median(rates):.0f}", f"{statistics.median(ratios):.2f}"
        )
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
