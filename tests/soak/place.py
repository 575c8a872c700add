"""A deployment of real processes on one data directory, beside an emulated provider."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import redis

import adapters.registry
from adapters.emulators.brain import Brain
from adapters.emulators.faults import Faults
from adapters.emulators.registry import emulator_class
from adapters.emulators.server import Emulator
from adapters.profiles import Profiles
from certification.ledger import MemoryLedgers
from certification.machine import Machine
from denoisers.registry import load as load_denoiser
from service.settings import Settings
from service.store.embedded import EmbeddedServer
from tests.adapters.stands import Brightness
from tests.service.command import PATIENCE
from tests.service.pictures import png

SECRET = "5a" * 32
SIZE, SIGMA, CONCURRENCY = 16, 0.5, 8
RUN_AHEAD = 2 * CONCURRENCY  # most samples that may be answered and not yet be votes
SOAK = os.environ.get("SOAK") == "1"  # no SURETY_ variable: it is no setting


def times(few: int, many: int) -> int:
    """Return how often a scenario is run through: a few times in the suite."""
    return many if SOAK else few


@dataclass
class Service:
    """`surety serve` in a process of its own."""

    process: asyncio.subprocess.Process
    address: str
    reading: asyncio.Task[None]

    async def kill(self) -> None:
        """End it as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        self.reading.cancel()
        await asyncio.gather(self.reading, return_exceptions=True)

    async def stop(self) -> None:
        """End it in order."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self.process.wait(), PATIENCE)
        await self.reading

    def client(self) -> httpx.AsyncClient:
        """Return a client for it."""
        return httpx.AsyncClient(base_url=self.address, timeout=PATIENCE, trust_env=False)


@dataclass
class Place:
    """See the module's text.

    Attributes:
        data_dir: of the deployment.
        emulator: of the provider.
        services: those that were started, the latest last.
    """

    data_dir: Path
    emulator: Emulator
    services: list[Service] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def at(cls, data_dir: Path, latency: float = 0.01):
        """Start the provider; end all that was started in the end."""
        faults = Faults(latency={"median": latency})
        async with emulator_class("http")(Brain(Brightness()), faults) as emulator:
            place = cls(data_dir, emulator)
            try:
                yield place
            finally:
                for service in place.services:
                    await service.kill()
                if pid := EmbeddedServer(data_dir).pid:
                    os.kill(pid, signal.SIGKILL)

    @property
    def profile(self) -> dict:
        """The provider's profile."""
        (own,) = tomllib.loads(self.emulator.profile()).values()
        return {**own, "rate": 100_000, "concurrency": CONCURRENCY}

    @property
    def billed(self) -> int:
        """Pictures that the provider has answered."""
        return self.emulator.desk.counts.answered.total()

    @property
    def redis(self) -> redis.Redis:
        """A client of the embedded server, started if nobody has."""
        server = EmbeddedServer(self.data_dir)
        client = redis.Redis(unix_socket_path=server.start())
        return client

    async def start(self, **settings: object) -> Service:
        """Start a service, and wait until it answers."""
        self.data_dir.mkdir(exist_ok=True)
        file = self.data_dir / "providers.toml"
        lines = [f"{k} = {_toml(v)}" for k, v in self.profile.items() if not isinstance(v, dict)]
        tables = [
            f"[http.{k}]\n" + "\n".join(f'"{a}" = {_toml(b)}' for a, b in v.items())
            for k, v in self.profile.items()
            if isinstance(v, dict)
        ]
        file.write_text("\n".join(["[http]", *lines, *tables]) + "\n")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SURETY_")}
        environment |= self.emulator.environment() | {
            "SURETY_DATA_DIR": str(self.data_dir),
            "SURETY_SECRET": SECRET,
            "SURETY_PROVIDER": "http",
            "SURETY_PROVIDERS_FILE": str(file),
            "SURETY_DENOISER": "none",
            "SURETY_LEASE_SECONDS": "1",
            "SURETY_LOG_LEVEL": "info",
            "OMP_NUM_THREADS": "1",
        }
        environment |= {f"SURETY_{k.upper()}": str(v) for k, v in settings.items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service.cli", "serve", "--port", "0",
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        address = None
        async with asyncio.timeout(PATIENCE):
            while address is None:
                line = (await process.stdout.readline()).decode()
                assert line, "\n".join(self.said[-20:])
                self.said.append(line)
                address = re.search(r"http://[\d.]+:\d+", line)
        reading = asyncio.create_task(self._read(process.stdout))
        service = Service(process, address[0], reading)
        self.services.append(service)
        return service

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.said.append(line.decode())

    async def answered(self, more: int) -> None:
        """Wait until the provider has answered so many pictures more."""
        goal = self.billed + more
        async with asyncio.timeout(PATIENCE):
            while self.billed < goal:  # noqa: ASYNC110  the desk has no event
                await asyncio.sleep(0.002)

    def ledgers(self) -> dict[str, int]:
        """Return the length of every ledger."""
        with self.redis as client:
            names = [n.decode().partition(":")[2] for n in client.zrange("surety:ledgers", 0, -1)]
            ends = [client.hget(f"surety:ledger:{name}", "end") for name in names]
            lengths = [json.loads(end.split(b".", 2)[2])["n"] for end in ends]
            return dict(zip(names, lengths, strict=True))

    async def undisturbed(self, n: int) -> list[str | None]:
        """Return the votes of a run that nothing happens to, with the same key."""
        from certification.canonical import canonicalise
        from certification.certify import certify
        from certification.options import Options

        machine = Machine(MemoryLedgers(), bytes.fromhex(SECRET))
        for name, value in self.emulator.environment().items():
            os.environ[name] = value
        adapter = adapters.registry.load("http", Profiles({"http": self.profile}))
        async with adapter:
            await certify(
                machine,
                canonicalise(PICTURE),
                Options(sigma=SIGMA, max_votes=n, good_enough=None),
                denoiser=load_denoiser("none", Settings(_env_file=None).device),
                classifier=adapter,
            )
        (ledger,) = machine.ledgers._all.values()
        return (await ledger.read())[:n]


PICTURE = png(SIZE, SIZE)
FORM = {"sigma": str(SIGMA), "good_enough": "none", "max_votes": "100000"}


def _toml(value: object) -> str:
    return json.dumps(value)
