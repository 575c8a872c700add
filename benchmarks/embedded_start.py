"""How long the embedded store takes to start: cold in an empty folder, again, and taken over.

    python benchmarks/embedded_start.py [--rounds 10] [--keys 0]

Each figure is the time of `EmbeddedServer.start`, from the call until the server answers, in this
process. `again` reads back what a server that was stopped in order has written; with --keys each
folder has that many values of 1,000 bytes. A bare server is the binary alone, without looking for
it, without locks and on an empty folder: the least that a start can take.
"""

import argparse
import logging
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis
import structlog

from service.store import unix_socket
from service.store.binary import find_binary
from service.store.embedded import OPTIONS, EmbeddedServer


def bare(binary: Path, folder: Path) -> float:
    """Seconds until a server that is started by hand answers."""
    path = folder / unix_socket.NAME
    began = time.perf_counter()
    subprocess.run([binary, *OPTIONS], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    while unix_socket.ask(path, "PING", 1.0) != b"+PONG\r\n":
        time.sleep(0.001)
    seconds = time.perf_counter() - began
    unix_socket.ask(path, "SHUTDOWN", 10.0)
    return seconds


def fill(path: str, keys: int) -> None:
    """Write values of 1,000 bytes."""
    with redis.Redis(unix_socket_path=path) as store:
        for first in range(0, keys, 1000):
            names = range(first, min(keys, first + 1000))
            store.mset({str(name): bytes(1000) for name in names})


def seconds_of(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def one_round(binary: Path, folder: Path, keys: int) -> dict[str, float]:
    """Measure each once, in folders of its own."""
    (folder / "bare").mkdir()
    first, second = (EmbeddedServer(folder / "own") for _ in range(2))
    taken = {"bare server": bare(binary, folder / "bare"), "cold": seconds_of(first.start)}
    fill(first.start(), keys)
    taken["taken over"] = seconds_of(second.start)
    second.stop()
    taken["stop"] = seconds_of(first.stop)
    taken["again"] = seconds_of(first.start)
    first.stop()
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--keys", type=int, default=0)
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    binary, rounds = find_binary(), []
    for _ in range(chosen.rounds):
        with tempfile.TemporaryDirectory(prefix="surety-") as folder:
            rounds.append(one_round(binary, Path(folder), chosen.keys))
    print(f"{'ms':12}{'median':>8}   of {chosen.rounds}, {chosen.keys} keys")
    for name in rounds[0]:
        each = [1000 * taken[name] for taken in rounds]
        print(f"{name:12}{statistics.median(each):8.1f}   {min(each):.1f} … {max(each):.1f}")


if __name__ == "__main__":
    main()
