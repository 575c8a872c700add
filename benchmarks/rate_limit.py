"""What the shared rate limit gives away, and whether it holds: 1, 2 and 4 processes, one account.

    python -m benchmarks.rate_limit --rate 50 --seconds 10

Each process sends pictures through the gate of its account to the emulator of Google, which counts
them; its own quota is far away, so that nothing but the limit holds them back. Told are the share
of the rate that was used, the most pictures that the emulator received within any second, and the
commands that the store was sent for a call.
"""

import argparse
import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from redis import Redis
from rich.console import Console
from rich.table import Table

import adapters.registry
from adapters.policy.gate import AccountGates
from adapters.profiles import Profiles
from benchmarks.adapters import pictures
from service.store.connection import Store
from service.store.embedded import EmbeddedServer
from service.store.rate import RedisLimits

LAG = 12.0  # seconds until all processes are there


async def send(url: str, prefix: str, rate: float, start: float, seconds: float) -> int:
    """Send as many pictures as may be sent, from one process; returns calls."""
    store = Store(url, prefix)
    await store.open()
    limits = RedisLimits(store, bytes(32))
    adapter = adapters.registry.load("google", Profiles({"google": {"rate": rate}}))
    way = AccountGates(limits.of_account).of(adapter)
    batch, end, calls = pictures(adapter.traits.max_batch), start + seconds, 0
    await adapter.classify(batch[:1])  # connects
    await asyncio.sleep(start - time.time())

    async def worker() -> None:
        nonlocal calls
        while True:
            permit = await way.enter(len(batch))
            if time.time() >= end:
                permit.unused()
                return
            calls += 1
            permit.done(await adapter.classify(batch))

    await asyncio.gather(*(worker() for _ in range(4)))
    await limits.close()
    await adapter.close()
    await store.close()
    return calls


def emulate() -> tuple[subprocess.Popen[str], str]:
    """Start the emulator; returns it and the address of its counts."""
    command = [sys.executable, "-m", "service.cli", "emulate", "google"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout or ():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            os.environ[name] = value.strip("'\"")
        if line.startswith("# counts"):
            address = next(word for word in line.split() if word.startswith("http"))
            return process, address.removesuffix("/counts")
    raise SystemExit("the emulator did not start")


def measure(url: str, processes: int, rate: float, seconds: float) -> list[str]:
    """Measure with some processes; returns a row."""
    emulator, counts = emulate()
    try:
        with Redis.from_url(url) as client:
            start, prefix = time.time() + LAG + 3 * processes, secrets.token_hex(4)
            command = [sys.executable, "-m", "benchmarks.rate_limit", "--rate", str(rate)]
            command += ["--seconds", str(seconds), "--as", url, prefix, str(start)]
            started = [
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                for _ in range(processes)
            ]
            time.sleep(max(0.0, start - 0.5 - time.time()))
            before = commands(client)
            calls = sum(int(process.communicate()[0]) for process in started)
            asked = commands(client) - before
        with urllib.request.urlopen(f"{counts}/counts") as reply:  # noqa: S310  the emulator's own
            told = json.load(reply)
    finally:
        emulator.terminate()
        emulator.wait()
    used = (told["images_received"] - processes) / seconds / rate
    most = told["most_images_in_a_second"]
    return [str(processes), f"{used:.1%}", str(most), f"{asked / calls:.2f}", str(calls)]


def commands(client: Redis) -> int:
    """Return how often the script was run."""
    told = client.info("commandstats")
    return int(told.get("cmdstat_evalsha", {}).get("calls", 0))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--as", nargs=3, dest="part", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.part:
        url, prefix, start = chosen.part
        print(asyncio.run(send(url, prefix, chosen.rate, float(start), chosen.seconds)))
        return
    table = Table(title=f"{chosen.rate:g} pictures a second, {chosen.seconds:g} s")
    for heading in ("processes", "of the rate", "most in a second", "commands a call", "calls"):
        table.add_column(heading)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        server = EmbeddedServer(Path(folder))
        url = f"unix://{server.start()}"
        try:
            for processes in chosen.processes:
                table.add_row(*measure(url, processes, chosen.rate, chosen.seconds))
        finally:
            server.stop()
    Console().print(table)


if __name__ == "__main__":
    main()
