"""Training: resumable after a kill, the same curve for the same seed, clear about bad data."""

import csv
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from denoisers.errors import BadCheckpoint, BadData
from denoisers.training import checkpoint
from denoisers.training.data import load_pictures
from denoisers.training.denoise_task import DenoiseTask, quality
from denoisers.training.loop import Plan, fit
from denoisers.unet import UNet

pytestmark = pytest.mark.usefixtures("one_thread")


def pictures(root: Path, count=6, size=32, classes=("cat", "dog"), parts=("train", "test")):
    rng = np.random.default_rng(0)
    for part in parts:
        for name in classes:
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                array = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
                Image.fromarray(array).save(folder / f"{i:04}.png")
    return root


def curve(out: Path) -> list[tuple[str, ...]]:
    with (out / "log.csv").open() as file:
        return [(r["step"], r["loss"], r["metric"], r["rate"]) for r in csv.DictReader(file)]


def test_folder_and_zip_give_the_same_pictures(tmp_path):
    root = pictures(tmp_path / "data")
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(root.rglob("*.png")):
            file.write(path, "inner/" + path.relative_to(root).as_posix())
    one = load_pictures(root, "train", tmp_path / "c1")
    two = load_pictures(archive, "train", tmp_path / "c2")
    again = load_pictures(root, "train", tmp_path / "c1")
    assert one.classes == two.classes == ("cat", "dog")
    assert one.images.shape == (12, 3, 32, 32)
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.images, again.images)
    assert one.labels.tolist() == [0] * 6 + [1] * 6
    assert list(root.parent.glob("data/**/*.npy")) == []


def test_bad_data_is_named(tmp_path):
    with pytest.raises(BadData, match="does not exist"):
        load_pictures(tmp_path / "nowhere", "train", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="no pictures under train"):
        load_pictures(tmp_path / "empty", "train", tmp_path)
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(BadData, match="neither a folder nor a zip"):
        load_pictures(tmp_path / "text.zip", "train", tmp_path)
    root = pictures(tmp_path / "data")
    (root / "train/cat/0003.png").write_bytes(b"broken")
    with pytest.raises(BadData, match=r"train/cat/0003\.png"):
        load_pictures(root, "train", tmp_path / "cache")
    odd = pictures(tmp_path / "odd", size=30)
    with pytest.raises(BadData, match="30×30, not 32×32"):
        load_pictures(odd, "train", tmp_path / "cache")


def test_the_same_seed_gives_the_same_curve_and_resuming_repeats_it(tmp_path):
    images = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8)
    plan = Plan(steps=12, log_steps=1, save_seconds=1e9)

    def task():
        made = DenoiseTask(images, batch=8)
        return made

    whole = fit(task(), plan, tmp_path / "whole")
    again = fit(task(), plan, tmp_path / "again")

    def stop(report):
        if report.step == 5:  # as Ctrl-C does: the step ends first
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(task(), plan, tmp_path / "cut", watch=stop)
    rest = fit(task(), plan, tmp_path / "cut")
    assert curve(tmp_path / "whole") == curve(tmp_path / "again") == curve(tmp_path / "cut")
    for name, value in whole.items():
        assert torch.equal(value, again[name])
        assert torch.equal(value, rest[name])
    other = fit(task(), Plan(steps=12, seed=1, log_steps=1), tmp_path / "other")
    assert any(not torch.equal(whole[k], other[k]) for k in whole)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    images = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8)
    fit(DenoiseTask(images, batch=8), Plan(steps=1), tmp_path)
    with pytest.raises(BadCheckpoint, match="another training"):
        fit(DenoiseTask(images, batch=8), Plan(steps=2), tmp_path)
    fit(DenoiseTask(images, batch=8), Plan(steps=2), tmp_path, resume=False)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"rubbish")
    with pytest.raises(BadCheckpoint, match="--fresh"):
        fit(DenoiseTask(images, batch=8), Plan(steps=2), tmp_path)


def test_checkpoints_are_written_whole(tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {"a": torch.arange(3.0)}, {"step": 1})
    checkpoint.save(path, {"a": torch.arange(4.0)}, {"step": 2})
    tensors, state = checkpoint.load(path)
    assert state == {"step": 2}
    assert tensors["a"].tolist() == [0, 1, 2, 3]
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_training_learns_to_denoise(tmp_path):
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    waves = [128 + 80 * torch.sin(x * (0.2 + i / 40) + y / (4 + i)) for i in range(24)]
    images = torch.stack(waves).unsqueeze(1).expand(-1, 3, -1, -1).to(torch.uint8)
    task = DenoiseTask(images, batch=24)
    task.model = UNet(width=8, middle=1)
    weights = fit(task, Plan(steps=150, warmup=0.1, average=0.9), tmp_path)
    task.model.load_state_dict(weights)
    figures = quality(task.model, images)
    for level in ("0.25", "0.5", "1"):
        assert figures[level]["denoised"] > figures[level]["noisy"] + 3


SCRIPT = """
import sys, torch
from pathlib import Path
from denoisers.training.denoise_task import DenoiseTask
from denoisers.training.loop import Plan, fit
images = torch.randint(
    0, 256, (40, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
)
torch.set_num_threads(1)
fit(DenoiseTask(images, batch=8), Plan(steps=30, log_steps=1, save_seconds=0.0),
    Path(sys.argv[1]))
"""


def test_kill_9_in_the_middle_and_the_same_curve_after_resuming(tmp_path):
    def train(out, kill_after=None):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(out)], env=os.environ)
        if kill_after is not None:
            for _ in range(6000):
                log = out / "log.csv"
                if log.exists() and len(log.read_text().splitlines()) > kill_after:
                    break
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        return process.wait(timeout=100)

    assert train(tmp_path / "whole") == 0
    assert train(tmp_path / "killed", kill_after=8) == -signal.SIGKILL
    assert len(curve(tmp_path / "killed")) < 30
    assert train(tmp_path / "killed") == 0
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")
    whole, _ = checkpoint.load(tmp_path / "whole" / "checkpoint.safetensors")
    killed, _ = checkpoint.load(tmp_path / "killed" / "checkpoint.safetensors")
    assert all(torch.equal(whole[k], killed[k]) for k in whole)
