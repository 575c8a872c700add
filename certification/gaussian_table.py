"""The rounded Gaussian as a table of 64-bit thresholds.

For s = 255σ the law of K = round(N(0, s²)) on the integers is

    P(K = k) = Φ((k + ½)/s) − Φ((k − ½)/s)                       (Voráček and Hein, section 4)

It is drawn by inverse CDF: with u uniform on 0..2⁶⁴ − 1 and T the ascending thresholds
round(2⁶⁴·Φ((k + ½)/s)), K = −reach + #{t in T: t ≤ u}. The only departure from the exact law is
the rounding of T, and `GaussianTable.total_variation` is that departure, computed.

Reference: Voráček and Hein, "Sound randomized smoothing in floating-point arithmetic", ICLR 2023.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

import mpmath  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from certification.errors import InvalidParameter

LARGEST_SIGMA = 2.0  # |K| ≤ 4,669 there, so that K and the cell codes below share one int16
PRECISION = 128  # bits; thresholds need 64, their rounding errors as many again
HEADS = 2**16
CODES = (
    2**15
)  # cell codes are −CODES, −CODES + 1, …, so that they index a list of CODES from its end
CODES_BELOW = -(2**14)  # entries of `first` below this are codes, not values
OPEN = 0xFFFF  # low half of an entry that 32 bits have not settled


@dataclass(frozen=True, eq=False)
class GaussianTable:
    """Thresholds of one σ, and the first look-up that settles most draws on 16 bits.

    A *head* is the top 16 bits of u, a *cell* the 2⁴⁸ values of u that share one. A cell without
    a threshold inside settles K at once; the others have a code, those with a single threshold
    come first.

    An *entry* packs what the next 16 bits b of u decide: K in its high half, OPEN in its low half
    if further bits are needed. For a single threshold it is (K below) · 2¹⁶ + OPEN − cut, with cut
    bits 47..32 of the threshold: adding b carries into K just if b > cut, and b = cut gives OPEN.

    Attributes:
        sigma: standard deviation on the [0, 1] scale.
        thresholds: T, ascending Python integers within 1..2⁶⁴ − 1; T[i] + T[−1−i] = 2⁶⁴.
        reach: largest |K|, half the number of thresholds.
        total_variation: distance between the drawn and the exact law of one element, rounded up.
        first: int16 (65536,); by head: K, or the cell's code.
        entries: int32 (CODES,); by code, what b is added to; meaningful for single thresholds.
        heads: uint16 (CODES,); by code: the cell's head.
        several_from: first code of a cell with more than one threshold.
        edges: uint32 (n,), ascending; where the next two change if u grows by its top 32 bits.
        tail_entries: int32 (n + 1,); the finished entry of the top 32 bits v by #{edges ≤ v}.
    """

    sigma: float
    thresholds: tuple[int, ...]
    reach: int
    total_variation: float
    first: NDArray[np.int16]
    entries: NDArray[np.int32]
    heads: NDArray[np.uint16]
    several_from: int
    edges: NDArray[np.uint32]
    tail_entries: NDArray[np.int32]

    def value(self, u: int) -> int:
        """Return K for a 64-bit u, by definition."""
        return bisect_right(self.thresholds, u) - self.reach


def _upper_tails(sigma: float) -> tuple[list[int], float]:
    """Round the upper tails Q_j = Q((j + ½)/s), j = 0, 1, …, to 64 bits and measure the damage.

    The errors e_j = t_j/2⁶⁴ − Q_j shift P(K = ±j) by e_{j−1} − e_j and P(K = 0) by −2e_0, hence
    TV = |e_0| + Σ|e_{j−1} − e_j|. From the first t_j = 0 on, e_j = −Q_j rises to 0 and adds Q_j.

    Returns:
        The t_j that are not 0, descending, and an upper bound of the total variation distance.
    """
    # A context of its own: the precision of mpmath's global one is shared by all threads.
    mp = mpmath.MPContext()
    mp.prec = PRECISION
    # σ is the decimal number that was written, not the binary one next to it.
    step = 1 / (255 * mp.mpf(repr(sigma)) * mp.sqrt(2))
    unit, half = 1 << PRECISION - 64, 1 << PRECISION - 65
    tails: list[int] = []
    variation, last = 0, None  # in units of 2^−PRECISION, as are the next two
    while True:
        # All tails past 40 round to 0, and a huge argument would exhaust the memory.
        exact = int(mp.ldexp(mp.erfc(min((len(tails) + 0.5) * step, 40)), PRECISION - 1))
        tail = (exact + half) // unit
        error = tail * unit - exact
        variation += abs(error if last is None else last - error)
        if tail == 0:
            # `exact` may be off by 2 units (mpmath's last bit, the cut to an integer).
            bound = variation + exact + 4 * (len(tails) + 1)
            return tails, math.nextafter(math.ldexp(bound, -PRECISION), 1.0)
        tails.append(tail)
        last = error


def check_sigma(sigma: float) -> float:
    """Return σ as a Python float.

    Raises:
        InvalidParameter: unless 0 < σ ≤ 2 (NaN and non-numbers are refused too).
    """
    try:
        number = math.nan if isinstance(sigma, bool | str | bytes) else float(sigma)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0.0 < number <= LARGEST_SIGMA:
        raise InvalidParameter(f"sigma must be a number above 0 and at most {LARGEST_SIGMA:g}")
    return number


@lru_cache(maxsize=32)
def _build(sigma: float) -> GaussianTable:
    tails, variation = _upper_tails(sigma)
    thresholds = (*reversed(tails), *(2**64 - t for t in tails))
    reach = len(tails)
    exact = np.array(thresholds, dtype=np.uint64)

    starts = np.arange(HEADS, dtype=np.uint64) << np.uint64(48)
    passed = np.searchsorted(exact, starts, side="right")  # when u is at the start of a cell
    inside = np.searchsorted(exact, starts + np.uint64(2**48 - 1), side="right") - passed
    single, several = np.flatnonzero(inside == 1), np.flatnonzero(inside > 1)
    first = (passed - reach).astype(np.int16)
    cells = np.concatenate([single, several])
    first[cells] = np.arange(cells.size) - CODES
    heads = np.zeros(CODES, dtype=np.uint16)
    heads[: cells.size] = cells
    entries = np.zeros(CODES, dtype=np.int32)
    cut = (exact[passed[single]] >> np.uint64(32)).astype(np.int64) & 0xFFFF
    entries[: single.size] = ((passed[single] - reach) << 16) + OPEN - cut

    prefixes = (exact >> np.uint64(32)).astype(np.int64)
    edges = np.union1d(prefixes, prefixes + 1)
    edges = edges[edges < 2**32]
    tail_entries = (np.searchsorted(prefixes, edges, side="left") - reach) << 16
    tail_entries[np.isin(edges, prefixes)] += OPEN
    table = GaussianTable(
        sigma=sigma,
        thresholds=thresholds,
        reach=reach,
        total_variation=variation,
        first=first,
        entries=entries,
        heads=heads,
        several_from=single.size - CODES,
        edges=edges.astype(np.uint32),
        tail_entries=np.concatenate([[-reach << 16], tail_entries]).astype(np.int32),
    )
    for array in (first, entries, heads, table.edges, table.tail_entries):
        array.setflags(write=False)  # shared by all threads
    return table


def gaussian_table(sigma: float) -> GaussianTable:
    """Return the table of σ; built once per process (0.1 s at σ = 1), then kept.

    Args:
        sigma: standard deviation on the [0, 1] scale, 0 < σ ≤ 2, read as the decimal number that
            Python prints for it.

    Raises:
        InvalidParameter: if σ is out of range.
    """
    return _build(check_sigma(sigma))
