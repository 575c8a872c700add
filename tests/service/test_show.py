"""`surety denoisers show`: a sheet from a picture of one's own, and clear words otherwise."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.exit_codes import ExitCode
from tests.service import test_cli

surety = test_cli.surety


@pytest.fixture
def picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("mine.png")
    return Path("mine.png")


def test_one_sheet_beside_the_picture(surety, picture):
    done = surety("denoisers", "show", str(picture), "--sigma", "0.25,0.5,1.0")
    assert done.code == 0
    assert done.out == "mine-denoised.png\n"
    with Image.open("mine-denoised.png") as sheet:
        assert sheet.format == "PNG"
        tall = sheet.height
    again = surety("denoisers", "show", str(picture), "--sigma", "0.25")
    assert again.code == ExitCode.BAD_INPUT
    assert "--force" in again.err
    assert surety("denoisers", "show", str(picture), "--sigma", "0.25", "--force").code == 0
    with Image.open("mine-denoised.png") as sheet:
        assert sheet.height < tall / 2


def test_a_file_that_is_no_picture_is_named(surety, picture):
    Path("notes.png").write_text("no picture")
    done = surety("denoisers", "show", "notes.png")
    assert done.code == ExitCode.BAD_INPUT
    assert "notes.png: the upload is not a picture" in done.err


def test_several_denoisers_stand_side_by_side(surety, picture):
    one = ("denoisers", "show", str(picture), "--output", "one.png", "--denoiser", "clip")
    two = ("denoisers", "show", str(picture), "--output", "two.png", "--denoiser", "clip")
    assert surety(*one).code == 0
    assert surety(*two, "--denoiser", "cifar").code == 0
    with Image.open("one.png") as narrow, Image.open("two.png") as wide:
        assert wide.width > narrow.width


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--sigma", "0.25,x"), "--sigma must be numbers above 0 and at most 2"),
        (("--sigma", "3"), "--sigma must be"),
        (("--sigma", ""), "--sigma must be"),
        (("--sigma", "nan"), "--sigma must be"),
        (("--sigma", ",".join(["0.5"] * 21)), "at most 20"),
        (("--denoiser", "nobody"), "unknown denoiser 'nobody'"),
        (("--output", "nowhere/x.png"), "its folder does not exist"),
        (("--output", "mine.png", "--force"), "is one of the pictures"),
        (("--size", "0"), "size"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_and_nothing_is_written(surety, picture, arguments, says):
    before = sorted(Path().iterdir())
    done = surety("denoisers", "show", str(picture), *arguments)
    assert done.code == ExitCode.BAD_INPUT
    assert says in done.err
    assert sorted(Path().iterdir()) == before


def test_no_picture(surety, picture):
    Path("text.png").write_text("no picture")
    assert surety("denoisers", "show", "text.png").code == ExitCode.BAD_INPUT
    assert surety("denoisers", "show", "missing.png").code == ExitCode.BAD_INPUT
    assert surety("denoisers", "show").code == ExitCode.BAD_INPUT
