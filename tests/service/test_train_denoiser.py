"""`surety train denoiser`: every option, from the pictures to the figures, on tiny data."""

import json
import sys
import zipfile
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from denoisers.device import cpu_has_bfloat16
from denoisers.dncnn import DnCNN
from denoisers.unet import UNet
from denoisers.weights import load_weights, save_weights
from service.cli import app
from service.exit_codes import ExitCode

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ("--set", "width=4", "--set", "half=1", "--set", "quarter=1", "--set", "eighth=1")
QUICK = ("--steps", 3, "--batch", 4, "--device", "cpu")

ZOO = """
import torch
from torch import nn

class Halves(nn.Module):
    def __init__(self, slope):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, x):
        x = self.norm(x)
        assert x.shape[2:] == (32, 32), "made for 32×32"
        upper, lower = x[:, :, :16].mean((1, 2, 3)), x[:, :, 16:].mean((1, 2, 3))
        return self.slope * torch.stack([upper, lower], dim=1)

def halves(slope="5"):
    return Halves(float(slope))

def alone():
    class Squeezed(Halves):
        def forward(self, x):
            return super().forward(x).squeeze()
    return Squeezed(5.0)

def full():
    made = halves()
    def to(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")
    made.to = to
    return made
"""


@pytest.fixture
def surety(tmp_path, monkeypatch):
    """The command in this process, in a folder of its own that holds zoo.py."""
    (tmp_path / "zoo.py").write_text(ZOO)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delitem(sys.modules, "zoo", raising=False)

    def run(*arguments):
        return CliRunner().invoke(app, ["train", *map(str, arguments)])

    yield run
    sys.modules.pop("zoo", None)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twenty pictures of 32×32 in a zip, and ten photographs in a folder."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)

    def drawn(height, width):
        low = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        return Image.fromarray(low).resize((width, height), Image.Resampling.BICUBIC)

    (root / "photos").mkdir()
    for i in range(10):
        drawn(40, 50).save(root / f"photos/{i}.jpg")
    with zipfile.ZipFile(root / "small.zip", "w") as archive:
        for i in range(20):
            drawn(32, 32).save(root / "one.png")
            archive.write(root / "one.png", f"{i:02}.png")
    return root


def onnx_model(path, side=12):
    """Write a classifier of uint8 (1, side, side, 3): which colour is strongest?"""
    nodes = [
        helper.make_node("Cast", ["picture"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers", "axes"], ["scores"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("picture", TensorProto.UINT8, (1, side, side, 3))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, (1, 3))],
        [numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def test_everything_at_once(surety, pictures, tmp_path):
    model = onnx_model(tmp_path / "colour.onnx")
    arguments = (
        *("denoiser", "--data", pictures / "small.zip", "--data", pictures / "photos"),
        *("--out", "run", *SMALL, *QUICK, "--mixed", "--half", "--seed", 7, "--rate", 1e-3),
        *("--mse", 1, "--stability", 0.1, "--surrogate", "zoo:halves"),
        *("--surrogate", "zoo:halves=9", "--check", model, "--check", "zoo:halves=2"),
        *("--sigma", "0.1,0.6", "--even", 0.5, "--jitter", 2, "--hold-out", 5, "--warmup", 0.2),
        *("--focus", "0.2,0.3", "--relative", "--turns"),
    )
    done = surety(*arguments)
    assert done.exit_code == 0, done.output
    assert "24 pictures to learn from, 6 to measure with" in done.stderr
    figures = json.loads(done.stdout.splitlines()[0])
    assert figures == json.loads((tmp_path / "run/figures.json").read_text())
    fast = cpu_has_bfloat16()
    assert (figures["steps"], figures["seed"], figures["mixed"]) == (3, 7, fast)
    assert ("--mixed is left out" in done.stderr) is not fast
    assert set(figures["psnr"]) == {"0.1", "0.25", "0.5"}
    assert list(figures["kept"]) == ["colour.onnx", "zoo:halves=2", "zoo:halves", "zoo:halves=9"]
    for shares in figures["kept"].values():
        assert set(shares) == {"0.1", "0.25", "0.5"}
        assert all(0 <= share <= 1 for share in shares.values())
    assert figures["trained"]["sigma"] == [0.1, 0.6]
    assert figures["trained"]["focus"] == [0.2, 0.3]
    assert figures["trained"]["relative"] is figures["trained"]["turns"] is True
    assert len(figures["trained"]["surrogates"]) == 2
    ElementTree.fromstring((tmp_path / "run/curve.svg").read_text())  # noqa: S314
    network, sha256 = load_weights(tmp_path / "run/weights.safetensors")
    assert network.arguments == {"width": 4, "half": 1, "quarter": 1, "eighth": 1}
    assert sha256 == figures["weights_sha256"]
    kinds = {t.dtype for t in load_file(tmp_path / "run/weights.safetensors").values()}
    assert kinds == {torch.bfloat16}
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"cache", "checkpoint.safetensors", "log.csv", "curve.svg", "figures.json",
                     "weights.safetensors"}  # fmt: skip

    before = (tmp_path / "run/log.csv").read_bytes()
    again = surety(*arguments)  # of a run that has ended: only measured again
    assert json.loads(again.stdout.splitlines()[0])["psnr"] == figures["psnr"]
    assert (tmp_path / "run/log.csv").read_bytes() == before
    other = surety(*arguments, "--rate", 2e-3)
    assert other.exit_code == ExitCode.BAD_INPUT
    assert "(rate: 0.001 then, 0.002 now)" in other.stderr
    fresh = surety(*arguments, "--rate", 2e-3, "--fresh")
    assert fresh.exit_code == 0, fresh.output


def test_a_full_memory_is_told_before_the_first_step_too(surety, pictures, tmp_path):
    common = ("denoiser", "--data", pictures / "small.zip", *SMALL, *QUICK, "--out", "run")
    done = surety(*common, "--stability", 0.1, "--surrogate", "zoo:full")
    assert done.exit_code == ExitCode.BAD_INPUT, done.output
    assert "the memory is full: end what else takes it" in " ".join(done.stderr.split())
    assert not (tmp_path / "run/checkpoint.safetensors").exists()


def test_a_surrogate_that_fails_on_one_picture_is_told_before_the_training(
    surety, pictures, tmp_path
):
    common = ("denoiser", "--data", pictures / "small.zip", *SMALL, *QUICK, "--out", "run")
    done = surety(*common, "--stability", 0.1, "--surrogate", "zoo:alone")
    assert done.exit_code == ExitCode.BAD_INPUT, done.output
    assert "for 1 pictures" in done.stderr
    assert not (tmp_path / "run/log.csv").exists()


def test_what_lies_beside_is_imported_only_where_code_is_named(surety, pictures, tmp_path):
    """Torch imports modules of Python while it trains: one of that name is not to be run."""
    common = ("denoiser", "--data", pictures / "small.zip", *SMALL, *QUICK, "--out", "run")
    assert surety(*common).exit_code == 0
    assert not {"", str(tmp_path)} & set(sys.path)
    assert surety(*common, "--check", "zoo:halves").exit_code == 0
    assert sys.path[0] == str(tmp_path)


@pytest.mark.parametrize("wrong", ["contrast=0", "contrast=1001", "again=101", "mirror=2"])
def test_a_finish_that_no_network_can_have(surety, pictures, wrong):
    done = surety("denoiser", "--data", pictures / "small.zip", *SMALL, *QUICK, "--set", wrong)
    assert done.exit_code == ExitCode.BAD_INPUT
    assert f"{wrong.partition('=')[0]} must be from" in done.stderr


def test_what_is_stopped_before_its_first_step_has_no_checkpoint(surety, pictures, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("denoisers.training.pictures.load_all", stopped)
    command = ("denoiser", "--data", pictures / "small.zip", *SMALL, *QUICK)
    for options, says in (((), "stopped: the same command goes on"), (("--fresh",), "stopped")):
        done = surety(*command, *options)
        assert done.exit_code == ExitCode.CANCELLED
        assert done.stderr.splitlines()[-1] == says


def test_another_architecture_and_a_start_from_its_weights(surety, pictures, tmp_path):
    common = ("denoiser", "--data", pictures / "small.zip", *QUICK)
    small = ("--architecture", "dncnn", "--set", "depth=3", "--set", "width=4")
    done = surety(*common, "--out", "one", *small)
    assert done.exit_code == 0, done.output
    first, _ = load_weights(tmp_path / "one/weights.safetensors")
    assert isinstance(first, DnCNN)
    done = surety(*common, "--out", "two", "--init", "one/weights.safetensors", "--rate", 1e-5)
    assert done.exit_code == 0, done.output
    second, _ = load_weights(tmp_path / "two/weights.safetensors")
    assert second.arguments == first.arguments
    moved = [(a - b).abs().max() for a, b in zip(first.parameters(), second.parameters())]  # noqa: B905
    assert 0 < max(moved) < 1e-3
    begun = (tmp_path / "two/weights.safetensors").read_bytes()
    for fresh in ((), ("--fresh",)):
        done = surety(*common, *fresh, "--out", "two", "--init", "two/weights.safetensors")
        assert done.exit_code == ExitCode.BAD_INPUT
        assert "two/weights.safetensors would be overwritten" in done.stderr
    assert (tmp_path / "two/weights.safetensors").read_bytes() == begun
    (tmp_path / "other.safetensors").write_bytes(begun)
    done = surety(*common, "--out", "two", "--init", "other.safetensors", "--rate", 1e-5)
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "initial weights: " in done.stderr


def test_the_command_does_the_steps_that_the_pieces_do(surety, pictures, tmp_path):
    from denoisers.training.denoise_task import DenoiseTask, Objective
    from denoisers.training.loop import Plan, fit
    from denoisers.training.pictures import load_all

    data = pictures / "small.zip"
    done = surety("denoiser", "--data", data, "--out", "run", *SMALL, *QUICK, "--seed", 5)
    assert done.exit_code == 0, done.output
    train, _ = load_all([data], tmp_path / "cache")
    torch.manual_seed(5)
    network = UNet(4, 1, 1, 1)
    task = DenoiseTask(network, train, Objective(batch=4, seed=5))
    network.load_state_dict(fit(task, Plan(steps=3, seed=5, warmup=0.1), tmp_path / "pieces"))
    save_weights(network, tmp_path / "pieces.safetensors")
    assert (tmp_path / "pieces.safetensors").read_bytes() == (
        tmp_path / "run/weights.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("side", [31, 2049])
def test_a_second_size_that_holds_no_square_is_refused(surety, pictures, tmp_path, side):
    done = surety("denoiser", "--data", pictures / "small.zip", "--out", "run", "--also-at", side)
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "--also-at must be from --crop, 32, to 2048 pixels" in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_curve_can_be_drawn_again(surety, pictures, tmp_path):
    surety("denoiser", "--data", pictures / "small.zip", "--out", "run", *SMALL, *QUICK)
    curve = tmp_path / "run/curve.svg"
    before = curve.read_text()
    curve.unlink()
    done = surety("plot", "run")
    assert done.exit_code == 0
    assert done.stdout == "run/curve.svg\n"
    assert curve.read_text() == before
    assert ">dB<" in before
    done = surety("plot", "nowhere")
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "nowhere holds no log.csv" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--data", "nowhere"), "nowhere does not exist"),
        (("--sigma", "1,0.1"), "--sigma must be"),
        (("--sigma", "nan"), "--sigma 'nan' is no range"),
        (("--sigma", "0.1,0.2,0.3"), "is no range"),
        (("--sigma", "low"), "is no range"),
        (("--rate", "nan"), "--rate must be"),
        (("--mse", "nan"), "--mse and --stability"),
        (("--mse", "0"), "one of them"),
        (("--relative", "--mse", "0", "--stability", "0.1"), "--relative is about the squared"),
        (("--stability", "inf"), "--mse and --stability"),
        (("--even", "-1"), "--even must be"),
        (("--focus", "0.2,2"), "--focus must be"),
        (("--focus", "some"), "--focus 'some' is no range"),
        (("--warmup", "nan"), "--warmup must be"),
        (("--crop", "33"), "smaller --crop"),
        (("--crop", "1"), "--crop must be"),
        (("--jitter", "40"), "--jitter must be"),
        (("--jitter", "2"), "--jitter and --stable-from are about --stability"),
        (("--stable-from", "0.25"), "--jitter and --stable-from are about --stability"),
        (("--seed", "9" * 20), "--seed must be"),
        (("--device", "tpu"), "--device is auto, cpu, cuda or cuda:N"),
        (("--device", "cuda:99"), "--device=cpu always is"),
        (("--architecture", "vgg"), "unknown architecture 'vgg'"),
        (("--set", "width"), "--set 'width' must be"),
        (("--set", "width=-3"), "must be a name and a whole number"),
        (("--set", "width=5"), "gives 'width' twice"),
        (("--set", "depth=3"), "does not take the arguments"),
        (("--set", "other=99999"), "numbers up to"),
        (("--init", "weights.safetensors", "--architecture", "unet"), "leave --architecture out"),
        (("--surrogate", "zoo:halves"), "--surrogate needs --stability"),
        (("--stability", "0.1"), "at least one surrogate"),
        (("--stability", "0.1", "--surrogate", "zoo:horses"), "'zoo:horses' cannot be made"),
        (("--stability", "0.1", "--surrogate", "zoo:halves=nan"), "not finite"),
        (("--stability", "0.1", "--surrogate", "zoo:halves", "--crop", "16"), "made for 32×32"),
        (("--stability", "0.1", "--surrogate", "model.onnx"), "--check measures"),
        (("--check", "nowhere.onnx"), "nowhere.onnx does not exist"),
        (("--check", "zoo.py"), "no usable ONNX model"),
        (("--check", "zoo:horses"), "'zoo:horses' cannot be made"),
        (("--check", "zoo:halves", "--check", "zoo:halves"), "zoo:halves twice"),
        (("--out", "zoo.py"), "zoo.py"),
    ],
)
def test_what_goes_wrong_is_one_line_that_says_how_to_mend_it(surety, pictures, options, words):
    given = ("denoiser", "--data", pictures / "small.zip", "--out", "run", *SMALL, *QUICK)
    done = surety(*given, *options)
    assert done.exit_code == ExitCode.BAD_INPUT, done.output
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not isinstance(done.exception, Exception) or isinstance(done.exception, SystemExit)


def test_a_network_that_has_learnt_grows(surety, pictures, tmp_path):
    data = ("--data", pictures / "small.zip")
    assert surety("denoiser", *data, *SMALL, *QUICK, "--out", "one").exit_code == 0
    begun = ("--init", "one/weights.safetensors")
    done = surety("denoiser", *data, *begun, "--set", "width=12", *QUICK, "--out", "two")
    assert done.exit_code == 0, done.output
    network = load_weights(tmp_path / "two" / "weights.safetensors")[0]
    assert network.arguments == {"width": 12, "half": 1, "quarter": 1, "eighth": 1}
    for change, words in (("width=3", "can only grow"), ("depth=9", "does not take the")):
        done = surety("denoiser", *data, *begun, "--set", change, *QUICK, "--out", "three")
        assert done.exit_code == ExitCode.BAD_INPUT
        assert words in done.stderr
    dncnn = ("--architecture", "dncnn", "--set", "depth=3", "--set", "width=4")
    assert surety("denoiser", *data, *dncnn, *QUICK, "--out", "four").exit_code == 0
    flat = ("--init", "four/weights.safetensors", "--set", "width=8")
    done = surety("denoiser", *data, *flat, *QUICK, "--out", "five")
    assert "'dncnn' cannot grow" in done.stderr


@pytest.mark.parametrize("half", [(), ("--half",)])
def test_a_network_that_has_learnt_is_finished(surety, pictures, tmp_path, half):
    data = ("--data", pictures / "small.zip")
    assert surety("denoiser", *data, *SMALL, *QUICK, *half, "--out", "one").exit_code == 0
    learnt, made = "one/weights.safetensors", tmp_path / "made.safetensors"
    done = surety("finish", learnt, made, "--mirror", "--again", 5, "--contrast", 130)
    assert done.exit_code == 0, done.output
    before, after = load_weights(tmp_path / learnt)[0], load_weights(made)[0]
    assert after.arguments == before.arguments | {"mirror": 1, "again": 5, "contrast": 130}
    noisy, sigma = torch.rand(1, 3, 16, 16), torch.full((1,), 0.25)
    assert not torch.allclose(after(noisy, sigma), before(noisy, sigma), atol=1e-3)
    plain = tmp_path / "plain.safetensors"
    done = surety("finish", made, plain)
    assert done.exit_code == 0
    assert "finished before (mirror 1, again 5, contrast 130): these options replace" in done.stderr
    assert plain.read_bytes() == (tmp_path / learnt).read_bytes()
    for given, words in (
        ((learnt, made), "made.safetensors is there already"),
        (("nowhere.safetensors", "new.safetensors"), "nowhere.safetensors"),
        ((learnt, "nowhere/new.safetensors"), "nowhere/new"),
        ((learnt, "new.onnx"), "new.onnx: weights files end in .safetensors"),
    ):
        done = surety("finish", *given)
        assert done.exit_code == ExitCode.BAD_INPUT, done.output
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
    dncnn = ("--architecture", "dncnn", "--set", "depth=3", "--set", "width=4")
    assert surety("denoiser", *data, *dncnn, *QUICK, "--out", "four").exit_code == 0
    done = surety("finish", "four/weights.safetensors", "five.safetensors")
    assert "'dncnn' cannot be finished" in done.stderr
    assert not (tmp_path / "five.safetensors").exists()


def test_the_mean_of_trainings_and_what_one_had_learnt_when_it_was_ended(
    surety, pictures, tmp_path
):
    data = ("--data", pictures / "small.zip")
    for out, seed in (("one", 1), ("two", 2)):
        given = (*SMALL, *QUICK, "--out", out, "--seed", seed)
        assert surety("denoiser", *data, *given).exit_code == 0
    files = [f"{out}/weights.safetensors" for out in ("one", "two")]
    states = [load_weights(tmp_path / name)[0].state_dict() for name in files]
    done = surety("mean", *files, "--shares", "4,1", "--output", "made.safetensors")
    assert done.exit_code == 0, done.output
    made = load_weights(tmp_path / "made.safetensors")[0]
    assert made.arguments == {"width": 4, "half": 1, "quarter": 1, "eighth": 1}
    for name, value in made.state_dict().items():
        expected = 0.8 * states[0][name] + 0.2 * states[1][name]
        assert torch.allclose(value, expected, atol=1e-7), name
    checkpoint = tmp_path / "one/checkpoint.safetensors"
    with safe_open(checkpoint, "pt") as file:
        said = file.metadata()
    state = json.loads(said["state"])
    state["identity"]["network"] = 'unet {"width": 1024, "half": 9, "quarter": 9, "eighth": 9}'
    large = {**said, "state": json.dumps(state)}
    save_file(load_file(checkpoint), tmp_path / "large.safetensors", large)
    done = surety("mean", "large.safetensors", "--output", "new.safetensors")
    assert done.exit_code == ExitCode.BAD_INPUT, done.output
    assert "large.safetensors does not fit its architecture and arguments" in done.stderr
    # A checkpoint holds the moving average that the end of the training saves.
    done = surety("mean", "one/checkpoint.safetensors", "--output", "again.safetensors")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / files[0]).read_bytes()
    done = surety("mean", *files, "--half", "--output", "half.safetensors")
    assert done.exit_code == 0
    kinds = {t.dtype for t in load_file(tmp_path / "half.safetensors").values()}
    assert kinds == {torch.bfloat16}
    wide = ("--set", "width=8", "--set", "half=1", "--set", "quarter=1", "--set", "eighth=1")
    assert surety("denoiser", *data, *wide, *QUICK, "--out", "wide").exit_code == 0
    surety("finish", files[0], "finished.safetensors", "--mirror")
    new = ("--output", "new.safetensors")
    for given, words in (
        ((*files, "--output", "made.safetensors"), "made.safetensors is there already"),
        ((*files, "--shares", "1", *new), "'1' are not 2 numbers above 0"),
        ((*files, "--shares", "1,nan", *new), "are not 2 numbers above 0"),
        ((files[0], "wide/weights.safetensors", *new), "different architectures or sizes"),
        ((files[0], "finished.safetensors", *new), "finished differently"),
        (("nowhere.safetensors", *new), "nowhere.safetensors"),
    ):
        done = surety("mean", *given)
        assert done.exit_code == ExitCode.BAD_INPUT, done.output
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "new.safetensors").exists()


def test_weights_to_begin_with_that_cannot_be_used(surety, pictures, tmp_path):
    (tmp_path / "rubbish.safetensors").write_bytes(b"rubbish")
    for name in ("one/nowhere.safetensors", "rubbish.safetensors"):
        done = surety("denoiser", "--data", pictures / "small.zip", *QUICK, "--init", name)
        assert done.exit_code == ExitCode.BAD_INPUT
        assert name in done.stderr
        assert done.stderr.count("\n") == 1


def test_help_says_where_surrogates_are_looked_for(surety):
    told = " ".join(surety("denoiser", "--help").stdout.replace("│", " ").split())
    assert "the current directory is searched first, as with python -m" in told
    assert "MODULE:FUNCTION" in told
    assert "MODEL.onnx" in told
