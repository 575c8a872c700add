"""A deployment for jobs: workers and a service on one data directory, beside an emulator."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from adapters.emulators.brain import Brain
from adapters.emulators.faults import Faults
from adapters.emulators.registry import emulator_class
from adapters.emulators.server import Emulator
from service.jobs.submit import Handed
from service.store.embedded import EmbeddedServer
from tests.adapters.stands import Brightness
from tests.service.command import PATIENCE
from tests.service.pictures import encode

SECRET, KEY = "5a" * 32, "6b" * 32
PRICE = 0.0015  # US dollars an image
LIMIT = 50  # images a second
ARGUMENTS = {"sigma": 0.25, "target_radius": 0.2, "max_votes": 60, "provider": "google"}
LEASE = 2


def pictures(count: int) -> list[Handed]:
    """Return pictures of all shades that are told apart, most of them easy to decide."""
    draw = np.random.default_rng(7)
    made = []
    for number in range(count):
        pixels = draw.integers(0, 90, (20, 20, 3)) + (140 if number % 2 else 10)
        picture = Image.fromarray(pixels.astype(np.uint8))
        truth = "bright" if number % 2 else "dark"
        made.append(Handed(f"{truth}/{number}.png", encode(picture), truth=truth))
    return made


@contextlib.asynccontextmanager
async def google(**faults: Any) -> AsyncIterator[Emulator]:
    """Run the emulator."""
    async with emulator_class("google")(Brain(Brightness()), Faults(**faults)) as emulator:
        yield emulator


@dataclass
class JobsPlace:
    """See the module's text.

    Attributes:
        data_dir: of the deployment.
        emulator: of the provider.
        rate: images a second that the deployment believes it may send.
    """

    data_dir: Path
    emulator: Emulator
    rate: int
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)
    reading: list[asyncio.Task[None]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What every process of the deployment is given."""
        file = self.data_dir / "providers.toml"
        file.write_text(f"[google]\nrate = {self.rate}\nprice = {PRICE}\n")
        plain = {k: v for k, v in os.environ.items() if not k.startswith("SURETY_")}
        return plain | {
            **self.emulator.environment(),
            "SURETY_DATA_DIR": str(self.data_dir),
            "SURETY_SECRET": SECRET,
            "SURETY_SIGNING_KEY": KEY,
            "SURETY_PROVIDERS_FILE": str(file),
            "SURETY_DENOISER": "none",
            "SURETY_LEASE_SECONDS": str(LEASE),
            "SURETY_LOG_LEVEL": "info",
            "OMP_NUM_THREADS": "1",
        }

    async def start(self, *command: str, says: str) -> asyncio.subprocess.Process:
        """Start `surety COMMAND`, and wait until it says something."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service.cli", *command,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        self.processes.append(process)
        async with asyncio.timeout(PATIENCE):
            while True:
                line = (await process.stdout.readline()).decode()
                assert line, "\n".join(self.said[-20:])
                self.said.append(line)
                if says in line:
                    break
        self.reading.append(asyncio.create_task(self._read(process.stdout)))
        return process

    async def worker(self) -> asyncio.subprocess.Process:
        """Start a worker."""
        return await self.start("worker", "--pictures", "4", says="a worker begins")

    async def end(self) -> None:
        """Kill all that was started, the store too."""
        for process in self.processes:
            await kill(process)
        for task in self.reading:
            task.cancel()
        await asyncio.gather(*self.reading, return_exceptions=True)
        if pid := EmbeddedServer(self.data_dir).pid:
            os.kill(pid, signal.SIGKILL)

    async def received(self, more: int) -> None:
        """Wait until the provider has been sent so many pictures more."""
        counts = self.emulator.desk.counts
        goal = counts.received.total() + more
        async with asyncio.timeout(PATIENCE):
            while counts.received.total() < goal:  # noqa: ASYNC110  the desk has no event
                await asyncio.sleep(0.01)

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.said.append(line.decode())


async def kill(process: asyncio.subprocess.Process) -> None:
    """End a process as a crash would."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
