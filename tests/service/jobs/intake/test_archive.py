"""What holds for all archives, however they are packed."""

import tracemalloc
from pathlib import Path

import pytest

from service.errors import ArchiveTooLarge, BadArchive
from service.jobs.intake.archive import open_archive
from service.jobs.intake.entries import ArchiveLimits
from tests.service import pictures
from tests.service.jobs.packing import PACKERS, PNG, tarred, unpack, write, zipped

every_packer = pytest.mark.parametrize("packer", PACKERS)
LONG = "a/" + "b" * 90 + "/" + "c" * 90 + ".png"


@every_packer
def test_pictures_in_order(packer: str, tmp_path: Path) -> None:
    files = [("b.png", PNG), ("dir/", b""), (LONG, pictures.png(5, 3)), ("dir/a.png", PNG)]
    archive = open_archive(write(tmp_path, PACKERS[packer](files), "wrong.jpg"))
    for _ in range(2):  # it can be read again
        entries = list(archive.entries())
        assert [(e.name, e.data) for e in entries] == [f for f in files if f[1]]
        assert [e.problem for e in entries] == [None] * 3
        assert archive.skipped == 0  # a folder is no file
    assert entries[0].sha256 == entries[2].sha256 != entries[1].sha256
    assert len(entries[0].sha256) == 64


@every_packer
def test_bad_ones_fail_alone(packer: str, tmp_path: Path) -> None:
    files = [
        ("../../etc/passwd", PNG),
        ("/a.png", PNG),
        ("good.png", PNG),
        ("readme.txt", b"hello"),
        ("empty.png", b""),
        ("inner.zip", zipped([("a.png", PNG)])),
        ("inner.tar", tarred([("a.png", PNG)])),
        ("large.png", PNG + b"\0" * 20_000),
        ("movie.mp4", b"\0\0\0\x18ftypmp42"),
        ("bad\x07.png", PNG),
        ("other.png", PNG),
    ]
    limits = ArchiveLimits(max_entry_bytes=15_000)
    entries = unpack(tmp_path, PACKERS[packer](files), limits)
    problems = {e.name: e.problem for e in entries if e.problem is not None}
    assert [e.name for e in entries if e.data is not None] == ["good.png", "other.png"]
    assert all(e.data is None and e.sha256 == "" for e in entries if e.problem is not None)
    expected = {
        "etc/passwd": "leads out",
        "a.png": "absolute path",
        "readme.txt": "not a picture of a known format",
        "empty.png": "0 bytes",
        "inner.zip": "unpack it first",
        "inner.tar": "unpack it first",
        "large.png": "the limit is 15,000",
        "movie.mp4": "convert it",
        "bad\ufffd.png": "control characters",
    }
    assert problems.keys() == expected.keys()
    for name, words in expected.items():
        assert words in problems[name]


@every_packer
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice(packer: str, tmp_path: Path) -> None:
    files = [("a/b.png", PNG), ("a//b.png", pictures.png(5, 5)), ("c.png", PNG)]
    first, second, third = unpack(tmp_path, PACKERS[packer](files))
    assert (first.data, third.data) == (PNG, PNG)
    assert second.name == "a/b.png"
    assert "more than once" in str(second.problem)


@every_packer
def test_clutter_is_counted_and_passed_over(packer: str, tmp_path: Path) -> None:
    clutter = ["__MACOSX/._a.png", ".DS_Store", "x/Thumbs.db", "x/.git/config", "x/"]
    data = PACKERS[packer]([*((name, b"") for name in clutter), ("x/a.png", PNG)])
    archive = open_archive(write(tmp_path, data))
    assert [e.name for e in archive.entries()] == ["x/a.png"]
    assert archive.skipped == len(clutter) - 1  # the last one is a folder


@every_packer
def test_without_pictures(packer: str, tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="no picture"):
        unpack(tmp_path, PACKERS[packer]([]))
    with pytest.raises(BadArchive, match=r"only hidden files \(1\)"):
        unpack(tmp_path, PACKERS[packer]([("a/", b""), (".b", b"x")]))


@every_packer
def test_too_many_entries(packer: str, tmp_path: Path) -> None:
    data = PACKERS[packer]([(f"{i}.png", PNG) for i in range(9)])
    assert len(unpack(tmp_path, data, ArchiveLimits(max_entries=9))) == 9
    with pytest.raises(ArchiveTooLarge, match="more than 8 entries"):
        unpack(tmp_path, data, ArchiveLimits(max_entries=8))


@every_packer
def test_too_many_bytes(packer: str, tmp_path: Path) -> None:
    data = PACKERS[packer]([(f"{i}.png", PNG + b"\0" * 100_000) for i in range(20)])
    assert len(unpack(tmp_path, data, ArchiveLimits(max_total_bytes=3_000_000))) == 20
    with pytest.raises(ArchiveTooLarge, match="more than 1,000,000 bytes"):
        unpack(tmp_path, data, ArchiveLimits(max_total_bytes=1_000_000))


@pytest.mark.parametrize("packer", ["deflate", "bzip2", "lzma", "tar.gz", "tar.bz2", "tar.xz"])
def test_what_unpacks_too_far(packer: str, tmp_path: Path) -> None:
    data = PACKERS[packer]([(f"{i}.png", PNG + b"\0" * 200_000) for i in range(20)])
    with pytest.raises(ArchiveTooLarge, match="pictures never do"):
        unpack(tmp_path, data, ArchiveLimits(max_ratio=20, free_bytes=500_000))
    assert len(unpack(tmp_path, data, ArchiveLimits(max_ratio=20, free_bytes=5_000_000))) == 20


@pytest.mark.parametrize("packer", ["stored", "deflate", "lzma", "pax", "tar.gz"])
def test_one_picture_in_memory(packer: str, tmp_path: Path) -> None:
    noise = PNG + bytes(i * i * 7919 >> 7 & 255 for i in range(2**10)) * 400
    path = write(tmp_path, PACKERS[packer]([(f"{i}.png", noise) for i in range(12)]))
    archive = open_archive(path)
    tracemalloc.start()
    try:
        count = sum(entry.data is not None for entry in archive.entries())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 12
    assert peak < 5 * len(noise)


@every_packer
def test_labels_lie_beside_the_pictures(packer: str, tmp_path: Path) -> None:
    files = [("x/1.png", PNG), ("x/labels.csv", b"name,label\n1.png,cat\n"), ("x/2.png", PNG)]
    archive = open_archive(write(tmp_path, PACKERS[packer](files)))
    assert [e.name for e in archive.entries()] == ["x/1.png", "x/2.png"]
    assert archive.labels is not None
    assert (archive.labels.name, archive.labels.data) == (files[1][0], files[1][1])


@every_packer
def test_labels_that_cannot_be_read_or_chosen(packer: str, tmp_path: Path) -> None:
    files = [("1.png", PNG), ("labels.csv", b"name,label\n"), ("labels.jsonl", b"{}")]
    with pytest.raises(BadArchive, match=r"labels\.csv and labels\.jsonl"):
        unpack(tmp_path, PACKERS[packer](files))
    files = [("1.png", PNG), ("labels.csv", b"x" * 2000)]
    with pytest.raises(BadArchive, match=r"labels\.csv cannot be read: .* limit is 1,000"):
        unpack(tmp_path, PACKERS[packer](files), ArchiveLimits(max_entry_bytes=1000))
    files = [("1.png", PNG), ("x/y/labels.csv", b"is not one of ours")]
    assert "not a picture" in str(unpack(tmp_path, PACKERS[packer](files))[1].problem)


@every_packer
def test_cut_off(packer: str, tmp_path: Path) -> None:
    data = PACKERS[packer]([(f"{i}.png", PNG) for i in range(5)])
    stop = data.rstrip(b"\0") if packer in ("pax", "gnu", "ustar") else data
    for length in {1, 20, len(data) // 2, len(stop) - 1}:
        with pytest.raises(BadArchive, match=r"cut off|no archive|no picture|no tar"):
            unpack(tmp_path, data[:length])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes"),
        (b"hello", "no archive that is read here: send a zip or a tar"),
        (PNG, "a single picture"),
        (b"7z\xbc\xaf\x27\x1c" + b"\0" * 600, "archive \\(7z\\)"),
        (b"Rar!\x1a\x07\x01\0" + b"\0" * 600, "archive \\(RAR\\)"),
        (b"\x28\xb5\x2f\xfd" + b"\1" * 600, "zstd"),
        (b"\0" * 10_240, "no picture in the archive"),
    ],
)
def test_no_archive(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match=message):
        unpack(tmp_path, data)


def test_a_file_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="No such file"):
        open_archive(tmp_path / "none.zip")
    archive = open_archive(write(tmp_path, zipped([("a.png", PNG)])))
    (tmp_path / "upload.bin").unlink()
    with pytest.raises(BadArchive, match="No such file"):
        list(archive.entries())


@pytest.mark.parametrize(
    "picture",
    [
        pictures.png(),
        *(pictures.encode(pictures.gradient(), kind) for kind in ("JPEG", "WEBP", "BMP", "TIFF")),
        *(pictures.encode(pictures.gradient(), kind) for kind in ("GIF", "PPM")),
    ],
)
def test_every_format_is_let_in(picture: bytes, tmp_path: Path) -> None:
    assert unpack(tmp_path, zipped([("picture", picture)]))[0].data == picture
