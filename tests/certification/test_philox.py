import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from certification import philox

TOP = 2**64 - 1

# Random123, kat_vectors, lines "philox4x64 10": counter, key, output.
KNOWN_ANSWERS = [
    (
        (0, 0, 0, 0),
        (0, 0),
        (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B),
    ),
    (
        (TOP, TOP, TOP, TOP),
        (TOP, TOP),
        (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0),
    ),
    (
        (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
        (0x452821E638D01377, 0xBE5466CF34E90C6C),
        (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6),
    ),
]
KEY = (0x452821E638D01377, 0xBE5466CF34E90C6C)


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN_ANSWERS)
def test_block_gives_the_published_answers(counter, key, output):
    assert philox.block(counter, key) == output


def test_key_bytes_are_little_endian_words():
    assert philox.key_words(bytes(range(16))) == (0x0706050403020100, 0x0F0E0D0C0B0A0908)


@pytest.mark.parametrize("number", [0, 1, 7, 2**32, TOP - 2])
@pytest.mark.parametrize("level", [0, 1, 3])
def test_words_are_the_blocks_in_order(number, level):
    # Index 0 and number 0 borrow through the whole counter when numpy starts one below.
    indices = (0, 1, 5, 2**63, TOP)
    words = philox.words(KEY, number, indices, level, 12)
    assert words.dtype == np.uint64
    for row, index in zip(words.tolist(), indices, strict=True):
        blocks = [philox.block((number + i, 0, index, level), KEY) for i in range(3)]
        assert row == [word for block in blocks for word in block]


def test_words_of_one_stretch_equal_those_of_many():
    many = philox.words(KEY, 3, range(9), 0, 64)
    assert all((philox.words(KEY, 3, (i,), 0, 64)[0] == many[i]).all() for i in range(9))


def test_neighbours_share_no_block():
    rows = philox.words(KEY, 0, range(40), 0, 64).tolist()
    rows += philox.words(KEY, 0, range(40), 1, 64).tolist()
    assert len({word for row in rows for word in row}) == 80 * 64


def test_threads_do_not_disturb_each_other():
    expected = [philox.words(KEY, i, (i,), 0, 4096) for i in range(8)]
    together = threading.Barrier(8)

    def work(i):
        together.wait()
        return all((philox.words(KEY, i, (i,), 0, 4096) == expected[i]).all() for _ in range(60))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
