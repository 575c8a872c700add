"""What keeping votes costs: appending and reading back, in the store and in the process.

    python -m benchmarks.ledger --subjects 1000 --votes 1000 --batch 16

Votes are appended in batches, as calls bring them, to many ledgers at once, and read back by a
fresh reader that verifies all of them. The same is done with the ledgers of the process, and with
an engine whose provider answers at once, so that the ratio to a whole run is told too.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from certification.canonical import CanonicalImage
from certification.certify import certify
from certification.decision import Prediction
from certification.deployment_secret import secret_id
from certification.ledger import MemoryLedgers
from certification.machine import Machine
from certification.options import Options
from certification.protocols import (
    Answer,
    CleanAnswer,
    Header,
    Ledgers,
    Outcome,
    Payload,
    Pixels,
    Traits,
)
from service.settings import Settings
from service.state import State

SECRET = bytes(32)
ROUNDS = 3


def header(number: int) -> Header:
    """Return the header of some subject."""
    subject = {"image": {"sha256": f"{number:064x}"}, "provider": {"name": "none"}}
    return Header(subject, CleanAnswer("cat", "1"), None, 100, "0" * 64, secret_id(SECRET))


async def fill(ledgers: Ledgers, subjects: int, votes: int, batch: int, at_once: int) -> float:
    """Append to every ledger; return seconds."""
    gate = asyncio.Semaphore(at_once)
    answers = ["cat", "cat", "cat", "dog", None, "cat", "cat", "bird"] * (batch // 8 + 1)

    async def one(number: int) -> None:
        async with gate:
            ledger = await ledgers.open(f"{number:064x}", header(number))
            for start in range(0, votes, batch):
                await ledger.append(start, answers[: min(batch, votes - start)])

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(subjects)))
    return time.perf_counter() - began


async def read(ledgers: Ledgers, subjects: int, votes: int) -> float:
    """Read every ledger and verify it; return seconds."""
    began = time.perf_counter()
    for number in range(subjects):
        ledger = await ledgers.find(f"{number:064x}")
        if ledger is None or len(await ledger.read()) != votes:
            raise SystemExit(f"ledger {number} is not whole")
    return time.perf_counter() - began


class AtOnce:
    """A provider that answers at once."""

    name = "at-once"
    traits = Traits(payload="pixels", max_batch=16, concurrency=4)
    options: ClassVar[dict[str, Any]] = {}

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        """Say the same of every picture."""
        return [Answer((Prediction("cat", 1.0),), "1")] * len(images)


class Clip:
    """No denoiser."""

    name, weights_sha256, compute = "clip", None, "cpu/int16"

    def batch_of(self, height: int, width: int) -> int:
        """Return the samples of a batch."""
        return 64

    def clean(self, noisy: NDArray[np.int16], sigma: float) -> Pixels:
        """Clip."""
        return noisy.clip(0, 255).astype(np.uint8)


def size_of(folder: Path) -> int:
    """Return the bytes of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


async def run(ledgers: Ledgers, level: int, votes: int) -> float:
    """Certify a picture of 32×32; return seconds a vote."""
    pixels = np.full((32, 32, 3), level, np.uint8)
    image = CanonicalImage(pixels, {"format": "PNG", "width": 32, "height": 32}, ())
    options = Options(sigma=0.25, max_votes=votes, good_enough=None)
    began = time.perf_counter()
    await certify(Machine(ledgers, SECRET), image, options, denoiser=Clip(), classifier=AtOnce())
    return (time.perf_counter() - began) / votes


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument("--votes", type=int, default=1000, help="of each subject")
    parser.add_argument("--batch", type=int, default=16, help="votes appended at once")
    parser.add_argument("--at-once", type=int, default=32, help="ledgers that are written to")
    args = parser.parse_args()
    total = args.subjects * args.votes
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder), secret=SECRET.hex())
        state = await State.open(settings)
        try:
            wrote = await fill(state.ledgers, args.subjects, args.votes, args.batch, args.at_once)
            used = await state.store.brisk(lambda redis: redis.info("memory"))
            disk = size_of(Path(folder))
        finally:
            await state.close()
        state = await State.open(settings)  # a fresh reader, from the files
        try:
            seen = await read(state.ledgers, args.subjects, args.votes)
            ratios = []
            for number in range(ROUNDS):
                plain = await run(MemoryLedgers(), number, 4096)
                kept = await run(state.ledgers, number, 4096)
                ratios.append((kept / plain, plain, kept))
        finally:
            await state.close()
    inside = MemoryLedgers()
    plain_wrote = await fill(inside, args.subjects, args.votes, args.batch, args.at_once)
    print(f"{total:,} votes of {args.subjects:,} subjects, {args.batch} at a time")
    print(f"appended      {total / wrote:12,.0f} votes/s   {wrote / total * 1e6:8.2f} µs a vote")
    print(f"  in process  {total / plain_wrote:12,.0f} votes/s")
    print(f"read, verified{total / seen:12,.0f} votes/s   {seen / total * 1e6:8.2f} µs a vote")
    print(f"server memory {used['used_memory'] / 2**20:.0f} MiB, files {disk / 2**20:.0f} MiB")
    ratio, plain, kept = sorted(ratios)[len(ratios) // 2]
    print(
        f"a whole run with a provider that answers at once: {kept * 1e6:.0f} µs a vote, "
        f"{plain * 1e6:.0f} with the ledgers of the process: ratio {ratio:.2f} (median of {ROUNDS})"
    )


if __name__ == "__main__":
    asyncio.run(main())
