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
from denoisers.unet_fused import FusedUNet

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
@pytest.mark.parametrize(
    "make",
    [
        lambda: UNet(8, 2, 1, 2),
        lambda: UNet(8, 1, 1, 1, mirror=1, again=5, contrast=110),
        lambda: DnCNN(5, 8).eval().folded(),
    ],
)
def test_the_same_function_but_for_rounding(make, dtype):
    plain = placed(learnt(make()), dtype)
    before = copy.deepcopy(plain.state_dict())
    faster = fused(plain)
    assert faster is not plain
    assert (type(faster) is FusedUNet) == isinstance(plain, UNet)
    left = [type(part) for part in faster.modules() if isinstance(part, Residual | nn.Conv2d)]
    assert len(left) == (0 if isinstance(plain, UNet) else 2)  # DnCNN's first and last
    exact = cleaned(copy.deepcopy(plain).float())
    for height, width in ((24, 40), (17, 31), (8, 8), (4, 4), (4, 12), (1, 9), (1, 1)):
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


class Bare(nn.Module):
    """Has nothing that could be fused."""

    def __init__(self):
        super().__init__()
        self.only = nn.Conv2d(3, 3, 1)

    def forward(self, noisy, _):
        return self.only(noisy.to(self.only.weight.dtype)).float()


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
    assert not runtime.compute.endswith("/fused2")
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


def changed(name, part):
    network = UNet(8, 1, 1, 1)
    setattr(network, name, part)
    return network


def told_of(name):
    network = UNet(8, 1, 1, 1)
    network.get_submodule(name).register_forward_hook(lambda *_: None)
    return network


@pytest.mark.parametrize(
    "network",
    [
        changed("head", nn.Conv2d(13, 8, 3, padding=1, padding_mode="reflect")),
        changed("head", nn.Conv2d(13, 8, 3, padding=2, dilation=2)),
        changed("tail", nn.Conv2d(8, 12, 1)),
        changed("to2", nn.Conv2d(8, 16, 2, stride=2, groups=2)),
        changed("from2", nn.Sequential(nn.ConvTranspose2d(16, 8, 2, stride=2))),
        changed("from2", nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1)),
        told_of("tail"),
        told_of("from4"),
        told_of("middle"),
        told_of("middle.0.first"),
        told_of(""),
        type("Mine", (UNet,), {})(8, 1, 1, 1),
    ],
)
def test_a_network_that_somebody_changed_keeps_its_own_way(network):
    plain = learnt(network)
    faster = fused(plain)
    assert type(faster) is type(plain)
    assert plain.fused() is plain
    assert alike(cleaned(faster), cleaned(plain), torch.float32)  # its blocks at most


def test_while_it_is_trained_it_stays_as_it_is():
    network = UNet(8, 1, 1, 1, contrast=150)
    assert network.training
    assert network.fused() is network


def wild(network, bias=True):
    """Large values, and biases or none."""
    for name, tensor in network.named_parameters():
        nn.init.normal_(tensor, std=0.3 if name.endswith("weight") else 1.0)
    if not bias:
        for part in (network.head, network.tail, network.from4, network.from2, network.to2):
            part.bias = None
    return network.eval()


@pytest.mark.parametrize("blocks", [(0, 0, 0), (1, 0, 2), (2, 1, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_any_values_and_each_picture_s_own_level(blocks, bias):
    plain = wild(UNet(6, *blocks), bias)
    faster = fused(plain)
    assert type(faster) is FusedUNet
    noisy, level = torch.randn(4, 3, 20, 28) * 3, torch.tensor([0.0, 0.1, 0.9, 2.0])
    with torch.inference_mode():
        expected = plain(noisy, level)
        assert expected.abs().max() > 5  # of more than pixels have
        error = (faster(noisy, level) - expected).abs().amax((1, 2, 3))
        assert (error <= 1e-5 * expected.abs().amax((1, 2, 3))).all()


def test_the_fused_one_has_weights_of_its_own():
    plain = wild(UNet(6, 1, 1, 1))
    state = torch.get_rng_state()
    faster = fused(plain)
    assert torch.equal(torch.get_rng_state(), state)  # a training's seed gives the same curve
    before = cleaned(faster)
    with torch.no_grad():
        for tensor in plain.parameters():
            tensor.zero_()
    assert torch.equal(cleaned(faster), before)


class Root(nn.Module):
    """A stranger's network, with a row that can be fused."""

    def __init__(self):
        super().__init__()
        self.row = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
        self.last = nn.Conv2d(3, 3, 1)

    def forward(self, noisy, _):
        return self.last(self.row(noisy.to(self.last.weight.dtype))).float()


class InPlace(Root):
    """Changes itself, and says that it is the same."""

    def fused(self):
        with torch.no_grad():
            self.row[0].weight.mul_(2)
        return self


class Fails(InPlace):
    def fused(self):
        super().fused()
        raise ValueError("not here")


class Mixes(Root):
    """Makes of itself what looks at the whole batch."""

    def fused(self):
        return Mixed(self)


class Mixed(Root):
    def __init__(self, root):
        super().__init__()
        self.row, self.last = root.row, root.last

    def forward(self, noisy, _):
        return super().forward(noisy, _) + (noisy - noisy.mean(0, keepdim=True))


class Attribute(Root):
    """Has something else of that name."""

    def __init__(self):
        super().__init__()
        self.fused = nn.Conv2d(3, 3, 1)


@pytest.mark.usefixtures("_everywhere")
@pytest.mark.parametrize(
    ("make", "way"), [(InPlace, False), (Fails, False), (Mixes, False), (Attribute, True)]
)
def test_a_stranger_s_root_that_says_it_can_be_fused(make, way):
    network = make()
    expected = Runtime("plain", _plain_of(network), "0" * 64, device="cpu")
    runtime = Runtime("mine", network, "0" * 64, device="cpu")
    assert runtime.compute.endswith("/fused2") == way
    noisy = torch.randint(0, 255, (3, 16, 16, 3)).to(torch.int16).numpy()
    assert abs(runtime.clean(noisy, 0.25).astype(int) - expected.clean(noisy, 0.25)).max() <= 1
    assert (runtime.clean(noisy[:1], 0.25) == runtime.clean(noisy, 0.25)[:1]).all()


def _plain_of(network):
    plain = Root()
    plain.row.load_state_dict(network.row.state_dict())
    plain.last.load_state_dict(network.last.state_dict())
    return plain


def test_a_picture_whose_colours_lie_apart_comes_out_the_same():
    faster = fused(learnt(UNet(8, 1, 1, 1)))
    noisy, level = torch.rand(2, 3, 24, 40), torch.tensor([0.1, 0.7])
    with torch.inference_mode():
        expected = faster(noisy, level)
        together = noisy.contiguous(memory_format=torch.channels_last)
        before = together.clone()
        assert torch.equal(faster(together, level), expected)
        assert torch.equal(together, before)  # it is the caller's
        assert torch.allclose(faster(noisy[1:], level[1:]), expected[1:], atol=1e-6)


@pytest.mark.usefixtures("_everywhere")
def test_the_compute_type_says_so_and_only_where_something_was_fused(monkeypatch):
    assert Runtime("u", UNet(4, 1, 1, 1), "0" * 64, device="cpu").compute.endswith("/fused2")
    bare = Bare()
    assert not Runtime("u", bare, "0" * 64, device="cpu").compute.endswith("/fused2")
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
