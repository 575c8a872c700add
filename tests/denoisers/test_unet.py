"""The U-shaped denoiser: any size, told the noise level of each picture."""

import pytest
import torch
from torch import nn

from denoisers.finish import Finish
from denoisers.preconditioning import CENTRE, SPREAD
from denoisers.unet import UNet

SMALL = {"width": 4, "half": 1, "quarter": 1, "eighth": 1}


def trained(**arguments):
    """A network whose learnt part does something."""
    torch.manual_seed(0)
    network = UNet(**(arguments or SMALL)).eval()
    nn.init.normal_(network.tail.weight, std=0.1)
    return network


def silent():
    """A network that has nothing to add to what is kept of the picture."""
    network = UNet(**SMALL)
    nn.init.zeros_(network.tail.bias)
    return network


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (4, 4), (4, 12), (7, 8), (8, 8), (33, 31)])
def test_any_size(size):
    cleaned = trained()(torch.rand(2, 3, *size), torch.tensor([0.0, 0.9]))
    assert cleaned.shape == (2, 3, *size)
    assert cleaned.dtype == torch.float32
    assert cleaned.isfinite().all()


@pytest.mark.parametrize("sigma", [0.05, 0.25, 1.0, 2.0])
def test_without_what_is_learnt_it_is_the_best_linear_guess(sigma):
    noisy = torch.rand(1, 3, 8, 8)
    kept = SPREAD**2 / (SPREAD**2 + sigma**2)
    expected = CENTRE + kept * (noisy - CENTRE)
    assert torch.allclose(silent()(noisy, torch.full((1,), sigma)), expected, atol=1e-6)


def test_each_picture_has_its_own_level():
    network, noisy = trained(), torch.rand(1, 3, 8, 8).repeat(3, 1, 1, 1)
    levels = torch.tensor([0.1, 0.5, 0.1])
    first, second, third = network(noisy, levels)
    assert torch.allclose(first, third, atol=1e-6)
    assert not torch.allclose(first, second, atol=1e-3)
    assert torch.allclose(network(noisy[:1], levels[1:2])[0], second, atol=1e-6)


def test_in_bfloat16_the_picture_itself_stays_exact():
    noisy, level = torch.rand(1, 3, 8, 8), torch.full((1,), 0.25)
    assert torch.equal(silent().to(torch.bfloat16)(noisy, level), silent()(noisy, level))


def test_the_arguments_build_the_same_network_again():
    network = trained(width=6, half=2, quarter=0, eighth=1)
    again = UNet(**network.arguments)
    again.load_state_dict(network.state_dict(), strict=True)


def test_the_finish_is_for_the_trained_network_alone():
    """While it trains it learns from what it computes itself."""
    plain = trained()
    finished = UNet(**SMALL, mirror=1, again=5, contrast=130)
    finished.load_state_dict(plain.state_dict())
    noisy, level = torch.rand(2, 3, 11, 16), torch.tensor([0.2, 0.6])
    assert torch.equal(finished.train()(noisy, level), plain(noisy, level))
    both = (plain(noisy, level) + plain(noisy.flip(3), level).flip(3)) / 2
    again = plain(both, torch.full((2,), 0.05))
    middle = again.mean((1, 2, 3), keepdim=True)
    expected = middle + 1.3 * (again - middle)
    assert torch.allclose(finished.eval()(noisy, level), expected, atol=1e-6)


def test_arguments_name_the_finish_where_there_is_any():
    """Weights files and checkpoints written before there were any stay what they are."""
    assert UNet(**SMALL, mirror=0, again=0, contrast=100).arguments == SMALL
    assert UNet(**SMALL, mirror=1).arguments == SMALL | {"mirror": 1}
    finished = UNet(**SMALL).grown({"mirror": 1, "again": 5, "contrast": 130})
    assert finished.arguments == SMALL | {"mirror": 1, "again": 5, "contrast": 130}


def test_finished_anew_it_has_learnt_the_same_and_forgets_how_it_was_used():
    network = trained(**SMALL, again=5)
    made = network.finished(Finish(mirror=1))
    assert made.arguments == SMALL | {"mirror": 1}
    assert not made.training
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in made.state_dict().items())


def test_an_odd_size_is_mirrored_at_its_edge():
    """Repeating the last row would show the network stripes where it expects noise."""
    network, level = trained(), torch.full((1,), 0.3)
    noisy = torch.rand(1, 3, 13, 22)
    mirrored = nn.functional.pad(noisy, (0, 2, 0, 3), mode="reflect")
    expected = network(mirrored, level)[:, :, :13, :22]
    assert torch.allclose(network(noisy, level), expected, atol=1e-6)
