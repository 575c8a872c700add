"""The table is held against integer arithmetic that shares nothing with mpmath's erfc."""

import math
from fractions import Fraction
from functools import cache
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certification.errors import InvalidParameter
from certification.gaussian_table import CODES_BELOW, OPEN, check_sigma, gaussian_table

SIGMAS = (0.05, 0.1, 0.25, 1.0, 2.0)
BITS = 256


@cache
def cell_masses(sigma):
    """2^BITS · P(K = k) for k = 0, 1, …, by Taylor series around k.

    ∫ φ over [z − h, z + h] = 2h·φ(z)·Σ_j He_2j(z)·h^2j/(2j + 1)!, with z = k/s and h = 1/2s; φ and
    the Hermite polynomials by their recurrences, in integers.
    """
    one = 1 << BITS
    s = 255 * Fraction(repr(sigma))
    context = mpmath.MPContext()
    context.prec = BITS + 64

    def fixed(x):
        return int(context.ldexp(x, BITS))

    real = context.mpf(s.numerator) / s.denominator
    step = fixed(1 / real)
    mass = fixed(1 / (real * context.sqrt(2 * context.pi)))
    shrink, faster = fixed(context.exp(-1 / (2 * real**2))), fixed(context.exp(-1 / real**2))
    h2 = 1 / (4 * s * s)
    terms = []
    while h2 ** len(terms) > Fraction(1, 1 << BITS):
        terms.append(int(one * h2 ** len(terms) / math.factorial(2 * len(terms) + 1)))
    masses, z = [], 0
    for _ in range(int(10 * s) + 2):
        even, odd, total = one, z, 0
        for j, term in enumerate(terms):
            total += even * term >> BITS
            even = (z * odd >> BITS) - (2 * j + 1) * even
            odd = (z * even >> BITS) - (2 * j + 2) * odd
        masses.append(mass * total >> BITS)
        mass, shrink, z = mass * shrink >> BITS, shrink * faster >> BITS, z + step
    return masses


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_check_itself_adds_up_to_one(sigma):
    masses = cell_masses(sigma)
    off = masses[0] + 2 * sum(masses[1:]) - (1 << BITS)
    beyond = int(mpmath.ldexp(mpmath.erfc(10 / mpmath.sqrt(2)), BITS))  # the law ends at 10 s
    assert abs(off) < 2 * beyond


@pytest.mark.parametrize("sigma", SIGMAS)
def test_thresholds_are_the_rounded_cdf(sigma):
    table = gaussian_table(sigma)
    masses = cell_masses(sigma)
    # P(K > j) = ½ − P(0)/2 − P(1) − … − P(j)
    tail = (1 << BITS - 1) - masses[0] // 2
    upper = []
    for mass in masses[1:]:
        upper.append((tail + (1 << BITS - 65)) >> BITS - 64)
        tail -= mass
    upper = [t for t in upper if t]
    assert table.reach == len(upper)
    assert list(table.thresholds) == upper[::-1] + [2**64 - t for t in upper]


def test_sigma_is_the_decimal_number_that_was_written():
    # The binary neighbour of 0.1 would move the thresholds by some 64 units.
    with mpmath.workprec(200):
        s = 255 * mpmath.mpf(0.1)
        binary = int(mpmath.nint(mpmath.ldexp(mpmath.erfc(10.5 / s / mpmath.sqrt(2)) / 2, 64)))
    table = gaussian_table(0.1)
    assert table.thresholds[table.reach - 11] != binary
    assert abs(table.thresholds[table.reach - 11] - binary) < 1000
    assert gaussian_table(np.float64(0.1)) is table


@pytest.mark.parametrize("sigma", SIGMAS)
def test_total_variation_is_the_distance_to_the_exact_law(sigma):
    table = gaussian_table(sigma)
    edges = [0, *table.thresholds, 2**64]
    drawn = [(b - a) << BITS - 64 for a, b in pairwise(edges)]
    exact = cell_masses(sigma)
    exact = exact[:0:-1] + exact
    outside = len(exact) // 2 - table.reach
    inner = exact[outside : len(exact) - outside]
    distance = sum(abs(d - e) for d, e in zip(drawn, inner, strict=True))
    distance += (1 << BITS) - sum(inner)  # never drawn
    distance = Fraction(distance, 2 << BITS)
    bound = Fraction(table.total_variation)
    assert distance <= bound <= distance * (1 + Fraction(1, 10**9))


def test_total_variation_keeps_its_published_size():
    assert 150_528 * gaussian_table(1.0).total_variation == pytest.approx(6.3e-12, rel=0.01)
    assert 3 * 1024**2 * gaussian_table(1.0).total_variation == pytest.approx(1.3e-10, rel=0.01)


def fast(table, u):
    """K by the look-ups of the fast path, or None if 32 bits do not settle it."""
    code = int(table.first[u >> 48])
    if code >= CODES_BELOW:
        return code
    entry = int(table.entries[code]) + (u >> 32 & 0xFFFF)
    if code >= table.several_from:
        prefix = np.uint32(u >> 32)
        entry = int(table.tail_entries[np.searchsorted(table.edges, prefix, side="right")])
    return None if entry & 0xFFFF == OPEN else entry >> 16


@settings(deadline=None, max_examples=250)
@given(st.data())
def test_fast_look_ups_agree_with_the_definition(data):
    table = gaussian_table(data.draw(st.sampled_from(SIGMAS)))
    which = data.draw(st.integers(-1, 2 * table.reach - 1))
    anchor = table.thresholds[which] if which >= 0 else data.draw(st.integers(0, 2**64 - 1))
    distance = data.draw(st.sampled_from([0, 1, 2**31, 2**32, 2**33, 2**47, 2**48]))
    sign = data.draw(st.sampled_from([-1, 1]))
    u = min(max(anchor + sign * distance, 0), 2**64 - 1)
    got = fast(table, u)
    if got is None:  # 32 bits leave it open only where a threshold shares them
        assert any(t >> 32 == u >> 32 for t in table.thresholds)
    else:
        assert got == table.value(u)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_every_settled_head_is_settled_rightly(sigma):
    table = gaussian_table(sigma)
    for head, value in enumerate(table.first.tolist()):
        low, high = table.value(head << 48), table.value((head << 48) + 2**48 - 1)
        assert (low == high == value) if value >= CODES_BELOW else low < high


def test_the_law_is_symmetric():
    table = gaussian_table(0.25)
    for u in (0, 1, 12345, 2**40, 2**62 + 99, 2**63 - 1):
        assert table.value(u) == -table.value(2**64 - 1 - u)


def test_tiny_sigma_never_moves_a_pixel():
    table = gaussian_table(1e-300)
    assert table.reach == 0
    assert not table.first.any()
    assert 0 < table.total_variation < 1e-30


def test_tables_are_built_once_and_cannot_be_written():
    table = gaussian_table(0.25)
    assert gaussian_table(0.25) is table
    with pytest.raises(ValueError, match="read-only"):
        table.first[0] = 1


@pytest.mark.parametrize(
    "sigma", [0, 0.0, -0.25, math.nan, math.inf, -math.inf, 2.0000001, 10**400, "0.25", None, True]
)
def test_bad_sigma_is_refused(sigma):
    with pytest.raises(InvalidParameter, match="sigma"):
        check_sigma(sigma)
    with pytest.raises(InvalidParameter, match="sigma"):
        gaussian_table(sigma)
