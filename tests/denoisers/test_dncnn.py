"""DnCNN: the network of the paper, and its folded form."""

import pytest
import torch
from torch import nn

from denoisers.dncnn import DnCNN


def trained(depth=5, width=8, norm=1):
    """A network whose normalisation does something."""
    torch.manual_seed(0)
    network = DnCNN(depth, width, norm)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network


def test_the_size_that_the_paper_tells():
    network = DnCNN()
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 17
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == 15
    assert 0.55e6 < sum(p.numel() for p in network.parameters()) < 0.57e6
    assert network.arguments == {"depth": 17, "width": 64, "norm": 1}


@pytest.mark.parametrize("norm", [0, 1])
@pytest.mark.parametrize("size", [(1, 1), (7, 12), (32, 32)])
def test_any_size(norm, size):
    network = trained(norm=norm).eval()
    cleaned = network(torch.rand(2, 3, *size), torch.full((2,), 0.25))
    assert cleaned.shape == (2, 3, *size)
    assert cleaned.dtype == torch.float32


def test_it_finds_the_noise_and_takes_it_away():
    network = trained().eval()
    nn.init.zeros_(network.tail.weight)
    nn.init.constant_(network.tail.bias, 0.25)
    noisy = torch.rand(1, 3, 4, 4)
    assert torch.allclose(network(noisy, torch.ones(1)), noisy - 0.25)


@pytest.mark.parametrize("depth", [2, 3, 6])
@pytest.mark.parametrize("norm", [0, 1])
def test_folded_is_the_same_function(depth, norm):
    network = trained(depth, norm=norm)
    folded = network.folded()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    noisy, sigma = torch.rand(2, 3, 9, 8), torch.full((2,), 0.25)
    assert torch.allclose(folded(noisy, sigma), network.eval()(noisy, sigma), atol=1e-5)
    plain = DnCNN(**folded.arguments)
    plain.load_state_dict(folded.state_dict(), strict=True)


def test_folding_leaves_the_network_as_it_was():
    network = trained()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    folded = network.folded()
    with torch.no_grad():
        for parameter in folded.parameters():
            parameter.zero_()
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(module.training for module in network.modules())
    assert network.arguments["norm"] == 1


def test_in_bfloat16_the_picture_itself_stays_exact():
    network = trained().folded().to(torch.bfloat16)
    nn.init.zeros_(network.tail.weight)
    nn.init.zeros_(network.tail.bias)
    noisy = torch.rand(1, 3, 4, 4)
    assert torch.equal(network(noisy, torch.ones(1)), noisy)


@pytest.mark.parametrize("arguments", [(1, 8, 1), (0, 8, 1), (3, 0, 1), (3, 8, 2), (3, 8, -1)])
def test_arguments_that_make_no_network(arguments):
    with pytest.raises(ValueError, match="a DnCNN has"):
        DnCNN(*arguments)
