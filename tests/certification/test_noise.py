import hashlib
import hmac
import math
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import chi2

from certification import noise, philox
from certification.errors import InvalidParameter
from certification.gaussian_table import CODES_BELOW, gaussian_table

KEY = bytes(range(16))
OTHER = bytes.fromhex("00112233445566778899aabbccddeeff")
SIGMAS = (0.05, 0.25, 1.0, 2.0)
keys = st.binary(min_size=16, max_size=16)
uint64 = st.integers(0, 2**64 - 1)


def chi_square(drawn, sigma, width=1):
    """p-value of Pearson's test against the exact law, in bins of `width` integers.

    The bins go on as long as 20 draws are expected in each; one more on either side has the rest.
    """
    s = 255 * sigma
    bins = 1  # on either side of the middle one
    while drawn.size * (ndtr(-(bins - 0.5) * width / s) - ndtr(-(bins + 0.5) * width / s)) > 20:
        bins += 1
    cuts = (np.arange(1, bins + 1) - 0.5) * width / s
    upper = ndtr(-cuts)  # the lower tails, where doubles keep their relative precision
    cells = np.append(upper[:-1] - upper[1:], upper[-1])
    law = np.concatenate([cells[::-1], [1 - 2 * upper[0]], cells])
    number = np.clip((drawn.ravel() + width // 2) // width, -bins, bins) + bins
    expected = law * drawn.size
    seen = np.bincount(number, minlength=law.size)
    return chi2.sf(((seen - expected) ** 2 / expected).sum(), law.size - 1)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("key", [KEY, OTHER])
def test_drawn_noise_follows_the_exact_law(key, sigma):
    drawn = noise.draw_many(key, range(14), (224, 224, 3), sigma)
    wide = int(255 * sigma / 8) | 1  # odd, so that bins end between integers
    assert chi_square(drawn, sigma) > 1e-3
    assert chi_square(drawn, sigma, wide) > 1e-3
    assert chi_square(drawn, 1.01 * sigma, wide) < 1e-9  # the test sees a wrong sigma


def by_definition(key, index, position, sigma):
    """The module's docstring once more, with nothing shared but the block and the thresholds."""
    words = [
        philox.block((position // 16, 0, index, w), philox.key_words(key))[position % 16 // 4]
        for w in range(4)
    ]
    halves = [word.to_bytes(8, "little")[position % 4 * 2 :][:2] for word in words]
    u = int.from_bytes(b"".join(half[::-1] for half in halves), "big")
    thresholds = gaussian_table(sigma).thresholds
    return bisect_right(thresholds, u) - len(thresholds) // 2


@settings(deadline=None, max_examples=40)
@given(keys, uint64, st.sampled_from((*SIGMAS, 0.1)), st.data())
def test_any_element_can_be_rebuilt_alone(key, index, sigma, data):
    shape = data.draw(st.sampled_from([(32, 32, 3), (5, 7, 3), (1,), (16,), (3, 17)]))
    drawn = noise.draw(key, index, shape, sigma).ravel()
    heads = noise._bits(philox.key_words(key), (index,), 0, drawn.size, 0)[0]
    codes = gaussian_table(sigma).first[heads]
    ambiguous = np.flatnonzero(codes < CODES_BELOW)
    several = np.flatnonzero((codes < CODES_BELOW) & (codes >= gaussian_table(sigma).several_from))
    some = st.lists(st.integers(0, drawn.size - 1), max_size=6)
    for position in [*data.draw(some), *ambiguous[:6].tolist(), *several[:6].tolist()]:
        expected = by_definition(key, index, position, sigma)
        assert drawn[position] == noise.element(key, index, position, sigma) == expected


def test_elements_that_need_more_than_32_bits_are_settled_too():
    # Two in a million at sigma 2: look for them in three million.
    sigma, shape = 2.0, (1000, 1000, 3)
    key_words = philox.key_words(KEY)
    heads, bits = (noise._bits(key_words, (9,), 0, math.prod(shape), w)[0] for w in (0, 1))
    prefixes = heads.astype(np.uint32) << 16 | bits
    known = np.array([t >> 32 for t in gaussian_table(sigma).thresholds], dtype=np.uint32)
    open_ = np.flatnonzero(np.isin(prefixes[: math.prod(shape)], known))
    assert open_.size >= 2
    drawn = noise.draw(KEY, 9, shape, sigma).ravel()
    for position in open_.tolist():
        assert drawn[position] == by_definition(KEY, 9, position, sigma)


@pytest.mark.parametrize("shape", [(32, 32, 3), (5, 7, 3), (1,), (16,), (3, 17), (40, 50, 3)])
@pytest.mark.parametrize("chunk", [16, 48, 4096, 2**18])
def test_batches_and_chunks_do_not_change_a_bit(monkeypatch, shape, chunk):
    indices = [5, 0, 2**64 - 1, 3, 4, 5]
    expected = [noise.draw(OTHER, i, shape, 1.0) for i in indices]
    monkeypatch.setattr(noise, "CHUNK", chunk)
    assert (noise.draw_many(OTHER, indices, shape, 1.0) == expected).all()
    assert all(
        (noise.draw(OTHER, i, shape, 1.0) == e).all()
        for i, e in zip(indices, expected, strict=True)
    )


def test_a_larger_picture_begins_with_the_smaller_one():
    small = noise.draw(KEY, 2, (100,), 0.5)
    assert (noise.draw(KEY, 2, (20, 20, 3), 0.5).ravel()[:100] == small).all()


def test_out_is_filled_and_returned():
    out = np.full((3, 8, 8, 3), 99, dtype=np.int16)
    assert noise.draw_many(KEY, range(4, 7), (8, 8, 3), 0.25, out=out) is out
    assert (out == noise.draw_many(KEY, [4, 5, 6], (8, 8, 3), 0.25)).all()
    assert noise.draw_many(KEY, [], (8, 8, 3), 0.25).shape == (0, 8, 8, 3)


def test_threads_draw_the_same_bits():
    shape = (64, 64, 3)
    expected = noise.draw_many(KEY, range(16), shape, 0.5)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            drawn = pool.map(lambda i: noise.draw(KEY, i, shape, 0.5), range(16))
            assert all((a == b).all() for a, b in zip(drawn, expected, strict=True))


def test_samples_are_independent_of_each_other():
    drawn = noise.draw_many(KEY, range(8), (224, 224, 3), 0.25).reshape(8, -1).astype(float)
    limit = 5 / math.sqrt(drawn.shape[1])
    for lag in (0, 1, 4, 16, 64):  # 16 elements are a block: counter = index would show there
        a, b = drawn[:-1, lag:], drawn[1:, : drawn.shape[1] - lag]
        correlation = [abs(np.corrcoef(x, y)[0, 1]) for x, y in zip(a, b, strict=True)]
        assert max(correlation) < limit
    for lag in (1, 3, 16, 672):
        assert abs(np.corrcoef(drawn[0, lag:], drawn[0, :-lag])[0, 1]) < limit


def test_samples_use_disjoint_counters(monkeypatch):
    """Every block of every sample and level has a counter of its own."""
    seen = []

    def record(key, number, indices, level, count):
        seen.extend((number + b, 0, i, level) for i in indices for b in range(count // 4))
        return words(key, number, indices, level, count)

    words = philox.words
    monkeypatch.setattr(philox, "words", record)
    noise.draw_many(KEY, range(20), (32, 32, 3), 1.0)
    assert len(seen) == len(set(seen)) == 20 * 192 * 2


def test_key_index_and_sigma_all_matter():
    base = noise.draw(KEY, 0, (16, 16, 3), 0.25)
    for key, index, sigma in [(OTHER, 0, 0.25), (KEY, 1, 0.25), (KEY, 0, 0.5)]:
        assert (noise.draw(key, index, (16, 16, 3), sigma) != base).mean() > 0.5


# Test vectors, also in docs/noise.md: key, index, sigma, first 12 of (224, 224, 3), SHA-256 of
# all as little-endian int16.
VECTORS = [
    (
        "00000000000000000000000000000000",
        0,
        0.25,
        [-55, 51, -33, -87, -98, -16, 162, 68, -85, 75, -8, 64],
        "936d5b4feb863bcb7e6dfa2b6468d4c19995dc1d18b02df9404c533742838f91",
    ),
    (
        "000102030405060708090a0b0c0d0e0f",
        0,
        0.05,
        [5, -13, 1, 2, -1, 7, -1, 10, 12, 5, -3, 8],
        "4779aa8c3879c6510667c6dd06cb0aa278d1f8c8e980fd2c1254c36a9c63b1bc",
    ),
    (
        "000102030405060708090a0b0c0d0e0f",
        1,
        0.25,
        [95, -43, -17, 41, 14, -114, -29, -26, 88, 28, -38, 27],
        "ef0c87b2dfb6cb80e722c526153d5c86a74790da89ecac838dad256882dd3a70",
    ),
    (
        "000102030405060708090a0b0c0d0e0f",
        18446744073709551615,
        0.5,
        [-103, -96, 167, -46, 137, 210, 100, 44, 55, 173, 30, 65],
        "cbd084d63d1b05626cd65e9bbaf593ca448c25f5df1fb682125edbd284ad0d1b",
    ),
    (
        "00112233445566778899aabbccddeeff",
        12345,
        1.0,
        [-125, -45, 227, 54, 573, -90, -23, 446, -29, -242, 259, 5],
        "a54d3470dfe2fe0178044d8f375d91b554dbabd861e6b8da4d1ee76ff1d77d0d",
    ),
    (
        "ffffffffffffffffffffffffffffffff",
        9223372036854775808,
        2.0,
        [348, -271, -667, -663, 102, 61, 1199, 968, 998, -29, -755, -850],
        "00e03803ac0642b307ae2744d6944064e8185da7bd0655e74b5a051ba2033184",
    ),
]


@pytest.mark.parametrize(("key", "index", "sigma", "first", "digest"), VECTORS)
def test_vectors(key, index, sigma, first, digest):
    drawn = noise.draw(bytes.fromhex(key), index, (224, 224, 3), sigma)
    assert drawn.ravel()[:12].tolist() == first
    assert hashlib.sha256(drawn.astype("<i2").tobytes()).hexdigest() == digest
    assert [noise.element(bytes.fromhex(key), index, e, sigma) for e in range(12)] == first


# Positions within (1000, 1000, 3) of sample 9 at sigma 2 that need more than 32 bits.
DEEP_VECTORS = [(230708, -343), (510928, 2693), (1624820, 2514), (2280705, 2447), (2705583, 684)]


@pytest.mark.parametrize(("position", "value"), DEEP_VECTORS)
def test_deep_vectors(position, value):
    assert noise.element(KEY, 9, position, 2.0) == value


@pytest.mark.parametrize("key", [b"", bytes(15), bytes(17), "0" * 16, None, bytearray(16)])
def test_bad_keys_are_refused(key):
    for use in (
        lambda: noise.draw(key, 0, (4,), 0.25),
        lambda: noise.draw_many(key, [0], (4,), 0.25),
        lambda: noise.element(key, 0, 0, 0.25),
        lambda: noise.key_sha256(key),
    ):
        with pytest.raises(InvalidParameter, match="key"):
            use()


@pytest.mark.parametrize("index", [-1, 2**64, 1.0, "1", None, True])
def test_bad_indices_are_refused(index):
    for use in (
        lambda: noise.draw(KEY, index, (4,), 0.25),
        lambda: noise.draw_many(KEY, [0, index], (4,), 0.25),
        lambda: noise.element(KEY, index, 0, 0.25),
        lambda: noise.element(KEY, 0, index, 0.25),
    ):
        with pytest.raises(InvalidParameter, match="whole number"):
            use()


@pytest.mark.parametrize("shape", [(), (0,), (4, -1, 3), (4.0,), ("4",), (True,), 4, None])
def test_bad_shapes_are_refused(shape):
    with pytest.raises(InvalidParameter, match="shape"):
        noise.draw(KEY, 0, shape, 0.25)


@pytest.mark.parametrize("sigma", [0, -1, math.nan, math.inf, 2.1, "1"])
def test_bad_sigmas_are_refused(sigma):
    for use in (
        lambda: noise.draw(KEY, 0, (4,), sigma),
        lambda: noise.element(KEY, 0, 0, sigma),
        lambda: noise.null_margin(sigma, 3),
    ):
        with pytest.raises(InvalidParameter, match="sigma"):
            use()


@pytest.mark.parametrize(
    "out",
    [
        np.empty((2, 5), np.int16),
        np.empty((2, 4), np.int32),
        np.empty((2, 8), np.int16)[:, ::2],
        np.empty((2, 4), np.int16).astype(">i2" if np.little_endian else "<i2"),
        [[0] * 4] * 2,
    ],
)
def test_out_that_does_not_fit_is_refused(out):
    with pytest.raises(InvalidParameter, match="out"):
        noise.draw_many(KEY, [0, 1], (4,), 0.25, out=out)


def test_a_read_only_out_is_refused():
    out = np.empty((2, 4), np.int16)
    out.setflags(write=False)
    with pytest.raises(InvalidParameter, match="writable"):
        noise.draw_many(KEY, [0, 1], (4,), 0.25, out=out)


def test_derived_key_is_half_of_hmac_sha256():
    # RFC 4231, test case 1.
    expected = bytes.fromhex("b0344c61d8db38535ca8afceaf0bf12b")
    assert noise.derive_key(b"\x0b" * 20, b"Hi There") == expected
    secret, subject = bytes(32), b"subject"
    assert noise.derive_key(secret, subject) == hmac.digest(secret, subject, "sha256")[:16]
    with pytest.raises(InvalidParameter, match="secret"):
        noise.derive_key(b"short", b"subject")


def test_the_commitment_is_plain_sha256():
    assert noise.key_sha256(KEY) == hashlib.sha256(KEY).hexdigest()


def test_null_margin():
    variation = gaussian_table(1.0).total_variation
    assert noise.null_margin(0.25, 3072) == 1e-11
    assert noise.null_margin(1.0, 3 * 1024**2) == pytest.approx(3 * 1024**2 * variation)
    assert noise.null_margin(1.0, 3 * 1024**2) > 3 * 1024**2 * variation
    for dimension in (0, -3, 1.5, None, True):
        with pytest.raises(InvalidParameter, match="dimension"):
            noise.null_margin(1.0, dimension)
