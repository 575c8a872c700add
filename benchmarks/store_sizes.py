"""What a certificate, its votes and a job's picture take in the store: bytes of memory each.

    python -m benchmarks.store_sizes [--pictures 200]

Small pictures are certified with 10 votes each by the built-in classifier, then extended by 1,000;
further ones are handed over as a job that nobody works on. The figures are differences of what the
store says it uses (`used_memory_dataset`), divided by the number. Ledgers and certificates do not
depend on the size of the picture; a job's picture takes its file's bytes besides.
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from certification.png import encode as encode_png
from service.core import Surety
from service.jobs.submit import Handed, spec_of, submit
from service.load_settings import load_settings

FEW, MANY = 10, 1_010


def picture(number: int) -> bytes:
    """Return a PNG that is another one for each number."""
    pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    return encode_png(pixels)


async def used(surety: Surety) -> int:
    """Return what the store's data takes."""
    told = await surety.state.store.brisk(lambda redis: redis.info("memory"))
    return int(told["used_memory_dataset"])


async def certify_all(surety: Surety, pictures: int, votes: int) -> None:
    """Certify every picture with exactly so many votes."""
    for number in range(pictures):
        prepared = await surety.prepare(
            picture(number), sigma=0.25, denoiser="none", max_votes=votes, good_enough=None
        )
        await surety.certify(prepared)


async def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=200)
    count = parser.parse_args().pictures

    async def handed() -> AsyncIterator[Handed]:
        for number in range(count):
            yield Handed(f"{number}.png", picture(10**6 + number))

    with tempfile.TemporaryDirectory() as folder:
        async with Surety.opened(load_settings(data_dir=Path(folder))) as surety:
            await certify_all(surety, 1, FEW)
            sizes = [await used(surety)]
            for votes in (FEW, MANY):
                await certify_all(surety, count, votes)
                sizes.append(await used(surety))
            spec = await spec_of(surety, {"sigma": 0.25, "denoiser": "none"})
            await submit(surety, spec, handed())
            sizes.append(await used(surety))
    first, further, job = (np.diff(sizes) / count).tolist()
    files = sum(len(picture(10**6 + number)) for number in range(count)) / count
    table = Table("what", "bytes")
    table.add_row(f"ledger and certificate of {FEW} votes", f"{first:,.0f}")
    table.add_row("1,000 further votes, and the second certificate", f"{further:,.0f}")
    table.add_row(f"picture of a job, beside its file of {files:,.0f}", f"{job - files:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
