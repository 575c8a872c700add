"""Philox4x64-10, the counter-based generator behind the noise.

A keyed bijection of 256-bit counters: four 64-bit words in, four 64-bit words out, no state. So
any part of any sample's noise can be rebuilt alone. Here twice: in pure Python, to be read and
audited, and through numpy's C code, to be fast; the tests hold one against the other and both
against the published known answers.

Reference: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011,
section 4.3 (Philox) and table 2.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counter = tuple[int, int, int, int]
Key = tuple[int, int]

KEY_BYTES = 16
BLOCK_WORDS = 4
MASK = 2**64 - 1
ROUNDS = 10
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)  # golden ratio and √3 − 1: the key schedule


def key_words(key: bytes) -> Key:
    """Split the 16 key bytes into two little-endian 64-bit words."""
    return int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")


def block(counter: Counter, key: Key) -> Counter:
    """Encrypt one counter, in pure Python integers.

    Args:
        counter: four words within 0..2⁶⁴ − 1, least significant first.
        key: two words within 0..2⁶⁴ − 1.

    Returns:
        The four output words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (p1 >> 64) ^ c1 ^ k0, p1 & MASK, (p0 >> 64) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return c0, c1, c2, c3


class _Scratch(threading.local):
    """One numpy generator per thread: its state is set before every use, so none may share it."""

    def __init__(self) -> None:
        self.generator = np.random.Philox(key=0)
        self.inner: dict[str, Any] = {}
        self.state: Any = {
            "bit_generator": "Philox",
            "state": self.inner,
            "buffer": (0,) * BLOCK_WORDS,
            "buffer_pos": BLOCK_WORDS,  # empty: the next word starts a new block
            "has_uint32": 0,
            "uinteger": 0,
        }


_scratch = _Scratch()


def words(
    key: Key, number: int, indices: Sequence[int], level: int, count: int
) -> NDArray[np.uint64]:
    """Return the words of stretches of consecutive blocks, by numpy's C code.

    Args:
        key: two words within 0..2⁶⁴ − 1.
        number: word 0 of each stretch's first counter; it is counted up from there.
        indices: word 2 of the counters, one stretch for each.
        level: word 3 of the counters; word 1 is 0.
        count: words per stretch, four to a block; number + count/4 ≤ 2⁶⁴.

    Returns:
        uint64 (len(indices), count), native byte order.
    """
    scratch = _scratch
    inner, state, generator = scratch.inner, scratch.state, scratch.generator
    inner["key"] = key
    stretches = []
    for index in indices:
        # numpy counts the whole 256-bit number up before it makes a block: start one below.
        if number:
            inner["counter"] = (number - 1, 0, index, level)
        elif index:
            inner["counter"] = (MASK, MASK, index - 1, level)
        else:
            inner["counter"] = (MASK, MASK, MASK, level - 1 & MASK)
        generator.state = state
        stretches.append(generator.random_raw(count))
    if len(stretches) == 1:
        return stretches[0].reshape(1, count)
    return np.concatenate(stretches).reshape(-1, count)
