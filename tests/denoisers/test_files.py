"""Denoisers from the operator's own files: names, kinds, and what each becomes."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from denoisers import files
from denoisers.errors import BrokenWeights, NotUsable, UnknownArchitecture
from denoisers.onnx_denoiser import OnnxDenoiser
from denoisers.runtime import Runtime
from denoisers.unet import UNet
from denoisers.weights import save_weights
from tests.denoisers.graphs import write_blur

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        (" , ", {}),
        ("{}", {}),
        ("mine=a.onnx", {"mine": Path("a.onnx")}),
        (
            " b-2 = /srv/b.safetensors , a_1=../a b.ONNX,",
            {"b-2": Path("/srv/b.safetensors"), "a_1": Path("../a b.ONNX")},
        ),
        ("mine=~/a.onnx", {"mine": Path.home() / "a.onnx"}),
        ("mine=a=b.onnx", {"mine": Path("a=b.onnx")}),
        (' {"mine": "a,b=c.onnx"}', {"mine": Path("a,b=c.onnx")}),
        (
            {"mine": Path("a.onnx"), "other": "b.onnx"},
            {"mine": Path("a.onnx"), "other": Path("b.onnx")},
        ),
    ],
)
def test_the_setting(text, found):
    assert files.parse(text) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a.onnx", "'a.onnx' names no file: write name=path"),
        ("mine=", "'mine' names no file"),
        ("=a.onnx", "'' cannot be a denoiser's name"),
        ("Mine=a.onnx", "'Mine' cannot be a denoiser's name: up to 40 of a-z"),
        ("-mine=a.onnx", "cannot be a denoiser's name"),
        ("../x=a.onnx", "cannot be a denoiser's name"),
        ("mine\n=a.onnx,other\n\n=b.onnx,mine=c.onnx", "two files are called 'mine'"),
        ("é=a.onnx", "cannot be a denoiser's name"),
        ("x" * 41 + "=a.onnx", "cannot be a denoiser's name"),
        ("cifar=a.onnx", "a denoiser 'cifar' is installed: give the file another name"),
        ("none=a.onnx", "a denoiser 'none' is installed"),
        ("mine=a.onnx,mine=b.onnx", "two files are called 'mine'"),
        ('{"mine": "a.onnx", "mine": "b.onnx"}', "two files are called 'mine'"),
        ("{mine: a.onnx}", "this is no JSON"),
        ("{" * 100_000, "this is no JSON"),
        ('{"mine": 1}', "'mine' names no file"),
        ('{"mine": {"path": "a.onnx"}}', "'mine' names no file"),
        ("mine=~nobody-of-this-name/a.onnx", "no such home folder"),
        ("mine=a", "ends in .safetensors or .onnx"),
        *(
            (f"mine=folder/a{ending}", f"^a{ending}: a denoiser's file ends in .* TorchScript")
            for ending in (".pt", ".pth", ".pkl", ".ckpt", ".bin", ".ort", ".onnx.zip")
        ),
    ],
    ids=lambda value: value[:40],
)
def test_what_the_setting_cannot_hold(text, says):
    with pytest.raises(NotUsable, match=says):
        files.parse(text)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("auto.onnx", "auto-file"),
        ("mine.onnx", "mine"),
        ("a/b/My Net_v2.1.safetensors", "my-net_v2-1"),
        ("-_-.onnx", "file"),
        ("网络.onnx", "file"),
        ("x" * 100 + ".onnx", "x" * 34),
        ("cifar.safetensors", "cifar-file"),
    ],
)
def test_the_name_of_a_file_that_was_given_none(path, name):
    assert files.name_of(Path(path)) == name
    files.check(name, Path(path))


def test_weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    save_weights(UNet(width=4, half=1, quarter=1, eighth=1), path)
    denoiser = files.load("mine", path, "cpu")
    assert isinstance(denoiser, Runtime)
    assert (denoiser.name, denoiser.summary) == ("mine", "from the file net.safetensors")
    assert denoiser.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert denoiser.clean(np.zeros((2, 8, 9, 3), np.int16), 0.25).shape == (2, 8, 9, 3)


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_onnx(tmp_path, device):
    path = write_blur(tmp_path / "net.ONNX")
    denoiser = files.load("mine", path, device)
    assert isinstance(denoiser, OnnxDenoiser)
    assert (denoiser.name, denoiser.summary) == ("mine", "from the file net.ONNX")
    assert denoiser.compute == "cpu/onnx-float32"
    assert denoiser.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_cannot_be_loaded(tmp_path):
    with pytest.raises(NotUsable, match="is installed"):
        files.load("cifar", write_blur(tmp_path / "net.onnx"))
    for ending in (".onnx", ".safetensors"):
        path = tmp_path / f"gone{ending}"
        with pytest.raises(BrokenWeights, match=f"^gone{ending} is not there"):
            files.load("mine", path)
        path.write_bytes(pickle.dumps({"x": 1}))
        with pytest.raises(BrokenWeights, match="refused unread: a pickle"):
            files.load("mine", path)
    network = UNet(width=4, half=1, quarter=1, eighth=1)
    network.architecture = "nobodys"
    save_weights(network, path)
    with pytest.raises(UnknownArchitecture, match=r"gone\.safetensors: unknown arch.* 'nobodys'"):
        files.load("mine", path)


def test_a_weights_file_that_is_called_onnx(tmp_path):
    path = tmp_path / "net.onnx"
    save_weights(UNet(width=4, half=1, quarter=1, eighth=1), path)
    with pytest.raises(BrokenWeights, match="is no ONNX file"):
        files.load("mine", path)
