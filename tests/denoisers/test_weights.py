"""Weights files: strict, and never executed."""

import hashlib
import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from denoisers import reading
from denoisers.dncnn import DnCNN
from denoisers.errors import BrokenWeights, UnknownArchitecture
from denoisers.unet import UNet
from denoisers.weights import LARGEST_MANIFEST, load_weights, rehearse, save_weights

ROOT = Path(__file__).parents[2]
SMALL = {"width": 4, "half": 1, "quarter": 1, "eighth": 1}


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.safetensors"
    save_weights(UNet(**SMALL), path)
    return path


def rewrite(path, change=lambda tensors: tensors, **metadata):
    tensors = load_file(path)
    manifest = {"architecture": "unet", "arguments": json.dumps(SMALL)}
    out = path.with_name("changed.safetensors")
    save_file(change(tensors), out, metadata={**manifest, **metadata})
    return out


def bare(path, manifest=None, **changes):
    """The tensors alone, as any tool writes them, and a manifest beside them."""
    out = path.with_name("bare.safetensors")
    save_file({**load_file(path), **changes}, out)
    if manifest is not None:
        text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        out.with_suffix(".json").write_bytes(text)
    return out


def handmade(path, header, data=b""):
    """A safetensors file byte by byte."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_there_and_back(good):
    network, sha256 = load_weights(good)
    assert isinstance(network, UNet)
    assert not network.training
    assert sha256 == hashlib.sha256(good.read_bytes()).hexdigest()
    assert network.arguments == SMALL
    assert load_weights(rewrite(good))[0].arguments == SMALL


def test_the_same_weights_give_the_same_file(good, tmp_path):
    """The library alone writes the metadata in any order, and the hash stands for the network."""
    network, _ = load_weights(good)
    for number in range(8):
        save_weights(network, tmp_path / f"{number}.safetensors")
    files = [(tmp_path / f"{number}.safetensors").read_bytes() for number in range(8)]
    assert set(files) == {good.read_bytes()}
    assert int.from_bytes(files[0][:8], "little") % 8 == 0  # the tensors are aligned


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_other_precisions_are_read_as_float32(tmp_path, dtype):
    network = DnCNN(depth=3, width=4)
    path = tmp_path / "small.safetensors"
    save_weights(network, path, dtype)
    assert {t.dtype for t in load_file(path).values()} == {dtype}
    loaded, _ = load_weights(path)
    floating = [t for t in loaded.state_dict().values() if t.is_floating_point()]
    assert {t.dtype for t in floating} == {torch.float32}
    expected = network.head.weight.to(dtype).float()
    assert torch.equal(loaded.head.weight, expected)


def test_channels_last_weights_are_written_as_any_others(good, tmp_path):
    network, _ = load_weights(good)
    path = tmp_path / "last.safetensors"
    save_weights(network.to(memory_format=torch.channels_last), path)
    assert path.read_bytes() == good.read_bytes()


@pytest.mark.parametrize(
    "arguments", [{"width": 2000}, {"width": 1.5}, {"norm": True}, {1: 1}, [1], {"deep": {}}]
)
def test_what_could_not_be_read_again_is_not_written(tmp_path, arguments):
    network = UNet(**SMALL)
    network.arguments = arguments
    with pytest.raises(BrokenWeights, match="whole numbers from 0 to 1024"):
        save_weights(network, tmp_path / "wide.safetensors")
    assert not list(tmp_path.iterdir())


def without(tensors):
    return {k: v for k, v in tensors.items() if k != "head.bias"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without, "it lacks head.bias$"),
        (lambda t: {}, "it lacks head.weight; lacks head.bias; .*; and [0-9]+ more$"),
        (lambda t: {**t, "extra\x1b": torch.zeros(1)}, r"it has 'extra\\x1b', which is not of"),
        (
            lambda t: {**t, "head.bias": torch.zeros(5)},
            r"head.bias of the shape \(5,\) and not \(4,\)",
        ),
        (
            lambda t: {**t, "head.bias": torch.zeros(4, dtype=torch.int64)},
            "head.bias of the type torch.int64",
        ),
        (lambda t: {**t, "head.bias": torch.full((4,), float("nan"))}, "'head.bias' .*not finite"),
        (lambda t: {**t, "head.bias": torch.full((4,), float("-inf"))}, "not finite"),
        (
            lambda t: {**t, "head.bias": torch.full((4,), 1e300, dtype=torch.float64)},
            "not finite",
        ),
        (
            lambda t: {**t, "head.bias": torch.zeros(4, dtype=torch.complex64)},
            "head.bias of the type torch.complex64",
        ),
    ],
    ids=["missing", "empty", "extra", "shape", "type", "nan", "inf", "too large", "complex"],
)
def test_other_tensors_are_refused(good, change, says):
    with pytest.raises(BrokenWeights, match=says):
        load_weights(rewrite(good, change))


@pytest.mark.parametrize("kind", ["F8_E8M0", "F4", "F6_E2M3", "F128", "", "I64", "BOOL"])
def test_other_types_of_numbers_are_refused(tmp_path, kind):
    entry = {"dtype": kind, "shape": [8], "data_offsets": [0, 8]}
    with pytest.raises(BrokenWeights):
        load_weights(handmade(tmp_path / "x.safetensors", {"head.bias": entry}, bytes(8)))


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"architecture": "os.system"}, "unknown architecture 'os.system': installed are"),
        ({"architecture": ""}, "unknown architecture ''"),
        ({"architecture": "denoisers.unet:UNet"}, "unknown architecture"),
        ({"arguments": "{"}, "arguments in its metadata are no JSON"),
        ({"arguments": "[" * 100_000}, "arguments in its metadata are no JSON"),
        ({"arguments": "[]"}, "whole numbers from 0 to 1024"),
        ({"arguments": "null"}, "whole numbers"),
        ({"arguments": '{"width": 1e9}'}, "whole numbers"),
        ({"arguments": '{"width": 100000}'}, "whole numbers"),
        ({"arguments": '{"width": -1}'}, "whole numbers"),
        ({"arguments": '{"width": true}'}, "whole numbers"),
        ({"arguments": '{"width": "4"}'}, "whole numbers"),
        ({"arguments": '{"width": 4.0}'}, "whole numbers"),
        ({"arguments": '{"depth": 3}'}, r"'unet' does not take the arguments .*\(TypeError\)"),
        ({"arguments": '{"width": 0}'}, "does not"),
        ({"arguments": '{"width": 1024, "half": 9}'}, "does not fit its architecture"),
        ({"arguments": json.dumps(SMALL | {"width": 8})}, "does not fit its architecture"),
        ({"architecture": "dncnn", "arguments": "{}"}, "does not fit its architecture"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_other_metadata_are_refused(good, metadata, says):
    unknown = "architecture" in metadata and metadata["architecture"] != "dncnn"
    with pytest.raises(UnknownArchitecture if unknown else BrokenWeights, match=says) as refused:
        load_weights(rewrite(good, **metadata))
    assert str(refused.value).startswith("changed.safetensors")


def test_a_manifest_beside_a_file_from_elsewhere(good):
    path = bare(good, {"architecture": "unet", "arguments": SMALL})
    network, sha256 = load_weights(path)
    expected = load_weights(good)[0].state_dict()
    assert all(torch.equal(t, expected[k]) for k, t in network.state_dict().items())
    both = path.read_bytes() + path.with_suffix(".json").read_bytes()
    assert sha256 == hashlib.sha256(both).hexdigest()


def test_the_hash_covers_the_manifest(good):
    """Other arguments may be another function, even where the tensors fit both."""
    manifest = {"architecture": "unet", "arguments": SMALL}
    texts = [json.dumps(manifest, indent=indent).encode() for indent in (None, 1)]
    first, second = (load_weights(bare(good, text))[1] for text in texts)
    assert first != second


def test_the_files_own_metadata_go_before_a_manifest(good):
    good.with_suffix(".json").write_text("{ nonsense")
    assert load_weights(good)[1] == hashlib.sha256(good.read_bytes()).hexdigest()


def test_what_another_tool_calls_the_architecture_does_not(good):
    path = bare(good, {"architecture": "unet", "arguments": SMALL})
    tensors = load_file(path)
    save_file(tensors, path, metadata={"architecture": "U-Net v2", "format": "pt"})
    assert load_weights(path)[0].arguments == load_weights(good)[0].arguments
    path.with_suffix(".json").unlink()
    with pytest.raises(UnknownArchitecture, match="'U-Net v2'"):
        load_weights(path)


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (None, r"put a manifest bare.json beside it, such as .*; installed are .*dncnn"),
        (b"", "bare.json is no JSON"),
        (b"\xff\xfe", "bare.json is no JSON"),
        (b"[" * 60_000, "bare.json is no JSON"),
        (b"[]", 'must be an object that has an "architecture"'),
        (b'{"arguments": {}}', 'must be an object that has an "architecture"'),
        (b'{"architecture": 1}', 'must be an object that has an "architecture"'),
        (b'{"architecture": "unet", "argument": {}}', "not 'argument'"),
        (b'{"architecture": "unet", "arguments": null}', "whole numbers"),
        (b'{"architecture": "unet"}', "does not fit"),
        (b" " * (LARGEST_MANIFEST + 1), "bare.json has more than 65,536 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_other_manifests_are_refused(good, manifest, says):
    with pytest.raises(BrokenWeights, match=says):
        load_weights(bare(good, manifest))


def test_counters_may_be_there_or_not(tmp_path):
    """As `network.state_dict()` has them, and as `save_weights` leaves them out."""
    network = DnCNN(depth=4, width=4)
    path = tmp_path / "whole.safetensors"
    save_file(network.state_dict(), path)
    manifest = {"architecture": "dncnn", "arguments": network.arguments}
    path.with_suffix(".json").write_text(json.dumps(manifest))
    assert load_weights(path)[0].arguments == network.arguments
    state = network.state_dict() | {"body.0.1.num_batches_tracked": torch.zeros(())}
    save_file(state, path)
    with pytest.raises(BrokenWeights, match=r"num_batches_tracked of the type torch\.float32"):
        load_weights(path)


def test_damaged_files_are_refused(good, tmp_path):
    data = good.read_bytes()
    for cut in (0, 4, 8, 100, len(data) // 2, len(data) - 1):
        path = tmp_path / "cut.safetensors"
        path.write_bytes(data[:cut])
        with pytest.raises(BrokenWeights, match=r"cut\.safetensors is damaged, or not safetens"):
            load_weights(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(BrokenWeights):
        load_weights(path)


def test_changed_headers_are_refused_or_read(good, tmp_path):
    """Whatever the bytes: an error of ours, never another one."""
    data, path = good.read_bytes(), tmp_path / "changed.safetensors"
    size = 8 + int.from_bytes(data[:8], "little")
    rng = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(data)
        changed[rng.integers(size)] = rng.integers(256)
        path.write_bytes(changed)
        try:
            load_weights(path)
        except (BrokenWeights, UnknownArchitecture):
            continue


@pytest.mark.parametrize(
    "header",
    [
        {"__metadata__": {"architecture": 1}},
        {"__metadata__": []},
        b'{"__metadata__": null}',
        b"{}",
        b"[]",
        b'{"a": 1}',
        b"{" * 1000,
        b'{"__metadata__":{"architecture":"unet"},"__metadata__":{}}',
        {"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}},
        {"x": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
        {"x": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
    ],
    ids=lambda value: str(value)[:50],
)
def test_other_headers_are_refused(tmp_path, header):
    with pytest.raises(BrokenWeights):
        load_weights(handmade(tmp_path / "x.safetensors", header, bytes(4)))
    endless = tmp_path / "endless.safetensors"
    endless.write_bytes(b"\xff" * 8 + b"{}")
    with pytest.raises(BrokenWeights):
        load_weights(endless)


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


class Scripted(torch.nn.Module):
    def forward(self, x):
        return x


def saved(thing, **options):
    buffer = io.BytesIO()
    torch.save(thing, buffer, **options)
    return buffer.getvalue()


@pytest.fixture
def pickles(tmp_path):
    path = tmp_path / "scripted.pt"
    torch.jit.script(Scripted()).save(path)
    return {
        **{f"protocol {n}": pickle.dumps(Evil(), protocol=n) for n in range(2, 6)},
        "torch.save": saved({"head.bias": torch.zeros(1), "evil": Evil()}),
        "old torch.save": saved(Evil(), _use_new_zipfile_serialization=False),
        "TorchScript": path.read_bytes(),
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TorchScript
def test_pickles_and_torchscript_are_refused_unread(tmp_path, monkeypatch, pickles):
    monkeypatch.chdir(tmp_path)
    for name, data in pickles.items():
        path = tmp_path / "evil.safetensors"
        path.write_bytes(data)
        with pytest.raises(BrokenWeights, match="is refused unread: a pickle or TorchScript"):
            load_weights(path)
        assert not (tmp_path / "executed").exists(), name
    path.write_bytes(pickle.dumps(Evil(), protocol=0))  # nothing tells these from any other text
    with pytest.raises(BrokenWeights, match="or not safetensors"):
        load_weights(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("length", [0x280, 0x380, 0x480, 0x580])
def test_a_sound_file_that_begins_like_a_pickle(good, tmp_path, length):
    """A file begins with the length of its header, whose lowest byte may be a pickle's first."""
    data = good.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {f"{i}": torch.zeros(1) for i in range(4)}
    header = {
        "__metadata__": {"architecture": "nobody's"},
        **{
            k: {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]}
            for i, k in enumerate(tensors)
        },
    }
    text = json.dumps(header).encode().ljust(length)
    path = handmade(tmp_path / "like.safetensors", text, bytes(16))
    assert path.read_bytes().startswith(reading.PICKLES)
    assert not data[:start].startswith(reading.PICKLES)
    with pytest.raises(UnknownArchitecture, match="nobody"):
        load_weights(path)


def test_what_is_no_file_is_refused(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "nowhere.safetensors").symlink_to(tmp_path / "gone")
    (tmp_path / "endless.safetensors").symlink_to("/dev/zero")
    for name in ("missing", "pipe", "folder", "nowhere", "endless"):
        with pytest.raises(BrokenWeights, match=rf"^{name}\.safetensors is not there, or is not a"):
            load_weights(tmp_path / f"{name}.safetensors")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "large.safetensors"
    path.touch()
    os.truncate(path, reading.LARGEST + 1)
    with pytest.raises(BrokenWeights, match="has more than 536,870,912 bytes"):
        load_weights(path)


def test_a_file_that_grows_while_it_is_read(tmp_path):
    """What /proc says of its files' sizes is 0."""
    with pytest.raises(BrokenWeights, match="has more than 10 bytes"):
        reading.read_whole(Path("/proc/self/status"), 10)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(good):
    good.chmod(0)
    with pytest.raises(BrokenWeights, match="cannot be read"):
        load_weights(good)


def test_what_is_shipped_is_small_and_has_a_card():
    shipped = [
        *ROOT.glob("denoisers/weights/*.safetensors"),
        *ROOT.glob("adapters/local/weights/*.safetensors"),
    ]
    assert len(shipped) >= 2
    assert sum(p.stat().st_size for p in shipped) <= 40 * 2**20
    for path in shipped:
        card = path.with_suffix(".md").read_text()
        assert "surety train" in card
        assert hashlib.sha256(path.read_bytes()).hexdigest() in card


def test_a_network_that_could_not_be_kept_is_told_before_it_is_trained(monkeypatch):
    small = {"width": 4, "half": 1, "quarter": 1, "eighth": 1}
    for dtype in (torch.float32, torch.bfloat16):
        rehearse(UNet(**small), dtype)
    nameless = UNet(**small)
    del nameless.arguments
    with pytest.raises(BrokenWeights, match="UNet has no attribute `arguments`"):
        rehearse(nameless)
    other = UNet(**small)
    other.arguments = {**small, "width": 5}
    with pytest.raises(BrokenWeights, match="does not fit its architecture and arguments"):
        rehearse(other)
    monkeypatch.setattr("denoisers.weights.LARGEST", 1000)
    with pytest.raises(BrokenWeights, match="files up to 1,000 are loaded"):
        rehearse(UNet(**small))
