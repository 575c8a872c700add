"""What is learnt and what is kept apart, by the names of folders and of the collections."""

import zipfile
from pathlib import Path

import pytest

from denoisers.errors import BadData
from denoisers.training.parting import how, split
from denoisers.training.pictures import load_all
from denoisers.training.sources import open_source
from tests.denoisers.training.scenes import noise_pictures
from tests.denoisers.training.test_pictures import names, photographs


def test_parts_that_are_given_one_by_one_are_parts_too(tmp_path):
    root = noise_pictures(tmp_path / "xray", count=10, parts=("Train", "test"))
    said = []
    together = load_all([root], tmp_path / "cache")
    apart = load_all([root / "Train", root / "test"], tmp_path / "cache", tell=said.append)
    assert said == [
        "Train: by its own name, all to learn from",
        "test: by its own name, all to measure with",
    ]
    for one, other in zip(together, apart, strict=True):
        assert names(one) == [name.replace("xray/", "") for name in other.names]
        assert one.digest == other.digest
    # Alone the one is split, and nothing is learnt from the other.
    train, test = load_all([root / "Train"], tmp_path / "cache", tell=said.append)
    assert (len(train), len(test)) == (18, 2)
    assert said[2] == "Train: by its own name, one of 10 is kept apart to measure with"
    with pytest.raises(BadData, match="never learnt"):
        load_all([root / "test"], tmp_path / "cache")
    photos = photographs(tmp_path / "photos")
    train, test = load_all([photos, root / "test"], tmp_path / "cache", also_at=16)
    assert (len(train), len(test)) == (36, 44)


@pytest.mark.parametrize("own", ["TEST.zip", "Train.zip", "."])
def test_zips_and_the_folder_one_stands_in_have_names_too(tmp_path, monkeypatch, own):
    photos = photographs(tmp_path / "Test")
    if own == ".":
        monkeypatch.chdir(photos)
    else:
        with zipfile.ZipFile(tmp_path / own, "w") as archive:
            for path in sorted(photos.iterdir()):
                archive.write(path, f"inside/{path.name}")
        monkeypatch.chdir(tmp_path)
    (learnt, measured), _ = split([open_source(Path(own)), open_source(photos)])
    assert (len(learnt), len(measured)) == ((20, 0) if "rain" in own else (0, 20))


def test_what_is_called_test_on_any_level_is_never_learnt(tmp_path):
    """A class may be called train, and a project too."""
    photographs(tmp_path / "test" / "train", 5)
    photographs(tmp_path / "test" / "car", 5)
    assert [tuple(map(len, each)) for each in split([open_source(tmp_path / "test")])] == [(0, 10)]
    project = noise_pictures(tmp_path / "train", count=2)
    assert [tuple(map(len, each)) for each in split([open_source(project)])] == [(4, 4)]
    assert how([open_source(project)]) == ["train: by its folders train and test"]
