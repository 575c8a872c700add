"""Fused convolutions compute what they did before, and where they do not, they are not used."""

import copy

import pytest
import torch
from torch import nn

from denoisers import fused as module
from denoisers.device import precision
from denoisers.dncnn import DnCNN
from denoisers.fused import ALIKE, Convolution, alike, available, fused, fusible
from denoisers.runtime import Runtime
from denoisers.unet import Residual, UNet

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(
    not available(CPU, torch.bfloat16), reason="this torch has no oneDNN"
)


@pytest.fixture
def _everywhere(monkeypatch):
    """Have the runtime fuse in float32 too, where the CPU has no bfloat16."""
    monkeypatch.setattr("denoisers.placing.available", lambda *_: True)


TYPES = sorted({torch.float32, precision(CPU)}, key=str)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def learnt(network):
    """Weights that do something: ours begin as the identity."""
    for tensor in network.parameters():
        nn.init.normal_(tensor, std=0.05)
    return network.eval()


def placed(network, dtype):
    return network.to(dtype=dtype, memory_format=torch.channels_last)


@torch.inference_mode()
def cleaned(network, height=24, width=40, count=3):
    noisy = torch.rand((count, 3, height, width), generator=torch.Generator().manual_seed(1))
    return network(noisy, torch.full((count,), 0.25))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("make", [lambda: UNet(8, 2, 1, 2), lambda: DnCNN(5, 8).eval().folded()])
def test_the_same_function_but_for_rounding(make, dtype):
    plain = placed(learnt(make()), dtype)
    before = copy.deepcopy(plain.state_dict())
    faster = fused(plain)
    assert faster is not plain
    assert any(isinstance(part, Convolution) for part in faster.modules())
    exact = cleaned(copy.deepcopy(plain).float())
    for height, width in ((24, 40), (17, 31), (8, 8)):
        assert alike(cleaned(faster, height, width), cleaned(plain, height, width), dtype)
    if dtype is not torch.float32:  # less is rounded on the way, so it is no further from the truth
        errors = [float((cleaned(one) - exact).square().mean()) for one in (faster, plain)]
        assert errors[0] < 1.2 * errors[1]
    assert cleaned(faster).equal(cleaned(faster))
    after = plain.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_one_convolution_is_what_torch_computes():
    plain = nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2, bias=False)
    x = torch.randn(2, 4, 11, 9)
    with torch.inference_mode():
        expected = plain(x)
        assert torch.allclose(Convolution(plain)(x), expected, atol=1e-5)
        assert torch.allclose(Convolution(plain, relu=True)(x), expected.relu(), atol=1e-5)
        other = torch.randn_like(expected).contiguous(memory_format=torch.channels_last)
        total = expected + other
        added = Convolution(plain).add_to(other, x)
    assert added is other or added.data_ptr() == other.data_ptr()
    assert torch.allclose(added, total, atol=1e-5)


def test_what_stands_between_is_kept_and_places_keep_their_numbers():
    conv = nn.Conv2d(3, 3, 1)
    row = nn.Sequential(conv, nn.Identity(), nn.ReLU(), nn.ReLU(), conv, nn.Dropout(), nn.ReLU())
    made = fused(row.eval())
    kinds = [type(part) for part in made]
    identity, relu = nn.Identity, nn.ReLU
    assert kinds == [Convolution, identity, identity, relu, nn.Conv2d, nn.Dropout, relu]
    x = torch.randn(1, 3, 4, 4)
    with torch.inference_mode():
        assert torch.allclose(made(x), row(x), atol=1e-6)


@pytest.mark.parametrize(
    "odd",
    [
        nn.Conv2d(3, 3, 3, padding="same"),
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 3)),
        nn.ConvTranspose2d(3, 3, 3),
        nn.Linear(3, 3),
    ],
)
def test_only_ordinary_convolutions_are_fused(odd):
    assert not fusible(odd)
    row = nn.Sequential(odd, nn.ReLU())
    assert fused(row) is row
    hooked = nn.Conv2d(3, 3, 1)
    hooked.register_forward_hook(lambda *_: None)
    assert not fusible(hooked)


class Looks(nn.Module):
    """Uses a row's parts one by one: what a ReLU got is wanted too."""

    def __init__(self):
        super().__init__()
        self.row = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())

    def forward(self, noisy, _):
        before = self.row[0](noisy.to(self.row[0].weight.dtype))
        return (self.row[1](before) - before).float()


class NeedsWeights(nn.Module):
    """Asks a fused part for what it no longer has."""

    def __init__(self):
        super().__init__()
        self.row = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())

    def forward(self, noisy, _):
        return self.row(noisy.to(self.row[0].weight.dtype)).float()


class Negative(Looks):
    """Not the same when fused, and noticed: everything before the ReLU is below zero."""

    def __init__(self):
        super().__init__()
        nn.init.constant_(self.row[0].weight, -1)


class LongSkip(nn.Module):
    """Looks at what a fused part has written over."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Residual(3), Residual(3))
        learnt(self)

    def forward(self, noisy, _):
        x = noisy.to(self.blocks[0].first.weight.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        return (x + self.blocks(x)).float() / 2


@pytest.mark.usefixtures("_everywhere")
@pytest.mark.parametrize("stranger", [NeedsWeights, Negative, LongSkip])
def test_a_network_that_fusing_would_change_is_run_as_it_is(stranger):
    network = stranger().eval()
    runtime = Runtime("s", network, "0" * 64, device="cpu")
    assert not runtime.compute.endswith("/fused")
    assert runtime._faster is runtime._network


class Gentle(Residual):
    """Another function, by the same parts."""

    def forward(self, x):
        return x + (super().forward(x) - x) / 3


def test_a_part_of_another_kind_is_left_as_it_is():
    row = nn.Sequential(learnt(Gentle(3)))
    assert fused(row) is row
    part = learnt(Residual(3))
    part.register_forward_pre_hook(lambda *_: None)
    assert fused(nn.Sequential(part))[0] is part


@pytest.mark.parametrize("place", [1, 2])
def test_hooks_between_convolution_and_relu_are_kept(place):
    called = []
    row = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Identity(), nn.ReLU()).eval()
    row[place].register_forward_hook(lambda *_: called.append(place))
    assert fused(row) is row


@pytest.mark.usefixtures("_everywhere")
def test_the_compute_type_says_so_and_only_where_something_was_fused(monkeypatch):
    assert Runtime("u", UNet(4, 1, 1, 1), "0" * 64, device="cpu").compute.endswith("/fused")
    bare = UNet(4, 0, 0, 0)
    assert not Runtime("u", bare, "0" * 64, device="cpu").compute.endswith("/fused")
    monkeypatch.setattr("denoisers.placing.available", lambda *_: False)
    plain = Runtime("u", UNet(4, 1, 1, 1), "0" * 64, device="cpu").compute
    assert plain == f"cpu/{str(precision(CPU)).removeprefix('torch.')}"


def test_another_device_or_torch_does_without(monkeypatch):
    assert available(CPU, torch.bfloat16)
    assert not available(CPU, torch.float32)  # where it is slower
    assert not available(torch.device("cuda"), torch.bfloat16)
    monkeypatch.setattr(module.torch.ops, "mkldnn", object())
    assert not available(CPU, torch.bfloat16)


def test_alike_is_about_single_pixels():
    one = torch.zeros(1, 3, 4, 4)
    other = one.clone()
    other[0, 0, 0, 0] = 2 * ALIKE[torch.bfloat16]
    assert not alike(one, other, torch.bfloat16)
    assert not alike(one, one[:, :, :3], torch.float32)
    assert not alike(one, one * float("nan"), torch.float32)
    assert alike(one, one, torch.float32)
