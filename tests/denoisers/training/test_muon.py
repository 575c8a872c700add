"""Muon: against torch's own for matrices and AdamW for the rest, and on a real network."""

import copy

import pytest
import torch

from denoisers.training import muon
from denoisers.training.muon import Muon, is_hidden, orthogonal
from denoisers.unet import UNet

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("shape", [(16, 16), (16, 144), (300, 20)])
def test_the_result_is_nearly_orthogonal_and_points_the_same_way(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape) @ torch.diag(torch.logspace(0, -2, shape[1]))
    found = orthogonal(matrix)
    values = torch.linalg.svdvals(found)
    assert values.max() < 1.3
    assert values.median() > 0.6
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    nearest = u @ v
    likeness = (found * nearest).sum() / (found.norm() * nearest.norm())
    assert likeness > 0.9
    assert torch.allclose(orthogonal(matrix * 1024), found, atol=1e-3)  # size does not matter


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
def test_it_is_as_orthogonal_in_either_precision(kind, monkeypatch):
    monkeypatch.setattr(muon, "precision", lambda _: kind)
    matrix = torch.randn((24, 90), generator=torch.Generator().manual_seed(3))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert 0.6 < values.min() < values.max() < 1.3


def test_no_gradient_no_change():
    assert torch.equal(orthogonal(torch.zeros(16, 20)), torch.zeros(16, 20))


def twins(shape):
    torch.manual_seed(1)
    first = torch.nn.Parameter(torch.randn(shape))
    return first, torch.nn.Parameter(first.detach().clone())


def follow(parameters, optimizers, steps=5):
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        gradient = torch.randn(parameters[0].shape, generator=generator)
        for parameter, optimizer in zip(parameters, optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_matrices_move_as_with_torchs_own(shape, monkeypatch):
    monkeypatch.setattr(muon, "precision", lambda _: torch.bfloat16)  # which torch's takes always
    mine, theirs = twins(shape)
    own = torch.optim.Muon(
        [theirs], lr=0.01, weight_decay=1e-4, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    follow((mine, theirs), (Muon([mine], 0.01), own))
    assert torch.allclose(mine, theirs, atol=1e-4)


def test_a_convolution_moves_as_its_matrix():
    flat, square = twins((32, 16 * 9))
    square = torch.nn.Parameter(square.detach().reshape(32, 16, 3, 3))
    generator = torch.Generator().manual_seed(3)
    one, two = Muon([flat], 0.01), Muon([square], 0.01)
    for _ in range(4):
        gradient = torch.randn(32, 16 * 9, generator=generator)
        flat.grad, square.grad = gradient.clone(), gradient.clone().reshape(square.shape)
        one.step()
        two.step()
    assert torch.allclose(flat, square.reshape(flat.shape), atol=1e-5)


@pytest.mark.parametrize("shape", [(7,), (3, 64, 3, 3), (64, 13, 3, 3)])
def test_the_rest_moves_as_with_adamw(shape):
    mine, theirs = twins(shape)
    assert not is_hidden(mine)
    follow(
        (mine, theirs), (Muon([mine], 0.01), torch.optim.AdamW([theirs], 0.01, weight_decay=1e-4))
    )
    assert torch.allclose(mine, theirs, atol=1e-6)


def test_first_and_last_layers_of_the_network_are_left_to_adamw():
    network = UNet(width=16, half=1, quarter=1, eighth=1)
    optimizer = Muon(network.parameters(), 0.1)
    hidden, others = (group["params"] for group in optimizer.param_groups)
    names = {id(p): name for name, p in network.named_parameters()}
    assert {"head.weight", "tail.weight"} <= {names[id(p)] for p in others}
    assert all(names[id(p)].endswith("weight") for p in hidden)
    assert {"to2.weight", "from2.weight", "middle.0.first.weight"} <= {names[id(p)] for p in hidden}


def test_it_goes_on_where_its_state_was_saved():
    mine, other = twins((24, 40))
    optimizer = Muon([mine], 0.01)
    follow((mine,), (optimizer,), 3)
    other.data.copy_(mine)
    again = Muon([other], 0.01)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    follow((mine, other), (optimizer, again), 3)
    assert torch.equal(mine, other)
