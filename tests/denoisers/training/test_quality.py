"""What is measured on pictures that were held out."""

import numpy as np
import pytest
import torch
from torch import nn

from denoisers.training.checks import TorchCheck
from denoisers.training.quality import kept, quality, shown, spread
from tests.denoisers.training.scenes import Brightness, held, waves


class Perfect(nn.Module):
    """Knows the pictures' only value; or returns what it gets."""

    def __init__(self, value=None):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.value = value

    def forward(self, noisy, sigma):
        assert not self.training
        assert sigma.shape == (len(noisy),)
        return noisy if self.value is None else torch.full_like(noisy, self.value)


def grey(count=4, side=40):
    return held([np.full((side, side, 3), 128, dtype=np.uint8)] * count)


def test_psnr_of_what_is_known():
    figures = quality(Perfect(0.6), grey(), (0.1, 0.5))
    assert set(figures) == {"0.1", "0.5"}
    expected = -20 * np.log10(0.6 - 128 / 255)
    assert figures["0.1"]["denoised"] == pytest.approx(expected, abs=0.01)
    assert figures["0.1"]["noisy"] == pytest.approx(20, abs=0.3)
    assert quality(Perfect(), grey(), (0.1,))["0.1"]["denoised"] == figures["0.1"]["noisy"]


def test_the_same_figures_each_time_and_a_count_on_the_way():
    seen = []
    one = quality(Perfect(), waves(6), (0.1, 0.5), watch=lambda *now: seen.append(now))
    assert seen == [(i + 1, 12) for i in range(12)]
    assert quality(Perfect(), waves(6), (0.1, 0.5)) == one


def test_the_share_of_answers_that_are_kept():
    halves = []
    for i in range(10):
        array = np.full((16, 16, 3), 100, dtype=np.uint8)
        array[8:] += 100 if i % 2 else 0  # the lower half is brighter, or neither
        halves.append(array)
    check = TorchCheck("halves", Brightness(), 16)
    assert [check.answer(picture) for picture in halves] == [0, 1] * 5
    assert kept(Perfect(), held(halves), [check], (0.0001,)) == {"halves": {"0.0001": 1.0}}
    flat = kept(Perfect(0.5), held(halves), [check], (0.1, 0.5))
    assert flat == {"halves": {"0.1": 0.5, "0.5": 0.5}}


class Sizes:
    name = "sizes"

    def __init__(self, size):
        self.size, self.seen = size, []

    def answer(self, picture):
        self.seen.append((picture.shape, picture.dtype))
        return 0


def test_pictures_are_brought_to_the_classifier_s_size_before_the_noise():
    check = Sizes((24, 32))
    assert kept(Perfect(), waves(3), [check], (0.5,)) == {"sizes": {"0.5": 1.0}}
    assert set(check.seen) == {((24, 32, 3), np.dtype(np.uint8))}
    any_size = Sizes(None)
    kept(Perfect(), held([np.zeros((20, 700, 3), dtype=np.uint8)]), [any_size], (0.5,))
    assert {shape for shape, _ in any_size.seen} == {(20, 512, 3)}


def test_what_is_shown_lies_within_what_was_learnt():
    assert shown(0.05, 1.0) == (0.1, 0.25, 0.5, 1.0)
    assert shown(0.2, 0.6) == (0.25, 0.5)
    assert shown(0.3, 0.4) == (0.3, 0.4)
    assert shown(0.3, 0.3) == (0.3,)


def test_many_and_large_pictures_are_measured_in_part():
    many = held([np.zeros((8, 8, 3), dtype=np.uint8)] * 50)
    assert spread(many, 1000) == list(range(50))
    assert spread(many, 5) == [0, 12, 24, 37, 49]
    assert len(spread(many, 1000, (2048, 2048))) == 4
