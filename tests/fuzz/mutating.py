"""From sound pictures to odd ones. Number i is made of i and the seed of the run alone."""

import random
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.fuzz.containers import CONTAINERS
from tests.fuzz.seeds import Seed

EXTREMES = (0, 1, 2, 7, 8, 15, 16, 127, 128, 255, 256, 4096, 7000, 32_767, 32_768, 65_535, 2**24)
EXTREMES += (2**31 - 1, 2**31, 2**32 - 1)
MOST_BYTES = 200_000  # so that copies of copies do not grow


class Mutant(NamedTuple):
    """One odd picture and how it came about."""

    number: int
    seed: str
    steps: tuple[str, ...]
    data: bytes


def mutant(seeds: Sequence[Seed], run: int, number: int) -> Mutant:
    """Make one.

    Args:
        seeds: the same ones each time.
        run: the seed of the whole run.
        number: which one of it.
    """
    rng = random.Random(f"{run}:{number}")
    seed = rng.choice(seeds) if rng.random() < 0.3 else _even(rng, seeds)
    data, steps = seed.data, list[str]()
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        change = rng.choice(KNOWING if rng.random() < 0.6 else BLIND)
        try:
            data = change(rng, data, seed, seeds)[:MOST_BYTES]
        except (struct.error, IndexError, ValueError, OverflowError):
            continue  # what is left has no such parts any more
        steps.append(change.__name__.strip("_"))
    return Mutant(number, seed.name, tuple(steps), data)


def _even(rng: random.Random, seeds: Sequence[Seed]) -> Seed:
    """Every format as often as the others, however many seeds it has."""
    kind = rng.choice(sorted(CONTAINERS))
    return rng.choice([seed for seed in seeds if seed.format == kind])


def _flip(rng: random.Random, data: bytes, *_: object) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _head(rng: random.Random, data: bytes, *_: object) -> bytes:
    """Most of what decides anything is in the first bytes."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 2, 4))):
        out[rng.randrange(min(64, len(out)))] = rng.randrange(256)
    return bytes(out)


def _number(rng: random.Random, data: bytes, *_: object) -> bytes:
    size = rng.choice((1, 2, 4))
    at = rng.randrange(max(1, len(data) - size))
    value = rng.choice(EXTREMES) % 256**size
    return data[:at] + value.to_bytes(size, rng.choice(("big", "little"))) + data[at + size :]


def _cut(rng: random.Random, data: bytes, *_: object) -> bytes:
    return data[: rng.randrange(len(data))]


def _remove(rng: random.Random, data: bytes, *_: object) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 4, 64)) :]


def _insert(rng: random.Random, data: bytes, *_: object) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.choice((1, 4, 64))) + data[at:]


def _repeat(rng: random.Random, data: bytes, *_: object) -> bytes:
    at = rng.randrange(len(data))
    end = at + rng.choice((1, 4, 64, 1000))
    return data[:end] + data[at:end] * rng.choice((1, 10, 100)) + data[end:]


def _other_half(rng: random.Random, data: bytes, seed: Seed, seeds: Sequence[Seed]) -> bytes:
    other = rng.choice(seeds).data
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def _parts(data: bytes, seed: Seed) -> list[bytes]:
    return CONTAINERS[seed.format].split(data)


def _drop_part(rng: random.Random, data: bytes, seed: Seed, seeds: Sequence[Seed]) -> bytes:
    parts = _parts(data, seed)
    del parts[rng.randrange(len(parts))]
    return CONTAINERS[seed.format].join(parts)


def _copy_part(rng: random.Random, data: bytes, seed: Seed, seeds: Sequence[Seed]) -> bytes:
    parts = _parts(data, seed)
    copied = rng.choice(parts)
    at = rng.randrange(len(parts) + 1)
    parts[at:at] = [copied] * rng.choice((1, 1, 2, 50))
    return CONTAINERS[seed.format].join(parts)


def _swap_parts(rng: random.Random, data: bytes, seed: Seed, seeds: Sequence[Seed]) -> bytes:
    parts = _parts(data, seed)
    a, b = rng.randrange(len(parts)), rng.randrange(len(parts))
    parts[a], parts[b] = parts[b], parts[a]
    return CONTAINERS[seed.format].join(parts)


def _foreign_part(rng: random.Random, data: bytes, seed: Seed, seeds: Sequence[Seed]) -> bytes:
    """A part of another picture of this format, in place of one or beside it."""
    other = rng.choice([s for s in seeds if s.format == seed.format])
    parts, foreign = _parts(data, seed), _parts(other.data, other)
    at = rng.randrange(len(parts))
    parts[at : at + rng.randrange(2)] = [rng.choice(foreign)]
    return CONTAINERS[seed.format].join(parts)


def _change_part(rng: random.Random, data: bytes, seed: Seed, seeds: Sequence[Seed]) -> bytes:
    """Change what is in a part, its length and check sum repaired."""
    parts = _parts(data, seed)
    at = rng.randrange(len(parts))
    change: Callable[..., bytes] = rng.choice((_flip, _number, _cut, _remove, _insert, _repeat))
    keep = 4 if seed.format in ("PNG", "WEBP") else 2 if seed.format == "JPEG" else 0
    parts[at] = parts[at][:keep] + change(rng, parts[at][keep:])
    return CONTAINERS[seed.format].join(parts)


def _small_part(rng: random.Random, data: bytes, seed: Seed, seeds: Sequence[Seed]) -> bytes:
    """Put extreme numbers into a short part: a head, where sizes and depths are."""
    parts = _parts(data, seed)
    short = [i for i, part in enumerate(parts) if 1 < len(part) <= 40]
    at = rng.choice(short)
    if seed.format == "PPM":
        parts[at] = str(rng.choice(EXTREMES) - rng.randrange(2)).encode() + b"\n"
    else:
        parts[at] = parts[at][:2] + _number(rng, parts[at][2:])
    return CONTAINERS[seed.format].join(parts)


BLIND = (_flip, _head, _number, _cut, _remove, _insert, _repeat, _other_half)
KNOWING = (
    _drop_part,
    _copy_part,
    _swap_parts,
    _foreign_part,
    _change_part,
    _change_part,
    _small_part,
    _small_part,
)
