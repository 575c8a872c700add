"""The noise of certification.noise, drawn where the denoiser runs: the same bits, no transfer.

64-bit words are int64 tensors here, since torch multiplies no unsigned ones: sums and products
wrap alike, and a right shift is masked. Every step but the last is a fixed sequence of operations
on whole tensors. One element in about 2¹⁶ · 2⁷ is still open after 32 bits; those are settled on
the CPU, one by one, by the definition.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from certification import noise, philox
from certification.gaussian_table import CODES, CODES_BELOW, OPEN, gaussian_table

LOW = 0xFFFFFFFF
CHUNK = 2**23  # elements worked on together; bounds the scratch memory


def draw(
    key: bytes,
    start: int,
    count: int,
    shape: tuple[int, int, int],
    sigma: float,
    device: torch.device | str,
) -> torch.Tensor:
    """Draw the noise of consecutive samples, bit-identical to `certification.noise.draw_many`.

    Args:
        key: 16 bytes.
        start: index of the first sample.
        count: samples.
        shape: of one sample, (H, W, 3).
        sigma: noise level on the [0, 1] scale, 0 < σ ≤ 2.
        device: where the noise is wanted.

    Returns:
        K, int16 (count, H, W, 3).
    """
    group = max(1, CHUNK // math.prod(shape))
    parts = [
        _draw(key, start + done, min(group, count - done), math.prod(shape), sigma, device)
        for done in range(0, count, group)
    ]
    return torch.cat(parts).view(count, *shape)


def _draw(
    key: bytes, start: int, count: int, size: int, sigma: float, device: torch.device | str
) -> torch.Tensor:
    first, entries, heads, edges, tails, several_from = _tables(sigma, str(device))
    bits = [_bits(key, start, count, size, level, device) for level in (0, 1)]
    values = first[bits[0]]
    codes = values.long() + CODES  # a code counts from the end of its table
    coded = values < CODES_BELOW
    codes = codes * coded
    decided = entries[codes] + bits[1]
    prefixes = heads[codes] << 16 | bits[1]
    several = codes >= several_from
    decided = torch.where(several, tails[torch.searchsorted(edges, prefixes, right=True)], decided)
    out = torch.where(coded, (decided >> 16).to(torch.int16), values)
    still = (coded & (decided & 0xFFFF == OPEN)).nonzero().tolist()
    for row, place in still:
        out[row, place] = noise.element(key, start + row, place, sigma)
    return out


@lru_cache(maxsize=16)
def _tables(sigma: float, device: str) -> tuple[torch.Tensor, ...]:
    table = gaussian_table(sigma)

    def there(array: NDArray[np.generic], kind: type[np.generic]) -> torch.Tensor:
        return torch.from_numpy(array.astype(kind)).to(device)

    return (
        there(table.first, np.int16),
        there(table.entries, np.int64),
        there(table.heads, np.int64),
        there(table.edges, np.int64),
        there(table.tail_entries, np.int64),
        torch.tensor(table.several_from + CODES, device=device),
    )


def _bits(
    key: bytes, start: int, count: int, size: int, level: int, device: torch.device | str
) -> torch.Tensor:
    """Return 16 bits for each element of each sample, int64 (count, size)."""
    blocks = -(-size // noise.BLOCK_ELEMENTS)
    number = torch.arange(blocks, device=device).expand(count, -1)
    index = torch.arange(count, device=device) + _signed(start)
    zero = torch.zeros((), dtype=torch.int64, device=device)
    words = _philox((number, zero, index.view(-1, 1), zero + level), philox.key_words(key))
    quarters = torch.stack([w.expand(count, blocks) for w in words], dim=-1).unsqueeze(-1)
    shifts = torch.tensor([0, 16, 32, 48], device=device)
    return (quarters >> shifts & 0xFFFF).view(count, -1)[:, :size]


def _philox(counter: tuple[torch.Tensor, ...], key: philox.Key) -> tuple[torch.Tensor, ...]:
    """Encrypt counters, see :func:`certification.philox.block`; int64 that stand for uint64."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(philox.ROUNDS):
        high0, low0 = _product(c0, philox.MULTIPLIERS[0])
        high1, low1 = _product(c2, philox.MULTIPLIERS[1])
        c0, c1 = high1 ^ c1 ^ _signed(k0), low1
        c2, c3 = high0 ^ c3 ^ _signed(k1), low0
        k0, k1 = (k0 + philox.WEYL[0]) & philox.MASK, (k1 + philox.WEYL[1]) & philox.MASK
    return c0, c1, c2, c3


def _product(x: torch.Tensor, factor: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the upper and the lower 64 bits of x·factor, by 32-bit halves."""
    x0, x1 = x & LOW, x >> 32 & LOW
    f0, f1 = factor & LOW, factor >> 32
    a, b, c = x0 * f0, x1 * f0, x0 * f1
    middle = (a >> 32 & LOW) + (b & LOW) + (c & LOW)
    high = x1 * f1 + (b >> 32 & LOW) + (c >> 32 & LOW) + (middle >> 32)
    return high, x * _signed(factor)


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word
