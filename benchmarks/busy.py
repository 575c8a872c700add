"""The denoiser where something else needs the CPUs too: how its threads wait for each other.

    python -m benchmarks.busy [--denoiser cifar] [--side 32] [--seconds 5] [--rounds 3]

Each setting runs in a process of its own, in turn, on a quiet machine and beside one busy process
per CPU; what is printed is the median time of a picture, in microseconds. "spin" is torch's own
way, "spin briefly" is what `surety` sets.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from rich.console import Console
from rich.table import Table

from service import threads

SETTINGS = {
    "spin": {},
    "spin briefly": {"GOMP_SPINCOUNT": threads.SPIN},
    "sleep": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
BUSY = "while True: pass"


def measure(name: str, side: int, seconds: float) -> list[float]:
    """Return the microseconds of a picture, for each call within some seconds, after a first."""
    import numpy as np  # noqa: PLC0415  after OpenMP's variables are set

    from certification.protocols import at_once  # noqa: PLC0415
    from denoisers.registry import load  # noqa: PLC0415

    denoiser = load(name, "cpu")
    count = at_once(denoiser, side, side)
    noisy = np.random.default_rng(0).integers(-50, 300, (count, side, side, 3)).astype(np.int16)
    denoiser.clean(noisy, 0.25)
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        denoiser.clean(noisy, 0.25)
        found.append(1e6 * (time.perf_counter() - began) / count)
    return found


def in_a_process(setting: dict[str, str], asked: argparse.Namespace) -> list[float]:
    """Measure under other variables."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    environ |= setting
    command = [sys.executable, "-m", "benchmarks.busy", "--measure", "--denoiser", asked.denoiser]
    command += ["--side", str(asked.side), "--seconds", str(asked.seconds)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure all settings in turn, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--denoiser", default="cifar")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.denoiser, asked.side, asked.seconds)))
        return
    cpus = len(os.sched_getaffinity(0))
    table = Table("threads", "quiet, µs a picture", f"beside {cpus} busy processes")
    columns: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for busy in (0, cpus):
        others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(busy)]
        try:
            rounds: dict[str, list[float]] = {name: [] for name in SETTINGS}
            for _ in range(asked.rounds):
                for name, setting in SETTINGS.items():
                    rounds[name].append(statistics.median(in_a_process(setting, asked)))
        finally:
            for other in others:
                other.kill()
                other.wait()
        for name, found in rounds.items():
            columns[name].append(statistics.median(found))
    for name, (quiet, loud) in columns.items():
        table.add_row(name, f"{quiet:.0f}", f"{loud:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
