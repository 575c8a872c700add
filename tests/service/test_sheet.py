"""The sheet: every cell holds what it says."""

import io

import numpy as np
from PIL import Image

from certification.noise import draw
from denoisers import registry
from service.sheet import KEY, LEAST_CELL, Cell, rows, sheet

PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def test_cells_are_the_samples_of_the_public_key():
    none = registry.load("none")
    made = rows(PICTURE, [0.1, 0.5], [none, none], index=3)
    assert [len(row) for row in made] == [4, 4]
    for row, sigma in zip(made, (0.1, 0.5), strict=True):
        noisy = (draw(KEY, 3, PICTURE.shape, sigma) + PICTURE).clip(0, 255)
        assert np.array_equal(row[0].pixels, PICTURE)
        assert np.array_equal(row[1].pixels, noisy)
        assert np.array_equal(row[2].pixels, none.clean(noisy.astype(np.int16)[None], sigma)[0])
        assert row[1].title == f"noise, sigma = {sigma:g}"
        error = np.square(noisy.astype(float) - PICTURE).mean()
        assert row[1].note == f"PSNR {10 * np.log10(255**2 / error):.2f} dB"
    other = rows(PICTURE, [0.1], [none], index=4)
    assert not np.array_equal(other[0][1].pixels, made[0][1].pixels)


def test_a_small_picture_is_enlarged_pixel_by_pixel():
    cells = [[Cell(PICTURE, "a", "identical")] * 2] * 3
    page = np.asarray(Image.open(io.BytesIO(sheet(cells))))
    scale = LEAST_CELL // 32
    enlarged = PICTURE.repeat(scale, 0).repeat(scale, 1)
    found = page[12 : 12 + 24 * scale, 12 : 12 + 32 * scale]
    assert np.array_equal(found, enlarged)
    below = page[12 + 24 * scale : 12 + 24 * scale + 40]
    assert below.min() < 100  # something is written there
    assert below.max() == 255


def test_a_large_picture_is_reduced():
    large = np.zeros((900, 300, 3), np.uint8)
    page = Image.open(io.BytesIO(sheet([[Cell(large, "", "")]])))
    assert page.height < 500


def test_the_picture_itself_is_said_to_be_identical():
    none = registry.load("none")
    assert rows(PICTURE, [1e-9], [none])[0][1].note == "identical"
