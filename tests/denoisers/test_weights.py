"""Weights files: strict, and never executed."""

import hashlib
import io
import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from denoisers.errors import BrokenWeights
from denoisers.unet import UNet
from denoisers.weights import load_weights, save_weights

ROOT = Path(__file__).parents[2]


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.safetensors"
    save_weights(UNet(width=4, half=1, quarter=1, eighth=1), path)
    return path


def rewrite(path, change=lambda tensors: tensors, **metadata):
    tensors = load_file(path)
    manifest = {"architecture": "unet", "arguments": json.dumps({"width": 4, "half": 1, "quarter": 1, "eighth": 1})}
    out = path.with_name("changed.safetensors")
    save_file(change(tensors), out, metadata={**manifest, **metadata})
    return out


def test_there_and_back(good):
    network, sha256 = load_weights(good)
    assert isinstance(network, UNet)
    assert not network.training
    assert sha256 == hashlib.sha256(good.read_bytes()).hexdigest()
    assert load_weights(rewrite(good))[0].arguments == {"width": 4, "half": 1, "quarter": 1, "eighth": 1}


def without(tensors):
    return {k: v for k, v in tensors.items() if k != "head.bias"}


@pytest.mark.parametrize(
    "change",
    [
        without,
        lambda t: {**t, "extra": torch.zeros(1)},
        lambda t: {**t, "head.bias": torch.zeros(5)},
        lambda t: {**t, "head.bias": torch.zeros(4, dtype=torch.int64)},
        lambda t: {**t, "head.bias": torch.full((4,), float("nan"))},
    ],
    ids=["missing", "extra", "shape", "type", "nan"],
)
def test_other_tensors_are_refused(good, change):
    with pytest.raises(BrokenWeights):
        load_weights(rewrite(good, change))


@pytest.mark.parametrize(
    "metadata",
    [
        {"architecture": "os.system"},
        {"architecture": ""},
        {"arguments": "{"},
        {"arguments": "[]"},
        {"arguments": '{"width": 1e9}'},
        {"arguments": '{"width": 100000}'},
        {"arguments": '{"depth": 3}'},
        {"arguments": '{"width": 8, "half": 1, "quarter": 1, "eighth": 1}'},
    ],
    ids=str,
)
def test_other_manifests_are_refused(good, metadata):
    with pytest.raises(BrokenWeights):
        load_weights(rewrite(good, **metadata))


def test_damaged_files_are_refused(good, tmp_path):
    data = good.read_bytes()
    for cut in (0, 4, 100, len(data) // 2, len(data) - 1):
        path = tmp_path / "cut.safetensors"
        path.write_bytes(data[:cut])
        with pytest.raises(BrokenWeights):
            load_weights(path)
    with pytest.raises(BrokenWeights):
        load_weights(tmp_path / "missing.safetensors")


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_pickles_and_torchscript_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickled = tmp_path / "evil.safetensors"
    pickled.write_bytes(pickle.dumps(Evil()))
    saved = tmp_path / "torch.safetensors"
    buffer = io.BytesIO()
    torch.save({"head.bias": torch.zeros(1)}, buffer)
    saved.write_bytes(buffer.getvalue())
    for path in (pickled, saved):
        with pytest.raises(BrokenWeights, match="safetensors"):
            load_weights(path)
    assert not (tmp_path / "executed").exists()


def test_what_is_shipped_is_small_and_has_a_card():
    shipped = [
        *ROOT.glob("denoisers/weights/*.safetensors"),
        *ROOT.glob("adapters/local/weights/*.safetensors"),
    ]
    assert len(shipped) == 2
    assert sum(p.stat().st_size for p in shipped) <= 10 * 2**20
    for path in shipped:
        card = path.with_suffix(".md").read_text()
        assert "surety train" in card
        assert hashlib.sha256(path.read_bytes()).hexdigest() in card
