"""Small attacks in training: within their norm, against the label, and of use."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from adapters.local.attack import attacked

pytestmark = pytest.mark.usefixtures("one_thread")


class Linear(nn.Module):
    """Two classes, told apart by a plane through grey: the strongest attack is known exactly."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.plane = nn.Parameter(torch.randn(3 * 8 * 8, generator=generator))
        self.modes = []

    def forward(self, x):
        self.modes.append(self.training)
        along = (x - 0.5).flatten(1) @ self.plane
        return torch.stack([along, -along], dim=1)


@pytest.fixture
def scene():
    network = Linear().train()
    generator = torch.Generator().manual_seed(1)
    pictures = 0.4 + 0.2 * torch.rand((64, 3, 8, 8), generator=generator)
    return network, pictures, torch.arange(64) % 2


def generator():
    return torch.Generator().manual_seed(2)


def test_changes_stay_within_the_norm_and_reach_it(scene):
    moved = attacked(*scene, 0.5, generator()) - scene[1]
    norms = moved.flatten(1).norm(dim=1)
    assert norms.max() <= 0.5 + 1e-5
    assert norms.max() > 0.4  # drawn evenly from 0 to 0.5, 64 times
    assert norms.min() < 0.1


def test_it_goes_against_the_label_as_no_random_change_does(scene):
    network, pictures, labels = scene

    def loss(seen):
        return functional.cross_entropy(network(seen), labels, reduction="none")

    seen = attacked(network, pictures, labels, 0.5, generator())
    noise = torch.randn(pictures.shape, generator=generator())
    lengths = (seen - pictures).flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    random = pictures + lengths * noise / noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert (loss(seen) > loss(random)).float().mean() > 0.95
    assert (loss(seen) >= loss(pictures)).float().mean() > 0.95


def test_pixels_stay_on_the_scale(scene):
    network, pictures, labels = scene
    seen = attacked(network, pictures.round(), labels, 5.0, generator())
    assert seen.min() >= 0
    assert seen.max() <= 1


def test_the_network_is_left_as_it_was(scene):
    network = scene[0]
    before = network.plane.detach().clone()
    seen = attacked(*scene, 0.5, generator())
    assert not seen.requires_grad
    assert network.training
    assert network.modes == [False]
    assert network.plane.grad is None
    assert torch.equal(network.plane, before)


def test_the_same_generator_gives_the_same_attack(scene):
    one, two = (attacked(*scene, 0.5, generator()) for _ in range(2))
    assert torch.equal(one, two)


def test_a_network_without_a_gradient_there_is_left_alone(scene):
    network, pictures, labels = scene
    with torch.no_grad():
        network.plane.zero_()
    seen = attacked(network, pictures, labels, 0.5, generator())
    assert bool(seen.isfinite().all())
    assert (seen - pictures).flatten(1).norm(dim=1).max() <= 0.5 + 1e-5
