"""`surety train`: from a folder of pictures to weights that load, stopped and taken up again."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from adapters.local.labels import LABELS
from adapters.local.weights import load_classifier
from denoisers.weights import load_weights
from service.cli import app
from service.exit_codes import ExitCode
from tests.denoisers.training.scenes import noise_pictures
from tests.service.command import PATIENCE


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("test", 1)):
        for name in LABELS:
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


SMALL = [f"--set={size}" for size in ("width=8", "half=1", "quarter=1", "eighth=1")]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def surety(one_thread):
    def run(*arguments):
        return CliRunner().invoke(app, ["train", *map(str, arguments)])

    return run


def test_a_classifier(surety, data, tmp_path):
    out = tmp_path / "out"
    arguments = ("classifier", "--data", data, "--out", out, "--epochs", 0.5, "--batch", 10)
    done = surety(*arguments)
    assert done.exit_code == 0, done.output
    figures = json.loads((out / "figures.json").read_text())
    assert (figures["steps"], figures["test_pictures"]) == (2, 10)
    assert 0 <= figures["test_accuracy"] <= 1
    assert figures == json.loads(done.stdout.splitlines()[0])
    shares = load_classifier(out / "weights.safetensors").probabilities(
        np.zeros((1, 32, 32, 3), dtype=np.uint8)
    )
    assert shares.shape == (1, 10)
    assert ">accuracy<" in (out / "curve.svg").read_text()
    assert surety(*arguments).exit_code == 0
    other = surety(*arguments[:-1], 20, "--epochs", 1)
    assert other.exit_code == ExitCode.BAD_INPUT
    assert "(batch: 10 then, 20 now)" in other.stderr


COLOURS = """
import torch
from safetensors.torch import load_file
from torch import nn

def network(path=None, classes=3):
    made = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, int(classes)))
    if path is not None:
        made.load_state_dict(load_file(path))
    return made

def fixed():
    made = network()
    made.append(nn.Linear(3, 3))
    for layer, learns in ((made[2], False), (made[3], True)):
        nn.init.constant_(layer.weight, 0.5).requires_grad_(learns)
    return made

def four(_=None):
    return network(classes=4)
"""


@pytest.fixture
def colours(tmp_path, monkeypatch):
    """Labelled pictures of three kinds, of another size, and a stranger's network for them."""
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for place, name in enumerate(("blue", "green", "red")):
            folder = tmp_path / "colours" / part / name
            folder.mkdir(parents=True)
            for i in range(10):
                pixels = rng.integers(0, 100, (24, 24, 3), dtype=np.uint8)
                pixels[:, :, 2 - place] += 120
                Image.fromarray(pixels).save(folder / f"{i}.png")
    (tmp_path / "hues.py").write_text(COLOURS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "hues", raising=False)
    return tmp_path / "colours"


OF_COLOURS = ("--size", 24, "--network", "hues:network", "--batch", 10)


def test_a_surrogate_of_a_strangers_kind_and_a_denoiser_that_learns_from_it(
    surety, colours, tmp_path
):
    own = ("classifier", "--data", colours, *OF_COLOURS)
    robust = (*own, "--robust", 0.5, "--out", tmp_path / "s")
    done = surety(*robust, "--epochs", 20)
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "s" / "figures.json").read_text())
    assert figures["test_accuracy"] == 1.0
    assert figures["classes"] == ["blue", "green", "red"]
    assert figures["trained"]["robust"] == 0.5
    begun = surety(*own, "--init", tmp_path / "s" / "weights.safetensors", "--out", tmp_path / "t")
    assert begun.exit_code == 0, begun.output
    learnt = surety(
        *("denoiser", "--data", colours, "--out", tmp_path / "d", "--steps", 3, "--batch", 4),
        *("--crop", 24, "--stability", 0.1, *SMALL),
        *("--surrogate", f"hues:network={tmp_path / 's' / 'weights.safetensors'}"),
    )
    assert learnt.exit_code == 0, learnt.output
    other = surety(*robust[:-3], 0.7, *robust[-2:], "--epochs", 20)
    assert "(robust: 0.5 then, 0.7 now)" in other.stderr


def test_a_classifier_goes_on_with_the_same_labels_alone(surety, colours, tmp_path):
    own = ("classifier", "--data", colours, *OF_COLOURS, "--out", tmp_path / "s", "--epochs", 1)
    assert surety(*own).exit_code == 0
    (colours / "train/green/0.png").rename(colours / "train/blue/9a.png")  # the order stays
    done = surety(*own)
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "(labels: " in done.stderr
    weights = tmp_path / "s/weights.safetensors"
    done = surety(*own, "--fresh", "--init", weights)
    assert f"{weights} would be overwritten" in done.stderr.replace("\n", "")


def test_layers_that_a_network_has_fixed_stay_so(surety, colours, tmp_path):
    done = surety(
        *("classifier", "--data", colours, "--size", 24, "--network", "hues:fixed"),
        *("--batch", 10, "--epochs", 2, "--out", tmp_path / "s"),
    )
    assert done.exit_code == 0, done.output
    learnt = load_file(tmp_path / "s/weights.safetensors")
    assert learnt["2.weight"].eq(0.5).all()
    assert not learnt["3.weight"].eq(0.5).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "not 32×32"),
        (("--size", 24), "--size needs --network"),
        ((*OF_COLOURS, "--robust", -1), "--robust must be"),
        ((*OF_COLOURS, "--robust", "nan"), "--robust must be"),
        ((*OF_COLOURS, "--rate", 0), "--rate must be"),
        ((*OF_COLOURS, "--init", "hues.py"), "does not fit the network"),
        ((*OF_COLOURS, "--init", "none.safetensors"), "none.safetensors"),
        (("--size", 24, "--network", "hues:four"), "there are 3 classes"),
        (("--size", 24, "--network", "hues:absent"), "no attribute 'absent'"),
        (("--size", 24, "--network", "hues:four=x", "--robust", 1), "there are 3 classes"),
        (("--size", 16, "--network", "hues:network"), "not 16×16"),
    ],
)
def test_what_is_no_surrogate_to_train_is_one_line(surety, colours, tmp_path, options, words):
    done = surety("classifier", "--data", colours, "--out", tmp_path / "s", *options)
    assert done.exit_code == ExitCode.BAD_INPUT
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "s" / "weights.safetensors").exists()


def test_the_built_in_classifier_knows_its_ten_classes_alone(surety, tmp_path):
    done = surety("classifier", "--data", noise_pictures(tmp_path / "d"), "--out", tmp_path / "s")
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "not cat, dog: for others, give a --network" in done.stderr


def test_a_denoiser_stopped_and_taken_up_again(surety, data, tmp_path):
    out = tmp_path / "out"
    arguments = ("denoiser", "--data", data, "--out", out, "--steps", 200, "--batch", 4, *SMALL)
    command = [sys.executable, "-m", "service.cli", "train", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ONE_THREAD) as process:
        until = time.monotonic() + PATIENCE
        while not (out / "log.csv").exists() and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == ExitCode.CANCELLED, told
    assert "the same command goes on" in told
    assert "Traceback" not in told
    assert (out / "checkpoint.safetensors").exists()
    assert not (out / "weights.safetensors").exists()

    done = surety(*arguments)
    assert done.exit_code == 0, done.output
    psnr = json.loads((out / "figures.json").read_text())["psnr"]
    assert set(psnr) == {"0.1", "0.25", "0.5", "1"}
    load_weights(out / "weights.safetensors")

    other = surety(*arguments, "--steps", 9)
    assert other.exit_code == ExitCode.BAD_INPUT
    assert "another training (steps: 200 then, 9 now)" in other.stderr


@pytest.mark.parametrize("kind", ["classifier", "denoiser"])
@pytest.mark.parametrize("where", ["/proc/surety", "{file}/out", "{file}"])
def test_a_folder_that_cannot_be_made_is_one_line(surety, data, tmp_path, kind, where):
    file = tmp_path / "file"
    file.write_text("no folder")
    done = surety(kind, "--data", data, "--out", where.format(file=file))
    assert done.exit_code == ExitCode.BAD_INPUT
    assert done.stderr.count("\n") == 1
    assert "unexpected" not in done.stderr


def test_bad_data_is_one_line(surety, tmp_path):
    for kind in ("classifier", "denoiser"):
        done = surety(kind, "--data", tmp_path / "none", "--out", tmp_path / "out")
        assert done.exit_code == ExitCode.BAD_INPUT
        assert done.stderr.count("\n") == 1
        assert "does not exist" in done.stderr


def test_a_classifier_whose_test_part_is_wrong_is_told_before_it_is_trained(
    surety, colours, tmp_path
):
    """After hours it would be no use, and each further try would end as the first one did."""
    folder = next(path for path in (colours / "test").iterdir())
    folder.rename(folder.with_name("another"))
    arguments = ("--data", colours, *OF_COLOURS, "--epochs", 1)
    done = surety("classifier", *arguments, "--out", tmp_path / "out")
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "test has a class 'another', which is none of those learnt" in done.stderr
    assert not (tmp_path / "out/checkpoint.safetensors").exists()
