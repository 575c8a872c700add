"""What is done to a trained network's pictures: the mean of both ways, once more, contrast."""

import pytest
import torch

from denoisers.finish import Finish, both_ways, with_contrast


def leaning(noisy, sigma):
    """A network that errs to the left: it adds a ramp."""
    ramp = torch.linspace(0, 1, noisy.shape[3]).view(1, 1, 1, -1)
    return noisy + sigma.view(-1, 1, 1, 1) * ramp


def test_an_error_to_one_side_is_gone_in_the_mean_of_both_ways():
    noisy, sigma = torch.rand(3, 3, 5, 9), torch.tensor([0.1, 0.5, 1.0])
    expected = noisy + (sigma / 2).view(-1, 1, 1, 1)
    assert torch.allclose(both_ways(leaning, noisy, sigma), expected, atol=1e-6)


def test_a_mirrored_picture_is_cleaned_to_the_mirrored_result():
    def steep(noisy, sigma):
        return leaning(noisy, sigma).cumsum(3)

    noisy, sigma = torch.rand(2, 3, 4, 7), torch.full((2,), 0.3)
    one, other = both_ways(steep, noisy, sigma), both_ways(steep, noisy.flip(3), sigma)
    assert torch.allclose(one, other.flip(3), atol=1e-5)
    assert not torch.allclose(one, steep(noisy, sigma), atol=1e-2)


@pytest.mark.parametrize("percent", [0, 50, 100, 130])
def test_contrast_keeps_each_picture_s_mean_and_scales_what_is_around_it(percent):
    cleaned = torch.rand(3, 3, 6, 8, dtype=torch.float64)
    seen = with_contrast(cleaned, percent)
    for before, after in zip(cleaned, seen, strict=True):
        assert after.mean().item() == pytest.approx(before.mean().item(), abs=1e-12)
        spread = percent / 100 * (before - before.mean())
        assert torch.allclose(after - after.mean(), spread, atol=1e-12)


def test_as_it_is_nothing_is_computed():
    cleaned = torch.rand(1, 3, 4, 4)
    assert with_contrast(cleaned, 100) is cleaned


def test_as_usual_the_network_is_called_once_and_no_more_is_done():
    noisy, sigma = torch.rand(2, 3, 4, 4), torch.tensor([0.1, 0.2])
    assert Finish().arguments() == {}
    assert torch.equal(Finish().clean(leaning, noisy, sigma), leaning(noisy, sigma))


def test_the_result_is_cleaned_again_at_the_level_that_is_named():
    asked = []

    def halving(noisy, sigma):
        asked.append(sigma.tolist())
        return noisy / 2

    noisy, sigma = torch.rand(2, 3, 4, 6), torch.tensor([0.25, 0.5])
    finish = Finish(mirror=1, again=8, contrast=150)
    cleaned = finish.clean(halving, noisy, sigma)
    assert torch.allclose(cleaned, with_contrast(noisy / 4, 150))
    assert asked[:2] == [[0.25, 0.5]] * 2
    assert asked[2:] == [pytest.approx([0.08, 0.08])]
    assert finish.arguments() == {"mirror": 1, "again": 8, "contrast": 150}


@pytest.mark.parametrize("shape", [(1, 3, 512, 512), (4, 3, 17, 33), (2, 3, 96, 96)])
def test_contrast_does_not_hang_on_threads_or_on_the_batch(shape):
    """Torch parts the sum over a single picture among its threads."""
    cleaned = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            seen.append(with_contrast(cleaned, 130))
            seen.append(torch.cat([with_contrast(one[None], 130) for one in cleaned]))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(seen[0], other) for other in seen[1:])
