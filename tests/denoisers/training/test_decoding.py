"""Collections that cannot be decoded as they are: damaged, too dark, too large for the disk."""

import json
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from denoisers.errors import BadData, CannotSave
from denoisers.training.pictures import decoded, load_all
from denoisers.training.sources import Header, Source
from tests.denoisers.training.test_pictures import photographs


def test_all_damaged_pictures_are_named_at_once(tmp_path):
    photos = photographs(tmp_path / "photos", count=30)
    for place in (3, 9, 19, 28):  # two of them are kept apart
        (photos / f"{place:03}.png").write_bytes(b"broken")
    seen = []
    with pytest.raises(BadData) as told:
        load_all([photos], tmp_path / "cache", also_at=16, watch=lambda *now: seen.append(now))
    assert str(told.value).startswith("4 pictures cannot be used: 003.png of ")
    assert all(str(told.value).count(f"{place:03}.png") == 1 for place in (3, 9, 19, 28))
    assert str(told.value).count("is not a picture of a known format") == 4
    assert list((tmp_path / "cache").iterdir()) == []
    assert seen[-1] == (6, 6)
    for place in range(25):
        (photos / f"{place:03}.png").write_bytes(b"broken")
    with pytest.raises(BadData, match=r"^26 pictures cannot be used: .*; and 6 more$") as told:
        load_all([photos], tmp_path / "cache")
    assert str(told.value).count(".png") == 20


def test_of_damaged_pictures_only_the_reasons_are_kept(tmp_path):
    """A large collection does not fit into memory, whole or damaged."""
    alive = []

    def read(name):
        if name == "0":
            raise BadData("broken")
        array = np.zeros((8, 8, 3), dtype=np.uint8)
        alive.append(name)
        weakref.finalize(array, alive.remove, name)
        assert len(alive) <= 2
        return array

    source = Source("many", "", [str(i) for i in range(50)], read, lambda _: Header(8, 8))
    with pytest.raises(BadData, match=r"^broken$"):
        decoded({tmp_path / "train": [(source, source.names)]})
    assert list(tmp_path.iterdir()) == []


def test_sixteen_bits_of_which_few_are_used_are_told_each_time(tmp_path):
    rng, said = np.random.default_rng(4), []
    root = tmp_path / "xray"
    root.mkdir()
    for place in range(20):
        most = 4096 if place in (2, 5, 9) else 65536
        values = rng.integers(0, most, (20, 24), dtype=np.uint16)
        Image.fromarray(values).save(root / f"{place:02}.png")
    Image.fromarray(np.full((20, 24), 15, dtype=np.uint8)).save(
        root / "dark.png"
    )  # as it was meant
    for _ in range(2):
        said.clear()
        load_all([root], tmp_path / "cache", also_at=16, tell=said.append)
        assert said[1:] == [
            "3 16-bit pictures have no value beyond an eighth of the range, and few greys are "
            "left of them in 8 bits: scale them to 0…65535"
        ]


def test_a_disk_without_room_is_told_before_anything_is_decoded(tmp_path, monkeypatch):
    photos, cache = photographs(tmp_path / "photos", size=(20, 30)), tmp_path / "cache"
    needed = 20 * 3 * (20 * 30 + 16 * 24)
    free, total, seen = needed - 1, 10**12, []
    cache.mkdir()
    left = cache / "train-0123456789abcdef.raw.01234567.tmp"
    left.write_bytes(b"another's")

    def usage(_):
        return SimpleNamespace(free=free, total=total)

    monkeypatch.setattr("denoisers.training.pictures.shutil.disk_usage", usage)

    def load():
        return load_all([photos], cache, also_at=16, watch=lambda *now: seen.append(now))

    said = rf"take {needed:,} bytes, 3 a pixel, and .*cache has {free:,} free"
    with pytest.raises(CannotSave, match=said):
        load()
    assert seen == []
    assert list(cache.iterdir()) == [left]
    free += 1
    load()
    free = 0
    load()  # decoded before: needs no room
    for index in cache.glob("*.json"):
        index.unlink()
    total = 0  # a file system that tells nothing
    load()


def test_what_a_kill_has_left_is_cleared_away_before_the_disk_is_looked_at(tmp_path, monkeypatch):
    photos, cache = photographs(tmp_path / "photos"), tmp_path / "cache"
    load_all([photos], cache)
    (flat,) = cache.glob("train-*.raw")
    flat.rename(f"{flat}.01234567.tmp")

    def usage(folder):
        assert list(folder.glob("*.tmp")) == []
        return SimpleNamespace(free=10**9, total=10**10)

    monkeypatch.setattr("denoisers.training.pictures.shutil.disk_usage", usage)
    load_all([photos], cache)
    assert flat.exists()


def test_decoded_files_are_found_by_later_versions(tmp_path):
    """Their names are the key: with another one, days of decoding would be done again."""
    source = Source("a.zip", "mark", ["1.png", "2.png"], lambda _: grey, lambda _: Header(1, 2))
    grey = np.full((1, 2, 3), 7, dtype=np.uint8)
    decoded({tmp_path / "train": [(source, source.names)]})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "train-26e3f4a31ef8cba7.json",
        "train-26e3f4a31ef8cba7.raw",
    ]
    assert json.loads((tmp_path / "train-26e3f4a31ef8cba7.json").read_text()) == {
        "sha256": "fce73382573f9c48ab1f8b3c5f6c6b76826a3ffa5d73a3796f9cc70e2dfed8bd",
        "shapes": [[1, 2], [1, 2]],
    }
