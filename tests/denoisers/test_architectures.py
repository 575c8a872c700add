"""Architectures by entry point: a stranger's package brings one, and nothing else is needed."""

import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from denoisers import architectures, files
from denoisers.dncnn import DnCNN
from denoisers.errors import BrokenWeights, NotUsable, UnknownArchitecture
from denoisers.runtime import Runtime
from denoisers.training.mean import mean
from denoisers.unet import UNet
from denoisers.weights import load_weights, rehearse, save_weights
from tests.denoisers import strangers


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    monkeypatch.syspath_prepend(strangers.install_all(folder))
    yield folder
    sys.modules.pop("strange_nets", None)


def test_those_that_come_with_surety():
    assert {"dncnn", "unet"} <= set(architectures.names())
    assert architectures.find("dncnn") is DnCNN
    assert architectures.find("unet") is UNet


def test_an_unknown_one_is_told_with_those_there_are():
    with pytest.raises(UnknownArchitecture, match=r"unknown architecture 'x+': .*dncnn.*unet"):
        architectures.find("x" * 1000)


def test_names_imports_nothing(stranger):
    assert set(strangers.NAMES) <= set(architectures.names())
    assert "strange_nets" not in sys.modules


@pytest.mark.parametrize(("name", "arguments"), [("tiny", {"size": 5}), ("half", {}), ("tied", {})])
def test_a_strangers_network_there_and_back(stranger, tmp_path, name, arguments):
    torch.manual_seed(0)
    network = architectures.find(name)(**arguments).float()
    path = tmp_path / "mine.safetensors"
    save_weights(network, path)
    loaded, sha256 = load_weights(path)
    assert type(loaded) is type(network)
    assert loaded.arguments == arguments
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    noisy, sigma = torch.rand(2, 3, 5, 7), torch.full((2,), 0.5)
    assert torch.equal(loaded(noisy, sigma), network(noisy, sigma))
    assert Runtime("mine", loaded, sha256, device="cpu").batch_of(8, 8) >= 1


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("liar", NotUsable, "architecture 'liar' must be a torch module .* not Liar and 'another'"),
        ("nothing", NotUsable, "'nothing' must be a torch module .* not str and None"),
        ("absent", NotUsable, r"'absent' cannot be imported \(AttributeError\)$"),
        ("shy", BrokenWeights, r"does not take the tensors \(KeyError\)$"),
        ("fussy", BrokenWeights, r"does not take the arguments \{\} \(ZeroDivisionError\)$"),
    ],
)
def test_broken_ones(stranger, tmp_path, name, error, says):
    path = tmp_path / "mine.safetensors"
    tiny = architectures.find("tiny")()
    tiny.architecture, tiny.arguments = name, {}
    save_weights(tiny, path)
    with pytest.raises(error, match=says):
        load_weights(path)


def test_arguments_that_are_too_large_for_the_tensors_are_refused(stranger, tmp_path):
    path = tmp_path / "mine.safetensors"
    tiny = architectures.find("tiny")()
    tiny.arguments = {"size": 5}
    save_weights(tiny, path)
    with pytest.raises(BrokenWeights, match=r"conv.weight of the shape \(3, 3, 3, 3\) and not"):
        load_weights(path)


def test_a_package_that_is_not_there(tmp_path, monkeypatch):
    doors = {"gone": "no_such_package:Network"}
    monkeypatch.syspath_prepend(strangers.install(tmp_path, "gone", doors))
    with pytest.raises(NotUsable, match=r"'gone' cannot be imported \(ModuleNotFoundError\)$"):
        architectures.find("gone")


def test_two_packages_may_not_claim_one_name(stranger, tmp_path, monkeypatch):
    """Else the same weights would be one function here and another there."""
    doors = {"unet": "strange_nets:Tiny", "tiny": "strange_nets:Tiny", "half": "strange_nets:Tiny"}
    monkeypatch.syspath_prepend(strangers.install(tmp_path / "more", "more", doors))
    both = r"'half' is both strange_nets:Half and strange_nets:Tiny: uninstall one"
    with pytest.raises(NotUsable, match=both):
        architectures.find("half")
    assert architectures.find("tiny").architecture == "tiny"  # the same claim twice is no other
    assert architectures.find("unet") is UNet  # Surety's own names stay Surety's


def test_whole_numbers_that_decide_are_kept_as_they_are(stranger, tmp_path):
    """Else one file stood for another function in each process that loads it."""
    made = architectures.find("shuffled")()
    path = tmp_path / "mine.safetensors"
    for order in ([1, 2, 0], [2, 0, 1]):
        made.order.copy_(torch.tensor(order))
        rehearse(made, torch.bfloat16)
        save_weights(made, path, torch.bfloat16)
        loaded, _ = load_weights(path)
        assert loaded.order.tolist() == order
        assert loaded.order.dtype == torch.int64
    tensors = load_file(path)
    del tensors["order"]
    save_file(tensors, path, {"architecture": "shuffled", "arguments": "{}"})
    with pytest.raises(BrokenWeights, match="lacks order, which is drawn at random"):
        load_weights(path)
    del tensors["index"]  # which is made alike each time
    tensors["order"] = made.order
    save_file(tensors, path, {"architecture": "shuffled", "arguments": "{}"})
    assert load_weights(path)[0].index.tolist() == [0, 1, 2, 3]


def test_networks_of_different_whole_numbers_have_no_mean(stranger):
    one, other = (architectures.find("shuffled")() for _ in range(2))
    one.order.copy_(torch.tensor([1, 2, 0]))
    other.order.copy_(torch.tensor([1, 2, 0]))
    mean([one, other], [1, 1])
    other.order.copy_(torch.tensor([2, 1, 0]))
    with pytest.raises(NotUsable, match="different whole numbers 'order'"):
        mean([one, other], [1, 1])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("forgets", "Forgets does not come out of its weights file the same each time"),
        ("late", "Late does not come out of its weights file the same each time"),
        ("complex", "Complex keeps 'phase', which is no tensor of real numbers"),
        ("extra", "Extra keeps '_extra_state', which is no tensor of real numbers"),
    ],
)
def test_what_could_not_be_kept_is_told_before_the_training(stranger, name, says):
    with pytest.raises(BrokenWeights, match=says):
        rehearse(architectures.find(name)())


def test_a_network_of_complex_numbers_is_not_cut_in_half(stranger):
    with pytest.raises(NotUsable, match="complex numbers"):
        Runtime("mine", architectures.find("complex")(), "0" * 64, device="cpu")


@pytest.mark.filterwarnings("ignore:.*weight_norm")
def test_weights_that_are_computed_from_others(stranger, tmp_path):
    made = architectures.find("normed")()
    rehearse(made)
    save_weights(made, tmp_path / "mine.safetensors")
    noisy = torch.randint(-50, 300, (3, 9, 8, 3)).to(torch.int16).numpy()
    cleaned = files.load("mine", tmp_path / "mine.safetensors").clean(noisy, 0.25)
    before = Runtime("mine", made, "0" * 64, device="cpu").clean(noisy, 0.25)
    assert np.array_equal(cleaned, before)
