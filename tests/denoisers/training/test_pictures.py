"""Pictures of any size: decoded once, held out, cut."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from denoisers.errors import BadData, CannotSave
from denoisers.training.pictures import load_all
from tests.denoisers.training.scenes import held, noise_pictures


def photographs(root, count=20, size=(20, 30)):
    rng = np.random.default_rng(3)
    root.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(root / f"{i:03}.png")
    return root


def numbered(height, width):
    """A picture whose pixels say where they are."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, y * 0 + height], axis=2).astype(np.uint8)


def crops(pictures, chosen, size, seed=0, shift=0):
    generator = torch.Generator().manual_seed(seed)
    return pictures.crops(chosen, size, generator, shift=shift)


def test_crops_lie_inside_their_picture_and_are_flipped_or_not():
    pictures = held([numbered(40, 60), numbered(33, 32), numbered(16, 90)])
    tops, lefts, flips = set(), set(), set()
    for seed in range(60):
        cut = crops(pictures, [0, 1, 2, 0], 16, seed)
        assert cut.shape == (4, 3, 16, 16)
        assert cut.dtype == torch.uint8
        for row, (height, width) in zip(cut, [(40, 60), (33, 32), (16, 90), (40, 60)], strict=True):
            y, x = row[0].long(), row[1].long()
            assert int(row[2, 0, 0]) == height
            assert torch.equal(y, y[0, 0] + torch.arange(16).view(-1, 1).expand(-1, 16))
            step = int(x[0, 1] - x[0, 0])
            assert step in (-1, 1)
            assert torch.equal(x, x[0, 0] + step * torch.arange(16).expand(16, -1))
            assert 0 <= int(y.min()) <= height - 16
            assert 0 <= int(x.min()) <= width - 16
            if height == 40:
                tops.add(int(y.min()))
                lefts.add(int(x.min()))
                flips.add(step)
    assert flips == {-1, 1}
    assert {min(tops), max(tops)} == {0, 24}
    assert min(lefts) < 3
    assert max(lefts) > 41


def test_turned_squares_are_the_same_squares_in_all_eight_positions():
    pictures = held([numbered(40, 60)])
    seen = set()
    for seed in range(120):
        generators = [torch.Generator().manual_seed(seed) for _ in range(2)]
        straight, turned = (
            pictures.crops([0], 16, generator, turns=turns)[0].numpy()
            for generator, turns in zip(generators, (False, True), strict=True)
        )
        quarters = [
            k for k in range(4) if np.array_equal(turned, np.rot90(straight, k, axes=(1, 2)))
        ]
        assert len(quarters) == 1
        seen.add((int(straight[1, 0, 1]) > int(straight[1, 0, 0]), quarters[0]))
    assert len(seen) == 8


def test_the_largest_number_that_is_drawn_still_lies_inside():
    most = torch.tensor(1 - 2**-24).numpy()
    assert all(int(most * k) < k for k in range(1, 5000))


def test_crops_are_the_same_for_the_same_generator():
    pictures = held([numbered(40, 60)] * 5)
    assert torch.equal(crops(pictures, range(5), 16, 4), crops(pictures, range(5), 16, 4))
    assert not torch.equal(crops(pictures, range(5), 16, 4), crops(pictures, range(5), 16, 5))


def test_whole_pictures_are_shifted_over_their_reflected_edge():
    pictures = held([numbered(16, 16)])
    padded = np.pad(np.arange(16), 2, mode="reflect")
    seen = set()
    for seed in range(80):
        y, x = crops(pictures, [0], 16, seed, shift=2)[0, :2].numpy()
        tops = [t for t in range(5) if np.array_equal(y[:, 0], padded[t : t + 16])]
        lefts = [
            t
            for t in range(5)
            if np.array_equal(x[0], padded[t : t + 16])
            or np.array_equal(x[0, ::-1], padded[t : t + 16])
        ]
        assert len(tops) == len(lefts) == 1
        seen.add((tops[0], lefts[0]))
    assert len(seen) > 15


def test_smaller_pictures_are_told():
    pictures = held([numbered(16, 40), numbered(20, 20), numbered(19, 50)])
    assert pictures.at_least(20) == [1]
    assert pictures.at_least(16) == [0, 1, 2]
    assert np.array_equal(pictures.picture(1), numbered(20, 20))


def names(pictures):
    return [name.partition("/")[2] for name in pictures.names]


def test_every_tenth_picture_is_held_out_of_a_source_without_parts(tmp_path):
    photos = photographs(tmp_path / "photos")
    train, test = load_all([photos], tmp_path / "cache")
    assert names(test) == ["009.png", "019.png"]
    assert names(train) == [f"{i:03}.png" for i in range(20) if i not in (9, 19)]
    train, test = load_all([photos], tmp_path / "cache", hold_out=4)
    assert len(test) == 5
    assert len(train) == 15


def test_every_picture_is_taken_once_more_at_a_smaller_side(tmp_path):
    photos = photographs(tmp_path / "photos", size=(20, 30))
    plain, apart = load_all([photos], tmp_path / "cache")
    train, test = load_all([photos], tmp_path / "cache", also_at=16)
    assert train.shapes.tolist() == [[20, 30]] * 18 + [[16, 24]] * 18
    assert np.array_equal(train.picture(3), plain.picture(3))
    whole = Image.fromarray(plain.picture(3))
    assert np.array_equal(train.picture(21), whole.resize((24, 16), Image.Resampling.LANCZOS))
    # What is kept apart is so at either size.
    assert test.names == (*apart.names, "photos at 16/009.png", "photos at 16/019.png")
    small, _ = load_all([photos], tmp_path / "cache", also_at=24)
    assert np.array_equal(small.picture(18), plain.picture(0))  # none is enlarged


def test_folders_named_train_and_test_decide(tmp_path):
    root = noise_pictures(tmp_path / "data", count=3)
    photographs(root / "elsewhere", count=2)
    train, test = load_all([root, photographs(tmp_path / "photos")], tmp_path / "cache")
    assert names(train)[:2] == ["train/cat/0000.png", "train/cat/0001.png"]
    assert len(train) == 6 + 18
    assert len(test) == 6 + 2
    assert train.shapes[0].tolist() == [32, 32]
    assert train.shapes[-1].tolist() == [20, 30]


def test_train_alone_is_split_and_test_alone_is_never_learnt(tmp_path):
    only_train = noise_pictures(tmp_path / "one", count=10, parts=("train",))
    train, test = load_all([only_train], tmp_path / "cache")
    assert (len(train), len(test)) == (18, 2)
    only_test = noise_pictures(tmp_path / "two", count=10, parts=("test",))
    with pytest.raises(BadData, match="never learnt"):
        load_all([only_test], tmp_path / "cache")
    train, test = load_all([photographs(tmp_path / "photos"), only_test], tmp_path / "cache")
    assert (len(train), len(test)) == (18, 22)


def test_too_few_pictures_to_hold_one_out(tmp_path):
    few = photographs(tmp_path / "few", count=5)
    with pytest.raises(BadData, match="--hold-out 2"):
        load_all([few], tmp_path / "cache")
    assert [len(part) for part in load_all([few], tmp_path / "cache", hold_out=2)] == [3, 2]
    with pytest.raises(BadData, match="at least 2"):
        load_all([few], tmp_path / "cache", hold_out=1)


def test_pictures_are_decoded_once_and_their_digest_is_of_what_they_show(tmp_path):
    photos = photographs(tmp_path / "photos")
    counted = []

    def load():
        counted.clear()
        return load_all([photos], tmp_path / "cache", watch=lambda *now: counted.append(now))

    first, _ = load()
    assert counted[-3:] == [(18, 18), (1, 2), (2, 2)]
    again, _ = load()
    assert counted == []
    assert np.array_equal(first.pixels, again.pixels)
    moved = (tmp_path / "photos").rename(tmp_path / "moved")
    elsewhere, _ = load_all([moved], tmp_path / "other cache")
    assert elsewhere.digest == first.digest
    Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8)).save(moved / "004.png")
    changed, _ = load_all([moved], tmp_path / "other cache")
    assert changed.digest != first.digest
    assert not changed.picture(4).any()


@pytest.mark.parametrize("harm", ["short", "gone", "index", "rubbish"])
def test_a_damaged_cache_is_made_again(tmp_path, harm):
    photos, cache = photographs(tmp_path / "photos"), tmp_path / "cache"
    first, _ = load_all([photos], cache)
    before = first.pixels.copy()
    (flat,), (index,) = cache.glob("train-*.raw"), cache.glob("train-*.json")
    if harm == "short":
        flat.write_bytes(flat.read_bytes()[:-1])
    elif harm == "gone":
        flat.unlink()
    elif harm == "index":
        index.unlink()
    else:
        index.write_text(json.dumps([1, 2]))
    again, _ = load_all([photos], cache)
    assert np.array_equal(again.pixels, before)
    assert list(cache.glob("*.tmp")) == []


def test_a_damaged_picture_leaves_nothing_half_decoded(tmp_path):
    photos = photographs(tmp_path / "photos")
    (photos / "011.png").write_bytes(b"broken")
    with pytest.raises(BadData, match=r"011\.png"):
        load_all([photos], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path, limit_files):
    with limit_files(10_000), pytest.raises(CannotSave, match=r"train-.*\.raw cannot be written"):
        load_all([photographs(tmp_path / "photos")], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def parted(tmp_path, *folders, files=5):
    """Return what is said of pictures in these folders."""
    for folder in folders:
        photographs(tmp_path / "data" / folder, files)
    said = []
    load_all([tmp_path / "data"], tmp_path / "cache", hold_out=2, tell=said.append)
    return said


def test_by_what_pictures_are_parted_is_said(tmp_path):
    apart = "one of 2 is kept apart to measure with"
    assert parted(tmp_path / "a", "x", "y") == [f"data: no folder train or test; {apart}"]
    assert parted(tmp_path / "b", "train") == [f"data: by its folder train; {apart}"]
    assert parted(tmp_path / "c", "Train/a", "TEST/b") == ["data: by its folders train and test"]
    assert parted(tmp_path / "d", "train", "test", "val") == [
        "data: by its folders train and test; 5 pictures elsewhere are left alone"
    ]
    assert parted(tmp_path / "e", "car", "train") == [
        f"data: by its folder train; {apart}; 5 pictures elsewhere are left alone"
    ]
