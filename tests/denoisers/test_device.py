"""SURETY_DEVICE: what may be said, what is here, and what to do about it."""

import pytest
import torch

from denoisers import device
from denoisers.device import choose, compute_type, compute_types, cpu_has_bfloat16, precision
from denoisers.errors import NotUsable
from denoisers.fused import available
from denoisers.registry import load
from denoisers.runtime import Runtime
from denoisers.unet import UNet
from tests.denoisers.test_fused import Bare

GPUS = torch.cuda.device_count() if torch.cuda.is_available() else 0


@pytest.mark.parametrize("text", ["cpu", " CPU ", "Cpu"])
def test_the_cpu_is_always_there(text):
    assert choose(text) == torch.device("cpu")


def test_auto_takes_the_best():
    assert choose("auto").type == ("cuda" if GPUS else "cpu")


@pytest.mark.parametrize(
    ("says", "taken"),
    [
        ("CUDA error: no kernel image is available for execution on the device", "cpu"),
        ("CUDA error: out of memory", "cuda"),
    ],
)
def test_auto_leaves_a_gpu_alone_that_torch_was_not_built_for(monkeypatch, caplog, says, taken):
    """As one of 2016 with a torch of 2026; any other failure is told where it is met."""

    def ones(*_, **__):
        raise RuntimeError(says)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", ones)
    device._is_known.cache_clear()
    assert [choose("auto").type for _ in range(3)] == [taken] * 3
    assert len(caplog.records) == (taken == "cpu")  # once
    device._is_known.cache_clear()


@pytest.mark.parametrize(
    "text",
    ["nonsense", "meta", "cuda:x", "cuda:-1", "cuda1", "cuda:", "mps", "", "cpu:0", "cuda:1²"],
)
def test_other_words_are_refused_with_those_that_may_be_said(text):
    with pytest.raises(NotUsable, match="SURETY_DEVICE is auto, cpu, cuda or cuda:N"):
        choose(text)


@pytest.mark.parametrize("text", [f"cuda:{GPUS}", "cuda:99"])
def test_a_gpu_that_is_not_here(text):
    with pytest.raises(NotUsable, match="SURETY_DEVICE=cpu always is"):
        choose(text)


def test_precision_is_named_in_the_compute_type():
    cpu = torch.device("cpu")
    assert precision(cpu) == (torch.bfloat16 if cpu_has_bfloat16() else torch.float32)
    assert compute_type(cpu, torch.bfloat16) == "cpu/bfloat16"
    assert compute_type(torch.device("cuda:3"), torch.float32) == "cuda/float32"


@pytest.mark.parametrize("name", ["cifar", "cifar-stable", "photo"])
def test_our_networks_are_run_in_a_way_that_is_told_before(name):
    assert load(name, "cpu").compute in compute_types("cpu")


def test_networks_without_anything_to_fuse_are_run_as_they_are():
    bare = Runtime("bare", Bare(), "0" * 64, device="cpu")
    assert not bare.compute.endswith("/fused2")
    assert bare.compute in compute_types("cpu")
    ours = Runtime("ours", UNet(4, 0, 0, 0), "0" * 64, device="cpu").compute
    cpu = torch.device("cpu")
    assert ours.endswith("/fused2") == available(cpu, precision(cpu))
    first, *others = compute_types("cpu")
    assert others == ([first.removesuffix("/fused2")] if first.endswith("/fused2") else [])
