"""A network that grows computes what it did, and everything that was added learns."""

import pytest
import torch
from torch import nn

from denoisers.errors import NotUsable
from denoisers.growing import grow
from denoisers.unet import UNet

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"width": 4, "half": 1, "quarter": 1, "eighth": 1}


def moved(network, seed=0):
    """Give every parameter a value that matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.fixture
def scene():
    torch.manual_seed(1)
    return moved(UNet(**SMALL)), torch.rand(2, 3, 16, 24), torch.tensor([0.1, 0.6])


@pytest.mark.parametrize(
    "change",
    [{"width": 7}, {"half": 3}, {"quarter": 2, "eighth": 2}, {"width": 8, "half": 2, "eighth": 3}],
)
def test_it_computes_the_same(scene, change):
    network, noisy, sigma = scene
    larger = network.grown(change)
    assert larger.arguments == SMALL | change
    assert sum(p.numel() for p in larger.parameters()) > sum(
        p.numel() for p in network.parameters()
    )
    with torch.no_grad():
        assert torch.allclose(larger(noisy, sigma), network(noisy, sigma), atol=1e-5)


def test_what_is_added_learns_at_once(scene):
    network, noisy, sigma = scene
    larger = network.grown({"width": 6, "half": 2})
    larger(noisy, sigma).square().mean().backward()
    listening = larger.up1[0].first.weight.grad[:4, 4:]  # old outputs, new inputs
    assert listening.abs().min() > 0
    assert larger.up1[1].second.weight.grad.abs().max() > 0  # of a block that was added
    optimizer = torch.optim.SGD(larger.parameters(), lr=0.1)
    optimizer.step()
    optimizer.zero_grad()
    larger(noisy, sigma).square().mean().backward()
    assert larger.head.weight.grad[4:].abs().max() > 0  # new outputs, which are heard now


def test_growing_twice_is_growing_once_as_far_as_answers_go(scene):
    network, noisy, sigma = scene
    with torch.no_grad():
        twice = network.grown({"width": 6}).grown({"width": 9, "quarter": 2})(noisy, sigma)
        assert torch.allclose(twice, network(noisy, sigma), atol=1e-5)


@pytest.mark.parametrize("change", [{"width": 3}, {"half": 0}, {"width": 8, "eighth": 0}])
def test_nothing_shrinks(scene, change):
    with pytest.raises(NotUsable, match="can only grow"):
        scene[0].grown(change)


def test_a_transposed_convolution_has_its_inputs_first():
    old, new = (
        nn.Sequential(nn.ConvTranspose2d(2, 3, 2)),
        nn.Sequential(nn.ConvTranspose2d(4, 5, 2)),
    )
    x = torch.rand(1, 2, 4, 4)
    grow(old, new)
    with torch.no_grad():
        seen = new(torch.cat([x, torch.rand(1, 2, 4, 4)], dim=1))[:, :3]
        assert torch.allclose(seen, old(x), atol=1e-6)
