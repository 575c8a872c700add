"""The process that decodes: whatever a picture does to it, the one that watches it goes on.

    python -m tests.fuzz.child KIND RUN START STOP

Writes a line of JSON for each thing: `[number]` before it is tried, `[number, kind, seconds,
wrong]` after it. The numbers go up from START.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable

from tests.fuzz.archives import archive_maker, attempt_archive
from tests.fuzz.hostile import FILES
from tests.fuzz.mutating import mutant
from tests.fuzz.seeds import seeds
from tests.fuzz.trying import Outcome, attempt, peak_memory

ADDRESS_SPACE = 4 * 2**30  # only against what would bring the machine down


def main(kind: str, run: int, start: int, stop: int) -> None:
    """See the module's text."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > ADDRESS_SPACE:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, hard))
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff says there what it thinks of each
    try_one = _trier(kind, run)
    for number in range(start, stop):
        out.write(f"[{number}]\n")
        outcome = try_one(number)
        out.write(json.dumps([number, *outcome]) + "\n")


def _trier(kind: str, run: int) -> Callable[[int], Outcome]:
    if kind == "archives":
        make = archive_maker(run)
        first = peak_memory()
        return lambda number: attempt_archive(make(number), base=first)
    if kind == "self-test":
        return _ill
    sound = seeds()
    for seed in sound:  # what decoders load on first use is not a picture's memory
        attempt(seed.data)
    base = peak_memory()
    if kind == "hostile":
        files = [*FILES.values()]
        return lambda number: attempt(files[number](), base=base)
    return lambda number: attempt(mutant(sound, run, number).data, base=base)


def _ill(number: int) -> Outcome:
    """Do what a bad decoder might, to see whether the watch sees it."""
    if number == 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == 4:
        signal.pause()
    return Outcome("picture", 0.0, None)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
