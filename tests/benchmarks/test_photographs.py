"""Which photographs are measured, and what is said of them."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks import photographs, psnr
from benchmarks.contestants import Entry
from benchmarks.photographs import held_out, named_class, print_clean, print_paired, spread
from benchmarks.report import Curve
from benchmarks.votes import Record
from denoisers.training.pictures import load_all


def samples(folder, count, first=0):
    """Photographs that are named as ImageNet samples are."""
    rng = np.random.default_rng(first)
    folder.mkdir(parents=True)
    for place in range(first, first + count):
        array = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(array).save(folder / f"{place:03}_n{place:08}_thing.png")
    return folder


@pytest.mark.parametrize(
    "parts", [("",), ("train", "test"), ("train",), ("photos/train", "photos/test"), ("a/train",)]
)
def test_what_is_measured_is_what_training_keeps_apart(tmp_path, parts):
    for number, part in enumerate(parts):
        samples(tmp_path / "all" / part, 20, first=30 * number)
    given = {"photos/train": ["photos/train", "photos/test"], "a/train": ["a/train"]}
    data = [tmp_path / "all" / each for each in given.get(parts[0], [""])]
    learnt, apart = load_all(data, tmp_path / "cache")
    measured = [f"{source.title}/{name}" for source, names in held_out(data) for name in names]
    assert measured == list(apart.names)
    assert not set(measured) & set(learnt.names)
    assert len(measured) == (20 if len(parts) == 2 else 2)


def test_data_of_which_nothing_is_kept_apart(tmp_path):
    with pytest.raises(SystemExit, match="keeps nothing apart"):
        held_out([samples(tmp_path / "few", 3)])


def test_pictures_by_which_weights_were_chosen_are_left_out():
    names = [f"{place:03}" for place in range(9, 1000, 10)]
    chosen = spread(names, 20)
    assert chosen == names[::5]
    rest = spread(names, 80, chosen_by=20)
    assert sorted([*chosen, *rest]) == names
    assert spread(names, 1000, chosen_by=20) == rest
    assert spread(names, 40, chosen_by=20) == rest[::2]
    assert spread(names, 5, chosen_by=100) == []


def test_the_class_that_a_name_says():
    assert named_class("009_n01518878_ostrich.jpg") == 9
    assert named_class("val/999_n15075141_toilet_tissue.jpg") == 999
    assert named_class("100075.jpg") is named_class("img_009_n01518878_ostrich.jpg") is None


def test_differences_are_those_of_the_same_pictures():
    mean, error = psnr.paired([30.5, 20.25, 25.0], [30.0, 20.0, 25.0])
    assert mean == pytest.approx(0.25)
    assert error == pytest.approx(0.25 / 3**0.5)


def test_each_denoiser_is_compared_where_both_are_measured(capsys):
    fifty, quarter = photographs.DNCNN_SIGMA, 0.25
    found = print_paired(
        {
            "noisy": {fifty: [1.0, 2.0], quarter: [1.0, 2.0]},
            "DnCNN 50/255": {fifty: [29.0, 31.0]},
            "FFDNet": {fifty: [30.0, 30.0], quarter: [20.0, 21.0]},
            "photo": {fifty: [30.0, 31.5], quarter: [20.0, 21.0]},
        }
    )
    assert found == {
        "photo": {
            "DnCNN 50/255": {"50/255": (0.75, pytest.approx(0.25))},
            "FFDNet": {"50/255": (0.75, pytest.approx(0.75)), "0.25": (0.0, 0.0)},
        }
    }
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[3].split()) == "photo – DnCNN 50/255 +0.750 ± 0.250 – – –"
    assert len({len(line) for line in lines[2:]}) == 1
    assert print_paired({"noisy": {quarter: [1.0]}, "photo": {quarter: [2.0]}}) == {}
    assert capsys.readouterr().out == ""


def test_clean_answers_are_compared_with_the_class_of_the_name(capsys):
    answers = {"007_n00000001_a.jpg": 7, "x/008_n00000002_b.jpg": 9, "other.jpg": 1}
    records = {name: Record(name, clean, clean, []) for name, clean in answers.items()}
    curves = [
        Curve("net", label, 0.25, {}, dict.fromkeys(answers, 0.0), records)
        for label in ("photo", "none")
    ]
    assert print_clean(curves) == {"net": 0.5}
    assert capsys.readouterr().out == (
        "net: the answer to 1 of 2 clean pictures is the class that their name says\n"
    )
    others = {"other.jpg": records["other.jpg"]}
    assert print_clean([Curve("net", "none", 0.25, {}, {"other.jpg": 0.0}, others)]) == {}


class Half(nn.Module):
    """Is called a denoiser."""

    def __init__(self, share):
        super().__init__()
        self.share = nn.Parameter(torch.tensor(share))

    def forward(self, noisy, sigma):
        return 0.5 + self.share * (noisy - 0.5)


class Shipped:
    weights_sha256, compute = "a", "float32"

    @staticmethod
    def clean(noisy, sigma):
        return noisy.clip(0, 255).astype(np.uint8)


def test_both_tables_and_what_is_kept_of_them(tmp_path, monkeypatch, capsys):
    """The command as a whole, on pictures that were not chosen by."""
    given = ["--data", str(samples(tmp_path / "photos", 60)), "--out", str(tmp_path / "out")]
    given += ["--psnr", "4", "--chosen-by", "2", "--denoiser", "none", "--ffdnet", "file"]
    (tmp_path / "file").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["photographs", *given])
    monkeypatch.setattr(photographs, "ffdnet", lambda _: Half(0.5))
    monkeypatch.setattr(photographs, "runtime_of", lambda *_: Shipped)
    monkeypatch.setattr(Entry, "network", lambda _: (Half(0.25), "b"))
    monkeypatch.setattr(photographs, "Runtime", lambda *_, **__: None)
    photographs.main()
    said = capsys.readouterr().out
    assert "PSNR in dB, 4 pictures of photos" in said
    assert "none – FFDNet, contrast" in said
    kept = json.loads((tmp_path / "out/results.json").read_text())["psnr"]["photos"]
    assert kept["pictures"] == 4
    (mean, error) = kept["more_than"]["none"]["FFDNet"]["1"]
    means = [kept["dB"][label]["1"] for label in ("none", "FFDNet")]
    assert mean == pytest.approx(means[0] - means[1])
    assert error > 0
    measured = (tmp_path / "out/psnr").glob("noisy-*")
    lines = [line for path in measured for line in path.read_text().splitlines()[1:]]
    places = {int(json.loads(line)["picture"][:3]) for line in lines}
    assert places == {19, 29, 49, 59}  # 9 and 39 are those of --psnr 2
