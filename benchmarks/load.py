"""Many clients at once: what they are answered, how long they wait, what memory the service takes.

    python -m benchmarks.load [--clients 200] [--seconds 60] [--votes 100] [--again 0.1]

A real `surety serve` with its defaults and the built-in classifier; clients that each certify one
32×32 picture after the other, most of them new, a share of --again asked by everybody. A client
that is answered 429 waits as long as Retry-After says. Then the same clients follow runs as events,
SIGTERM comes in the middle, and the service is started again: every vote that a client was told of
has to be in its ledger. Clients and service share this machine's cores.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from certification.png import encode as encode_png
from service.store.embedded import EmbeddedServer

COMMON = 20  # pictures that everybody asks about
STEP_SECONDS = 0.25  # between two looks at the memory
PATIENCE = 120.0


@dataclass
class Seen:
    """What all clients have seen.

    Attributes:
        statuses: answers by status.
        errors: requests without an answer, by exception.
        waited: seconds of each answered certificate, new ones and those from the ledger.
        memory: MiB of the service, of its store.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    waited: dict[str, list[float]] = field(default_factory=lambda: {"new": [], "again": []})
    memory: list[tuple[float, float]] = field(default_factory=list)


@dataclass
class Service:
    """A service that runs.

    Attributes:
        address: where.
        process: its own.
        store: process id of its store.
    """

    address: str
    process: asyncio.subprocess.Process
    store: int


def picture(number: int) -> bytes:
    """Return a PNG that is another one for each number."""
    draw = np.random.default_rng(number)
    colours = draw.integers(0, 255, (4, 4, 3))
    pixels = np.kron(colours, np.ones((8, 8, 1))) + draw.integers(-20, 20, (32, 32, 3))
    return encode_png(pixels.clip(0, 255).astype(np.uint8))


@contextlib.asynccontextmanager
async def served(folder: str) -> AsyncIterator[Service]:
    """Run the service with its defaults."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SURETY_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service.cli", "serve", "--port", "0",
        env={**environment, "SURETY_DATA_DIR": folder, "SURETY_LOG_LEVEL": "error"},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None  # noqa: S101  a pipe, see above
        async with asyncio.timeout(PATIENCE):
            while "listens on" not in (line := (await process.stdout.readline()).decode()):
                if not line:
                    raise SystemExit("the service could not start")
        reading = asyncio.create_task(process.stdout.read())
        yield Service(line.split()[-1], process, EmbeddedServer(Path(folder)).pid or 0)
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await reading
    finally:
        if process.returncode is None:
            process.kill()


def memory_of(process: int) -> float:
    """Return the resident memory of a process in MiB, 0 if it has ended."""
    told = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(process)],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    return int(told or 0) / 1024


async def watch_memory(service: Service, seen: Seen) -> None:
    """Note the memory until it is cancelled."""
    while True:
        one, two = await asyncio.to_thread(
            lambda: (memory_of(service.process.pid), memory_of(service.store))
        )
        seen.memory.append((one, two))
        await asyncio.sleep(STEP_SECONDS)


async def ask_on(
    client: httpx.AsyncClient, number: int, asked: argparse.Namespace, seen: Seen
) -> None:
    """Be one client, until it is cancelled."""
    draw = np.random.default_rng(number)
    fields = {"max_votes": str(asked.votes), "good_enough": ""}
    for turn in range(10**6):
        common = draw.random() < asked.again
        data = picture(int(draw.integers(COMMON)) if common else 10**6 * (number + 1) + turn)
        while True:
            began = time.monotonic()
            try:
                reply = await client.post("/certify", files={"image": data}, data=fields)
            except httpx.HTTPError as error:
                seen.errors[type(error).__name__] += 1
                await asyncio.sleep(1)
                continue
            seen.statuses[reply.status_code] += 1
            if reply.status_code == 200:
                bill = json.loads(reply.headers["Surety-Accounting"])
                seen.waited["new" if bill["images"] else "again"].append(time.monotonic() - began)
                break
            if reply.status_code != 429:
                break
            await asyncio.sleep(float(reply.headers["Retry-After"]))


async def load(address: str, asked: argparse.Namespace, seen: Seen) -> None:
    """Have all clients ask for so many seconds."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=PATIENCE) as client:
        clients = [
            asyncio.create_task(ask_on(client, number, asked, seen))
            for number in range(asked.clients)
        ]
        await asyncio.wait(clients, timeout=asked.seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in clients:
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await asyncio.sleep(1)


async def follow(client: httpx.AsyncClient, number: int, told: dict[int, int], votes: int) -> None:
    """Follow one run after the other as events, and note how many votes each has come to."""
    for turn in range(10**6):
        mine = 10**9 + 10**5 * number + turn
        while True:
            async with client.stream(
                "POST", "/certify", files={"image": picture(mine)},
                data={"max_votes": str(votes), "good_enough": ""},
                headers={"Accept": "text/event-stream"},
            ) as reply:  # fmt: skip
                if reply.status_code == 200:
                    kind = ""
                    async for line in reply.aiter_lines():
                        if line.startswith("event: "):
                            kind = line.removeprefix("event: ")
                        elif line.startswith("data: ") and kind == "progress":
                            said = json.loads(line.removeprefix("data: "))["n"]
                            told[mine] = max(told.get(mine, 0), said)
                    break
                wait = float(reply.headers.get("Retry-After", 1))
            await asyncio.sleep(wait)


async def interrupted(service: Service, asked: argparse.Namespace) -> dict[int, int]:
    """Send SIGTERM while all clients follow runs; return what each picture's client was told."""
    told: dict[int, int] = {}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(
        base_url=service.address, limits=limits, timeout=PATIENCE
    ) as client:
        clients = [
            asyncio.create_task(follow(client, number, told, 20 * asked.votes))
            for number in range(asked.clients)
        ]
        await asyncio.sleep(asked.seconds / 6)
        service.process.send_signal(signal.SIGTERM)
        await service.process.wait()
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    return told


async def kept(address: str, told: dict[int, int], votes: int) -> tuple[int, int]:
    """Ask again for as many votes as each was told of; return votes told and votes missing."""
    missing = 0
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as client:
        for number, count in told.items():
            reply = await client.post(
                "/certify",
                files={"image": picture(number)},
                data={"max_votes": str(count), "good_enough": ""},
            )
            reply.raise_for_status()
            missing += json.loads(reply.headers["Surety-Accounting"])["images"]
    return sum(told.values()), missing


async def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--votes", type=int, default=100)
    parser.add_argument("--again", type=float, default=0.1)
    asked = parser.parse_args()
    seen = Seen()
    with tempfile.TemporaryDirectory() as folder:
        async with served(folder) as service:
            async with httpx.AsyncClient(base_url=service.address, timeout=PATIENCE) as client:
                await client.post("/certify", files={"image": picture(0)}, data={"max_votes": "8"})
            watching = asyncio.create_task(watch_memory(service, seen))
            await load(service.address, asked, seen)
            watching.cancel()
            told = await interrupted(service, asked)
        async with served(folder) as service:
            votes, missing = await kept(service.address, told, asked.votes)
    show(asked, seen, len(told), votes, missing)


def show(asked: argparse.Namespace, seen: Seen, runs: int, votes: int, missing: int) -> None:
    """Print what was seen."""
    console = Console()
    table = Table(
        "answers", "number", "p50 s", "p99 s", title=f"{asked.clients} clients, {asked.seconds:g} s"
    )
    for name, waited in seen.waited.items():
        middle, late = np.percentile(waited, [50, 99]) if waited else (0.0, 0.0)
        table.add_row(f"200, {name}", f"{len(waited)}", f"{middle:.2f}", f"{late:.2f}")
    for status, count in sorted(seen.statuses.items()):
        if status != 200:
            table.add_row(str(status), str(count), "", "")
    for kind, count in seen.errors.items():
        table.add_row(kind, str(count), "", "")
    console.print(table)
    memory = np.array(seen.memory)
    table = Table("memory, MiB", *("start", "after 1/3", "2/3", "end", "most"))
    places = [0, len(memory) // 3, 2 * len(memory) // 3, len(memory) - 1]
    for column, name in enumerate(("service", "store")):
        row = [*memory[places, column], memory[:, column].max()]
        table.add_row(name, *(f"{value:.0f}" for value in row))
    console.print(table)
    console.print(
        f"SIGTERM: {runs} runs had told of {votes:,} votes; {missing} of them were not kept"
    )


if __name__ == "__main__":
    asyncio.run(main())
