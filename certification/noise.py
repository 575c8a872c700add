"""Noise: exact, keyed, replayable.

A picture x on the 1/255 grid turns ε ~ N(0, σ²) after rounding into x + K with integers K, so the
noise is drawn as integers from the start and no floating-point attack finds a hold (Voráček and
Hein, ICLR 2023). K depends on (key, index, position, σ) alone:

    u  = 64 bits; bits 63−16w … 48−16w are quarter e % 4 of word (e % 16)//4 of the Philox block
         with counter (e//16, 0, index, w), for w = 0, 1, 2, 3
    K  = the rounded Gaussian's inverse CDF at u        (certification.gaussian_table)

with e the element's position in C order and quarters counted from the low end. Most elements are
settled by w = 0; the fast path asks for the others only where they decide. docs/noise.md has the
test vectors.
"""

import hashlib
import hmac
import math
import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from certification import philox
from certification.errors import InvalidParameter
from certification.gaussian_table import CODES_BELOW, OPEN, GaussianTable, gaussian_table

Noise = NDArray[np.int16]

LEAST_MARGIN = 1e-11  # covers the rounding of the confidence process itself
BLOCK_ELEMENTS = 16
CHUNK = 2**18  # elements worked on together, a multiple of 16; bounds the scratch memory


def derive_key(secret: bytes, subject: bytes) -> bytes:
    """Return the noise key of a subject: the first 128 bits of HMAC-SHA256(secret, subject).

    Args:
        secret: the deployment's secret, at least 16 bytes. Whoever knows it can search for
            pictures with lucky noise.
        subject: canonical bytes of the subject.

    Raises:
        InvalidParameter: if the secret is shorter.
    """
    if len(secret) < philox.KEY_BYTES:
        raise InvalidParameter(f"the secret of the noise needs at least {philox.KEY_BYTES} bytes")
    return hmac.digest(secret, subject, "sha256")[: philox.KEY_BYTES]


def key_sha256(key: bytes) -> str:
    """Return the commitment to a noise key that goes on the certificate, in hex.

    Raises:
        InvalidParameter: if the key is not 16 bytes.
    """
    return hashlib.sha256(_checked_key(key)).hexdigest()


def null_margin(sigma: float, dimension: int) -> float:
    """Return what is added to a tested null: max(10⁻¹¹, d·TV(σ)).

    d independent elements are together within d·TV(σ) of the exact noise in total variation, so
    no classifier's vote probability is off by more.

    Args:
        sigma: noise level on the [0, 1] scale, 0 < σ ≤ 2.
        dimension: d = H·W·3 of the canonical picture, at least 1.

    Raises:
        InvalidParameter: if an argument is out of range.
    """
    table = gaussian_table(sigma)
    d = _checked_uint64("dimension", dimension)
    if d == 0:
        raise InvalidParameter("dimension must be at least 1")
    return max(LEAST_MARGIN, math.nextafter(d * table.total_variation, math.inf))


def draw(key: bytes, index: int, shape: Sequence[int], sigma: float) -> Noise:
    """Draw the noise of one sample; noisy = picture + K on the 0..255 scale, not clipped.

    Args:
        key: 16 bytes, see :func:`derive_key`.
        index: of the sample, 0 ≤ index < 2⁶⁴.
        shape: of the result, usually (H, W, 3).
        sigma: noise level on the [0, 1] scale, 0 < σ ≤ 2.

    Returns:
        K, int16 of this shape, |K| ≤ 4,669; the same on every machine.

    Raises:
        InvalidParameter: if an argument is out of range.
    """
    noise: Noise = draw_many(key, (index,), shape, sigma)[0]
    return noise


def draw_many(
    key: bytes,
    indices: Sequence[int],
    shape: Sequence[int],
    sigma: float,
    out: Noise | None = None,
) -> Noise:
    """Draw the noise of several samples at once, bit-identical to :func:`draw` of each.

    Args:
        key: 16 bytes, see :func:`derive_key`.
        indices: of the samples, in any order; `range(start, start + count)` for a stretch.
        shape: of one sample, usually (H, W, 3).
        sigma: noise level on the [0, 1] scale, 0 < σ ≤ 2.
        out: where to write, int16 (N, *shape), C-contiguous; a new array if not given.

    Returns:
        K, int16 (N, *shape).

    Raises:
        InvalidParameter: if an argument is out of range or `out` does not fit.
    """
    key_words = philox.key_words(_checked_key(key))
    checked = [_checked_uint64("index", i) for i in indices]
    sample_shape = _checked_shape(shape)
    table = gaussian_table(sigma)
    full = (len(checked), *sample_shape)
    if out is None:
        out = np.empty(full, dtype=np.int16)
    elif not isinstance(out, np.ndarray) or out.shape != full or out.dtype != np.int16:
        raise InvalidParameter(f"out must be an int16 array of shape {full}")
    elif not (out.flags.carray and out.dtype.isnative):
        raise InvalidParameter("out must be C-contiguous, writable and in native byte order")
    size = math.prod(sample_shape)
    flat = out.reshape(len(checked), size)
    group = max(1, CHUNK // size)
    width = min(size, CHUNK)
    for row in range(0, len(checked), group):
        some = checked[row : row + group]
        for start in range(0, size, width):
            _fill(flat[row : row + group, start : start + width], key_words, some, start, table)
    return out


def element(key: bytes, index: int, position: int, sigma: float) -> int:
    """Rebuild one element alone, in pure Python integers: the definition of the noise.

    Args:
        key: 16 bytes, see :func:`derive_key`.
        index: of the sample, 0 ≤ index < 2⁶⁴.
        position: of the element in C order; for (H, W, 3) row·W·3 + column·3 + channel.
        sigma: noise level on the [0, 1] scale, 0 < σ ≤ 2.

    Raises:
        InvalidParameter: if an argument is out of range.
    """
    key_words = philox.key_words(_checked_key(key))
    sample = _checked_uint64("index", index)
    return _settle(key_words, sample, _checked_uint64("position", position), gaussian_table(sigma))


def _settle(key: philox.Key, index: int, position: int, table: GaussianTable) -> int:
    """Look up one element with all of its 64 bits."""
    number, place = divmod(position, BLOCK_ELEMENTS)
    u = 0
    for level in range(4):
        word = philox.block((number, 0, index, level), key)[place // 4]
        u = u << 16 | (word >> 16 * (place % 4) & 0xFFFF)
    return table.value(u)


def _bits(
    key: philox.Key, indices: Sequence[int], start: int, width: int, level: int
) -> NDArray[np.uint16]:
    """Return 16 bits for `width` elements of each sample from position `start`, a multiple of 16.

    Returns:
        uint16 (len(indices), width), little-endian.
    """
    count = -(-width // BLOCK_ELEMENTS) * philox.BLOCK_WORDS
    raw = philox.words(key, start // BLOCK_ELEMENTS, indices, level, count)
    return raw.astype("<u8", copy=False).view("<u2")[:, :width]


def _fill(
    out: Noise, key: philox.Key, indices: Sequence[int], start: int, table: GaussianTable
) -> None:
    """Write K of samples `indices` at positions start, start + 1, … to `out`, int16 (N, width)."""
    width = out.shape[1]
    # Every head is a valid index; "clip" only spares numpy the check and a buffer.
    table.first.take(_bits(key, indices, start, width, 0), out=out, mode="clip")
    flat = out.reshape(-1)
    places = np.flatnonzero(flat < CODES_BELOW)
    if places.size == 0:
        return
    codes = flat[places]
    bits = _bits(key, indices, start, width, 1).reshape(-1)[places]
    entries = table.entries[codes]
    entries += bits
    several = np.flatnonzero(codes >= table.several_from)
    if several.size:
        prefixes = table.heads[codes[several]].astype(np.uint32) << 16 | bits[several]
        passed = table.edges.searchsorted(prefixes, side="right")
        entries[several] = table.tail_entries[passed]
    flat[places] = entries >> 16
    still = np.flatnonzero(entries.astype(np.uint16) == OPEN)
    for place in places[still].tolist():  # about 2⁻¹⁶ of them: one by one
        flat[place] = _settle(key, indices[place // width], start + place % width, table)


def _checked_key(key: bytes) -> bytes:
    if not isinstance(key, bytes) or len(key) != philox.KEY_BYTES:
        raise InvalidParameter(f"a noise key is {philox.KEY_BYTES} bytes")
    return key


def _checked_uint64(name: str, number: int) -> int:
    try:
        value = -1 if isinstance(number, bool) else operator.index(number)
    except TypeError:
        value = -1
    if not 0 <= value <= philox.MASK:
        raise InvalidParameter(f"{name} must be a whole number from 0 to 2**64 - 1")
    return value


def _checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    try:
        sides = tuple(0 if isinstance(n, bool) else operator.index(n) for n in shape)
    except TypeError:
        sides = ()
    if not sides or min(sides) < 1:
        raise InvalidParameter("a shape is a sequence of whole numbers of at least 1: (H, W, 3)")
    return sides
