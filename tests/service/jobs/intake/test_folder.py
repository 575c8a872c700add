"""A folder of pictures on this machine."""

import os
from pathlib import Path

import pytest

from service.errors import ArchiveTooLarge, BadArchive
from service.jobs.intake.entries import ArchiveLimits
from service.jobs.intake.folder import Folder, natural, read_file
from tests.service.jobs.packing import PNG


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG)


def problems(folder: Folder) -> dict[str, str]:
    return {e.name: e.problem for e in folder.entries() if e.problem is not None}


def test_natural_order(tmp_path: Path) -> None:
    names = ["1.png", "a2/9.png", "a2/10.png", "A10/x.png", "a10.png", "b.png"]
    fill(tmp_path, *reversed(names))
    folder = Folder(tmp_path)
    entries = list(folder.entries())
    assert [e.name for e in entries] == names
    assert all(e.data == PNG for e in entries)
    assert folder.skipped == 0  # folders are no files


def test_the_order_is_total() -> None:
    names = ["a", "A", "a1", "a01", "a001", "1a", "01a", "", "²", "a²"]
    assert sorted(names, key=natural) == sorted(reversed(names), key=natural)


def test_clutter_and_labels(tmp_path: Path) -> None:
    fill(tmp_path, "x/a.png", ".git/objects/1.png", "x/.DS_Store", "x/Thumbs.db", "x/labels.csv")
    folder = Folder(tmp_path)
    assert [e.name for e in folder.entries()] == ["x/a.png"]
    assert folder.skipped == 2  # a hidden folder is not even looked into
    assert folder.labels is not None
    assert (folder.labels.name, folder.labels.data) == ("x/labels.csv", PNG)


def test_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    fill(tmp_path, "secret.png", "root-beside/b.png", "root/dir/real.png")
    (root / "inside.png").symlink_to(root / "dir/real.png")
    (root / "outside.png").symlink_to("../secret.png")
    (root / "beside.png").symlink_to(tmp_path / "root-beside/b.png")
    (root / "folder").symlink_to(root / "dir")
    (root / "loop").symlink_to("loop")
    (root / "nowhere.png").symlink_to("none.png")
    folder = Folder(root)
    assert [e.name for e in folder.entries() if e.data] == ["dir/real.png", "inside.png"]
    found = problems(folder)
    assert found.keys() == {"outside.png", "beside.png", "folder", "loop", "nowhere.png"}
    assert "leads out of the folder" in found["outside.png"]
    assert "leads out of the folder" in found["beside.png"]
    assert "link to a folder" in found["folder"]
    assert "No such file" in found["nowhere.png"]


def test_a_link_to_the_folder_itself(tmp_path: Path) -> None:
    fill(tmp_path, "real/a.png")
    (tmp_path / "link").symlink_to("real")
    assert [e.name for e in Folder(tmp_path / "link").entries()] == ["a.png"]


def test_what_is_no_file(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "large.png").write_bytes(PNG + b"\0" * 1000)
    (tmp_path / "text.txt").write_text("hello")
    found = problems(Folder(tmp_path, ArchiveLimits(max_entry_bytes=500)))
    assert found.keys() == {"large.png", "pipe.png", "text.txt"}
    assert "pipe" in found["pipe.png"]
    assert "the limit is 500" in found["large.png"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_ones_fail_alone(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "b.png", "c/d.png")
    (tmp_path / "a.png").chmod(0)
    (tmp_path / "c").chmod(0)
    try:
        found = problems(Folder(tmp_path))
    finally:
        (tmp_path / "c").chmod(0o700)
    assert found.keys() == {"a.png", "c"}
    assert all("Permission denied" in problem for problem in found.values())


def test_files_that_go_away(tmp_path: Path) -> None:
    fill(tmp_path, "1.png", "2.png", "3/a.png")
    entries = Folder(tmp_path).entries()
    next(entries)
    (tmp_path / "2.png").unlink()
    (tmp_path / "3/a.png").unlink()
    (tmp_path / "3").rmdir()
    rest = list(entries)
    assert [e.name for e in rest] == ["2.png", "3"]
    assert all("No such file" in str(e.problem) for e in rest)


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names(tmp_path: Path) -> None:
    fill(tmp_path, "e\u0301.png", "a\\b.png", "c\x1b.png")
    (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(PNG)
    entries = {e.name: e.data for e in Folder(tmp_path).entries()}
    assert entries == {"é.png": PNG, "a/b.png": PNG, "c\ufffd.png": None, "\ufffd.png": None}


def test_deeper_than_calls_go(tmp_path: Path) -> None:
    begun = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(1200):
            os.mkdir("d")
            os.chdir("d")
        Path("a.png").write_bytes(PNG)
    finally:
        os.chdir(begun)
    (entry,) = Folder(tmp_path).entries()
    assert "more than" in str(entry.problem)  # 1,024 characters of a name
    top, rest = tmp_path / "d", tmp_path / "rest"
    while (top / "d").exists():  # since pytest's own cleaning up calls itself for each
        (top / "d").rename(rest)
        top.rmdir()
        rest.rename(top)


def test_too_much(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{i}.png" for i in range(9)))
    with pytest.raises(ArchiveTooLarge, match="folder holds more than 8 entries"):
        list(Folder(tmp_path, ArchiveLimits(max_entries=8)).entries())
    with pytest.raises(ArchiveTooLarge, match="folder holds more than 500 bytes"):
        list(Folder(tmp_path, ArchiveLimits(max_total_bytes=500)).entries())


def test_no_folder(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadArchive, match="there is no folder"):
        Folder(tmp_path / "none")
    with pytest.raises(BadArchive, match="is no folder"):
        Folder(tmp_path / "a.png")
    with pytest.raises(BadArchive, match="no picture in the folder"):
        list(Folder(tmp_path / "empty").entries())


def test_read_file_anywhere(tmp_path: Path) -> None:
    fill(tmp_path, "real.png", "root/x.png")
    (tmp_path / "root/link.png").symlink_to("../real.png")
    assert read_file(tmp_path / "root/link.png", 1000) == PNG
