"""Calls per second of each adapter against its SDK driven bare, at the same emulator.

Both sides in turn in one process, at the same concurrency and with the same batches; the emulator
runs in a process of its own. CPU milliseconds are those of this process, threads included.

    python -m benchmarks.adapters [--provider aws] [--calls 400] [--rounds 5] [--concurrency 16]
"""

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import adapters.registry
from adapters.profiles import Profiles
from benchmarks.bare_clients import CLIENTS, Ask
from certification.postprocess import PostProcess

SIDE = 96


def pictures(count: int) -> list[bytes]:
    """Different small pictures, encoded as samples are."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    plan = PostProcess((SIDE, SIDE), "png")
    found = []
    for _ in range(count):
        a, b, c = generator.uniform(4, 20, 3)
        wave = 128 + 90 * np.sin(x / a) * np.cos(y / b + c)
        found.append(bytes(plan(np.repeat(wave[..., None], 3, axis=2).astype(np.uint8))))
    return found


def cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def drive(
    ask: Ask, batches: Sequence[Sequence[bytes]], concurrency: int
) -> tuple[float, float]:
    """Make all calls; returns calls a second and CPU milliseconds a call."""
    todo = iter(batches)

    async def worker() -> None:
        for batch in todo:
            await ask(batch)

    began, used = time.perf_counter(), cpu()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    seconds = time.perf_counter() - began
    return len(batches) / seconds, 1000 * (cpu() - used) / len(batches)


def emulate(provider: str) -> subprocess.Popen[str]:
    """Start an emulator and point this process's environment at it."""
    command = [sys.executable, "-m", "service.cli", "emulate", provider]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout or ():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            os.environ[name] = value.strip("'\"")
        if line.startswith("# REST: "):
            os.environ["EMULATOR_REST"] = line.removeprefix("# REST: ").strip()
        if line.startswith("# counts"):
            break
    return process


def profile(provider: str) -> dict[str, Any]:
    """No rate limit, which would be what is measured."""
    table: dict[str, Any] = {"rate": 1e6}
    if provider == "http":
        table |= tomllib.loads(
            f'url = "{os.environ["EMULATOR_REST"]}/v1/classify"\nbody = "bytes"\n'
            'headers = { Authorization = "Bearer ${HTTP_EMULATOR_TOKEN}" }\n'
            '[reply]\nlabel = "predictions[*].label"\nscore = "predictions[*].score"\n'
            'version = "model.version"\n'
        )
    return table


async def compare(provider: str, calls: int, rounds: int, concurrency: int) -> list[str]:
    """Measure one provider; returns its row."""
    adapter = adapters.registry.load(provider, Profiles({provider: profile(provider)}))
    batch = min(16, adapter.traits.max_batch)
    encoded = pictures(64)
    batches = [
        [encoded[(i * batch + k) % len(encoded)] for k in range(batch)] for i in range(calls)
    ]
    bare, close = CLIENTS[provider](concurrency)
    times: list[tuple[tuple[float, float], tuple[float, float]]] = []
    try:
        for ask in (bare, adapter.classify):
            await drive(ask, batches[: calls // 4], concurrency)  # warm up
        for _ in range(rounds):
            plain = await drive(bare, batches, concurrency)
            times.append((plain, await drive(adapter.classify, batches, concurrency)))
    finally:
        await close()
        await adapter.close()
    ratio = statistics.median(ours[0] / plain[0] for plain, ours in times)
    figures = [statistics.median(t[side][k] for t in times) for k in (0, 1) for side in (0, 1)]
    return [
        provider,
        f"{batch}",
        *(f"{rate:.0f}" for rate in figures[:2]),
        f"{ratio:.2f}",
        *(f"{ms:.2f}" for ms in figures[2:]),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provider", action="append", choices=[*CLIENTS])
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=16)
    chosen = parser.parse_args()
    table = Table(title=f"{chosen.calls} calls, {chosen.concurrency} in flight")
    for heading in ("provider", "pictures a call", "SDK calls/s", "adapter calls/s", "ratio"):
        table.add_column(heading)
    for side in ("SDK", "adapter"):
        table.add_column(f"{side} CPU ms a call")
    for provider in chosen.provider or CLIENTS:
        process = emulate(provider)
        try:
            row = asyncio.run(compare(provider, chosen.calls, chosen.rounds, chosen.concurrency))
        finally:
            process.terminate()
            process.wait()
        table.add_row(*row)
        print("  ".join(row), flush=True)
    Console().print(table)


if __name__ == "__main__":
    main()
