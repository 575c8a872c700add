"""Watches the process that decodes, and begins another where one has died or hangs."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import NamedTuple

HANGS = 20.0  # seconds by the clock; what takes processor time is found out long before


class Tried(NamedTuple):
    """What came of one number. See `tests.fuzz.trying.Outcome`."""

    number: int
    kind: str
    seconds: float
    wrong: str | None


def watched(kind: str, run: int, start: int, stop: int, hangs: float = HANGS) -> Iterator[Tried]:
    """Try numbers in processes of their own.

    Args:
        kind: "images", "archives", "hostile", or "self-test".
        run: the seed of the whole run.
        start: the first number.
        stop: where to end, exclusive.
        hangs: seconds after which a process is given up.
    """
    at = start
    while at < stop:
        command = [sys.executable, "-m", "tests.fuzz.child", kind, *map(str, (run, at, stop))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            trying = None
            for line in _lines(process, hangs):
                number, *rest = json.loads(line)
                if not rest:
                    trying = number
                    continue
                trying, at = None, number + 1
                yield Tried(number, *rest)
            process.kill()
            code = process.wait()
        if at >= stop:
            return
        if trying is None:
            raise RuntimeError(f"the process that decodes does not start (status {code})")
        wrong = "it hangs" if code == -9 else f"the process died (status {code})"
        yield Tried(trying, "died", hangs if code == -9 else 0.0, wrong)
        at = trying + 1


def _lines(process: subprocess.Popen[str], hangs: float) -> Iterator[str]:
    """Yield what it writes until it ends, or writes nothing for too long."""
    assert process.stdout is not None
    while True:
        watch = threading.Timer(hangs, process.kill)
        watch.start()
        try:
            line = process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            return
        yield line
