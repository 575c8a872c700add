"""Whether the memory of a process grows with the size of a job that it takes in and reports.

    python -m benchmarks.large_job [--pictures 1000 10000]

For each size a process of its own makes an archive, takes it in, lists all rows and writes CSV and
report; it prints seconds and the largest memory above what it had before. The pictures are ended
without being worked on, as if their provider had refused them all.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np

from certification.png import encode as encode_png


def archive(folder: Path, count: int) -> Path:
    """Write a zip of small pictures."""
    path, draw = folder / "pictures.zip", np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(count):
            pixels = draw.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            packed.writestr(f"class{number % 10}/{number}.png", encode_png(pixels))
    return path


async def measure(count: int) -> None:
    """Take a job in and report it, in this process; print a line."""
    from service.core import Surety  # noqa: PLC0415  only where it is measured
    from service.jobs.engine.outcome import ended  # noqa: PLC0415
    from service.jobs.intake.archive import open_archive  # noqa: PLC0415
    from service.jobs.results import export  # noqa: PLC0415
    from service.jobs.results.gathering import Gathered  # noqa: PLC0415
    from service.jobs.results.origin import Origin  # noqa: PLC0415
    from service.jobs.results.report import report_page  # noqa: PLC0415
    from service.jobs.rows import Row  # noqa: PLC0415
    from service.jobs.submit import Handed, spec_of, submit  # noqa: PLC0415
    from service.load_settings import load_settings  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = archive(Path(folder), count)
        async with Surety.opened(load_settings(data_dir=Path(folder, "data"))) as surety:
            pictures = surety.state.pictures
            spec = await spec_of(surety, {"sigma": 0.25, "denoiser": "none"})
            before, started = _peak(), time.monotonic()

            async def handed() -> AsyncIterator[Handed]:
                for entry in open_archive(path).entries():
                    yield Handed(entry.name, entry.data, entry.problem)

            job = await submit(surety, spec, handed())
            taken_in = time.monotonic()
            while taken := await pictures.take(spec.compute, 1000, 1000):
                for one in taken:
                    item = await pictures.item(job.id, one.number)
                    row = Row(one.number, item.name, item.sha256, "waiting")
                    await pictures.end(job, ended(row, "failed", {"title": "refused"}))
            job, listing = await surety.state.jobs.get(job.id), time.monotonic()
            written = 0
            async for chunk in export.FORMATS["csv"].write(pictures.all_rows(job)):
                written += len(chunk)
            gathered = await Gathered.of(pictures.all_rows(job))

            async def thumbnail(number: int) -> bytes | None:
                return None

            page = await report_page(job.describe(), gathered, Origin(), thumbnail)
            ended_at, after = time.monotonic(), _peak()
    print(
        f"| {count:,} | {taken_in - started:.1f} | {ended_at - listing:.1f} "
        f"| {written / 1e6:.2f} | {len(page) / 1e6:.2f} | {(after - before) / 2**20:.0f} |"
    )


def _peak() -> int:
    """Return the largest resident size so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.here:
        asyncio.run(measure(asked.pictures[0]))
        return
    print("| pictures | taken in, s | listed and reported, s | CSV, MB | page, MB | memory, MiB |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for count in asked.pictures:
        command = [sys.executable, "-m", "benchmarks.large_job", "--here", "--pictures", str(count)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
