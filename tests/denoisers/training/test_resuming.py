"""The same curve for the same seed, resumed or not; never under other options."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from denoisers.dncnn import DnCNN
from denoisers.errors import BadCheckpoint, OutOfMemory
from denoisers.training import checkpoint
from denoisers.training.loop import Plan, fit
from tests.denoisers.training.scenes import (
    Brightness,
    curve,
    same,
    small_unet,
    stop_at,
    task,
    waves,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("mixed", [False, True])
def test_the_same_seed_gives_the_same_curve_and_resuming_repeats_it(tmp_path, mixed):
    plan = Plan(steps=12, log_steps=1, save_seconds=1e9, mixed=mixed)

    def made():
        return task(stability=0.5, surrogates=[Brightness(), Brightness(5.0)], jitter=2, even=0.5)

    whole = fit(made(), plan, tmp_path / "whole")
    again = fit(made(), plan, tmp_path / "again")
    with pytest.raises(KeyboardInterrupt):
        fit(made(), plan, tmp_path / "cut", watch=stop_at(5))
    rest = fit(made(), plan, tmp_path / "cut")
    assert len(curve(tmp_path / "whole")) == 12
    assert curve(tmp_path / "whole") == curve(tmp_path / "again") == curve(tmp_path / "cut")
    assert same(whole, again)
    assert same(whole, rest)
    other = fit(made(), Plan(steps=12, seed=1, log_steps=1, mixed=mixed), tmp_path / "other")
    assert not same(whole, other)


def test_what_a_network_draws_itself_is_repeated_too(tmp_path):
    plan = Plan(steps=8, log_steps=1, save_seconds=1e9)

    def made():
        network = small_unet()
        network.middle = nn.Sequential(network.middle, nn.Dropout(0.5))
        return task(network=network)

    whole = fit(made(), plan, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(made(), plan, tmp_path / "cut", watch=stop_at(3, signal.SIGTERM))
    torch.rand(17)  # what else happens in the process does not matter
    assert same(whole, fit(made(), plan, tmp_path / "cut"))
    assert curve(tmp_path / "whole") == curve(tmp_path / "cut")


SCRIPT = """
import sys, torch
from pathlib import Path
from tests.denoisers.training.test_resuming import forty_steps
torch.set_num_threads(1)
forty_steps(Path(sys.argv[1]))
"""


def forty_steps(out):
    made = task(stability=0.5, surrogates=[Brightness(), Brightness(5.0)], jitter=1)
    fit(made, Plan(steps=40, log_steps=1, save_seconds=0.0, mixed=True), out)


def test_kill_9_in_the_middle_and_the_same_curve_after_resuming(tmp_path):
    root = str(Path(__file__).parents[3])

    out, environment = tmp_path / "killed", {**os.environ, "PYTHONPATH": root}
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(out)], env=environment) as process:
        for _ in range(12000):
            log = out / "log.csv"
            if log.exists() and len(log.read_text().splitlines()) > 8:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=100) == -signal.SIGKILL
    assert len(curve(out)) < 40
    forty_steps(out)
    forty_steps(tmp_path / "whole")
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")
    whole, _ = checkpoint.load(tmp_path / "whole" / "checkpoint.safetensors")
    killed, _ = checkpoint.load(tmp_path / "killed" / "checkpoint.safetensors")
    assert same(whole, killed)


def test_resuming_under_other_options_is_refused_and_the_difference_named(tmp_path):
    plan = Plan(steps=2)

    def made(**other):
        return task(**{"stability": 1.0, "surrogates": [Brightness()]} | other)

    fit(made(), plan, tmp_path)
    told = {}
    for name, changed, other in (
        ("steps", made(), Plan(steps=3)),
        ("mixed", made(), Plan(steps=2, mixed=True)),
        ("warmup", made(), Plan(steps=2, warmup=0.5)),
        ("crop", made(size=15), plan),
        ("pictures", made(pictures=waves(25)), plan),
        ("surrogates", made(surrogates=[Brightness(2.0)]), plan),
        ("initial weights", made(network=small_unet(5)), plan),
        ("network", made(network=DnCNN(3, 4)), plan),
    ):
        with pytest.raises(BadCheckpoint) as error:
            fit(changed, other, tmp_path)
        told[name] = str(error.value)
        assert f"{name}: " in told[name]
        assert "--fresh" in told[name]
    assert "(steps: 2 then, 3 now)" in told["steps"]
    fit(task(), plan, tmp_path, resume=False)


def test_a_damaged_checkpoint_is_refused_and_fresh_begins_anew(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    fit(task(), Plan(steps=2), tmp_path)
    tensors, state = checkpoint.load(path)
    lacking = {k: v for k, v in tensors.items() if k != "average.head.bias"}
    shaped = {**tensors, "model.head.bias": torch.zeros(9)}
    for damaged, words in ((lacking, "does not fit"), (shaped, "does not fit")):
        checkpoint.save(path, damaged, state)
        with pytest.raises(BadCheckpoint, match=words):
            fit(task(), Plan(steps=2), tmp_path)
    checkpoint.save(path, tensors, {"step": 2})
    with pytest.raises(BadCheckpoint, match="another version"):
        fit(task(), Plan(steps=2), tmp_path)
    path.write_bytes(b"rubbish")
    with pytest.raises(BadCheckpoint, match="--fresh"):
        fit(task(), Plan(steps=2), tmp_path)

    def look(report):
        assert report.step > 1 or not path.exists()  # or a kill now would bring the old one back

    fit(task(), Plan(steps=2), tmp_path, resume=False, watch=look)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, torch.AcceleratorError])
def test_a_gpu_that_is_full_is_not_the_checkpoints_fault(tmp_path, monkeypatch, error):
    plan = Plan(steps=4, save_seconds=1e9)
    with pytest.raises(KeyboardInterrupt):
        fit(task(), plan, tmp_path, watch=stop_at(2))

    def full(*_):
        raise error("CUDA error")

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Optimizer, "load_state_dict", full)
        told = OutOfMemory if error is torch.OutOfMemoryError else error
        with pytest.raises(told, match=r"does not hold|CUDA error"):
            fit(task(), plan, tmp_path)
    steps = []
    fit(task(), plan, tmp_path, watch=lambda report: steps.append(report.step))
    assert steps == [3, 4]  # it has gone on where it was
