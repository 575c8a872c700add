"""Fuzzes the way of an upload: pictures through the decoder, archives of jobs, and HTTP.

    python -m tests.fuzz.uploads --count 100000                  # all pictures, then the rest
    python -m tests.fuzz.uploads --only images --start 40000     # go on from there by hand
    python -m tests.fuzz.uploads --show 617 --out /tmp/found     # write that picture to a file

Stopped and started again with the same --out it goes on where it was. Ends with status 1 if there
was a crash, a picture of more than 2 s of processor time, a hang, or memory over the bound.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.archives import archive_maker
from tests.fuzz.hostile import FILES
from tests.fuzz.mutating import mutant
from tests.fuzz.requests import certify_them
from tests.fuzz.seeds import seeds
from tests.fuzz.watching import watched

SAVE_EVERY = 500


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its status."""
    chosen = _arguments(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.show is not None:
        return _show(chosen)
    found = 0
    shares = {"images": chosen.count, "archives": chosen.count // 10, "http": chosen.count // 50}
    shares["hostile"] = len(FILES)
    for kind, count in shares.items():
        if chosen.only not in (None, kind):
            continue
        if kind == "http":
            found += asyncio.run(certify_them(chosen.seed, count, sys.stdout))
        else:
            found += _fuzz(kind, count, chosen)
    print("nothing found" if not found else f"{found} findings, see {chosen.out}")
    return 1 if found else 0


def _fuzz(kind: str, count: int, chosen: argparse.Namespace) -> int:
    state = chosen.out / f"{kind}-{chosen.seed}.json"
    begun = json.loads(state.read_text()) if state.exists() else {"next": 0, "kinds": {}, "bad": 0}
    start = begun["next"] if chosen.start is None else chosen.start
    kinds, bad = Counter(begun["kinds"]), begun["bad"]
    started, slowest = time.monotonic(), (0.0, start)
    for tried in watched(kind, chosen.seed, start, count):
        kinds[tried.kind] += 1
        slowest = max(slowest, (tried.seconds, tried.number))
        if tried.wrong is not None:
            bad += 1
            print(f"{kind} {tried.number}: {tried.wrong}", flush=True)
            _write(kind, chosen, tried.number)
        if (tried.number + 1) % SAVE_EVERY == 0 or tried.number + 1 == count:
            state.write_text(json.dumps({"next": tried.number + 1, "kinds": kinds, "bad": bad}))
    took = time.monotonic() - started
    rate = (count - start) / took if count > start else 0
    print(
        f"{kind}: {count:,} in all, {max(0, count - start):,} now in {took:.0f} s "
        f"({rate:,.0f}/s), the slowest {slowest[0]:.2f} s (number {slowest[1]}); "
        + ", ".join(f"{name} {number:,}" for name, number in kinds.most_common()),
        flush=True,
    )
    return int(bad)


def _show(chosen: argparse.Namespace) -> int:
    kind = chosen.only or "images"
    print(_write(kind, chosen, chosen.show))
    return 0


def _write(kind: str, chosen: argparse.Namespace, number: int) -> Path:
    if kind == "archives":
        data, said = archive_maker(chosen.seed)(number), ""
    elif kind == "hostile":
        said = [*FILES][number]
        data = FILES[said]()
    else:
        made = mutant(seeds(), chosen.seed, number)
        data, said = made.data, f"{made.seed}: {', '.join(made.steps)}"
    path: Path = chosen.out / f"{kind}-{chosen.seed}-{number}.bin"
    path.write_bytes(data)
    if said:
        print(said)
    return path


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.fuzz.uploads", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="mutated pictures in all")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other pictures")
    parser.add_argument("--start", type=int, help="begin at this number")
    parser.add_argument("--only", choices=("images", "archives", "http", "hostile"))
    parser.add_argument("--show", type=int, help="write the file of this number, try nothing")
    parser.add_argument("--out", type=Path, default=Path("/tmp/surety-fuzz"))  # noqa: S108
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
