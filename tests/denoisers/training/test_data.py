"""Labelled pictures of one size, for a classifier."""

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from denoisers.errors import BadData
from denoisers.training.data import load_pictures
from tests.denoisers.training.scenes import noise_pictures
from tests.denoisers.training.test_cifar import COUNT, batches, binary_archive


def test_folder_and_zip_give_the_same_pictures_and_labels(tmp_path):
    root = noise_pictures(tmp_path / "data")
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
    assert one.digest == two.digest
    assert list(root.parent.glob("data/**/*.raw")) == []


def test_the_authors_archive_of_cifar_10(tmp_path):
    known = batches()
    found = load_pictures(binary_archive(tmp_path / "cifar.tar.gz", known), "test", tmp_path / "c")
    assert found.images.shape == (COUNT, 3, 32, 32)
    labels = [found.classes[label] for label in found.labels]
    assert labels == sorted(labels)


def test_bad_data_is_named(tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(BadData, match="holds no pictures"):
        load_pictures(tmp_path / "other", "train", tmp_path / "cache")
    root = noise_pictures(tmp_path / "data", parts=("train",))
    with pytest.raises(BadData, match="no pictures under test/CLASS/"):
        load_pictures(root, "test", tmp_path / "cache")
    (root / "train/cat/0003.png").write_bytes(b"broken")
    with pytest.raises(BadData, match=r"train/cat/0003\.png"):
        load_pictures(root, "train", tmp_path / "cache")
    odd = noise_pictures(tmp_path / "odd", size=30)
    with pytest.raises(BadData, match="30×30, not 32×32"):
        load_pictures(odd, "train", tmp_path / "cache")


def test_the_test_part_is_numbered_as_the_training_part_is(tmp_path):
    root = noise_pictures(tmp_path / "a", classes=("bad-a", "bad-b", "good"), parts=("train",))
    noise_pictures(root, count=2, classes=("bad-b", "good"), parts=("Test",))
    learnt = load_pictures(root, "train", tmp_path / "cache")
    found = load_pictures(root, "test", tmp_path / "cache", classes=learnt.classes)
    assert found.classes == learnt.classes == ("bad-a", "bad-b", "good")
    assert found.labels.tolist() == [1, 1, 2, 2]
    noise_pictures(root, classes=("Good",), parts=("Test",))
    with pytest.raises(BadData, match=r"test has a class 'Good', .* \(bad-a, bad-b, good\)"):
        load_pictures(root, "test", tmp_path / "cache", classes=learnt.classes)


def test_pictures_of_few_greys_are_told(tmp_path):
    root = noise_pictures(tmp_path / "data", count=2, parts=("train",))
    dim = Image.fromarray(np.full((32, 32), 4095, dtype=np.uint16))
    dim.save(root / "train/cat/0001.png")
    said = []
    load_pictures(root, "train", tmp_path / "cache", tell=said.append)
    assert [line.partition(" pictures")[0] for line in said] == ["1 16-bit"]


def test_pictures_that_lie_deeper_than_their_class_are_told(tmp_path):
    root = noise_pictures(tmp_path / "data", count=2)
    deeper = root / "train/cat/more"
    deeper.mkdir()
    (root / "train/cat/0001.png").rename(deeper / "0001.png")
    said = []
    assert len(load_pictures(root, "train", tmp_path / "cache", tell=said.append).labels) == 3
    assert said == ["1 pictures lie deeper than train/CLASS/ and are left alone"]
    load_pictures(root, "test", tmp_path / "cache", tell=said.append)
    assert len(said) == 1
