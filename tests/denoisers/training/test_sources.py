"""Folders and zips of pictures, decoded as the service decodes an upload."""

import errno
import os
import zipfile

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from certification.canonical import canonicalise
from certification.errors import UnsupportedImage
from denoisers.errors import BadData
from denoisers.training import sources
from denoisers.training.sources import open_source, reduced
from tests.denoisers.training.scenes import noise_pictures


def zipped(root, archive, prefix=""):
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(root.rglob("*.*")):
            file.write(path, prefix + path.relative_to(root).as_posix())
    return archive


def test_a_folder_and_a_nested_zip_hold_the_same_pictures(tmp_path):
    root = noise_pictures(tmp_path / "data", count=2)
    folder = open_source(root)
    nested = open_source(zipped(root, tmp_path / "data.zip", prefix="deep/inner/"))
    assert folder.names == [f"{p}/{c}/000{i}.png" for p in ("test", "train")
                            for c in ("cat", "dog") for i in (0, 1)]  # fmt: skip
    assert nested.names == [f"deep/inner/{name}" for name in folder.names]
    for one, other in zip(folder.names, nested.names, strict=True):
        assert folder.read(one).shape == (32, 32, 3)
        assert np.array_equal(folder.read(one), nested.read(other))


def test_hidden_files_other_files_and_folders_named_as_pictures_are_left_out(tmp_path):
    root = noise_pictures(tmp_path / "data", count=1, classes=("cat",), parts=("train",))
    (root / "train/cat/._0000.png").write_bytes(b"macOS puts this beside each picture")
    (root / "train/cat/notes.txt").write_text("no picture")
    (root / ".thumbnails").mkdir()
    (root / ".thumbnails/small.png").write_bytes(b"no picture")
    (root / "folder.png").mkdir()
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX/0000.png").write_bytes(b"no picture")
    archive = zipped(root, tmp_path / "data.zip")
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("also.png/", "")
    assert open_source(root).names == ["train/cat/0000.png"]
    assert open_source(archive).names == ["train/cat/0000.png"]


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
def test_pictures_are_decoded_as_the_service_decodes_them(tmp_path):
    rng = np.random.default_rng(1)
    grey16 = Image.fromarray(rng.integers(0, 65536, (20, 24), dtype=np.uint16))
    grey16.save(tmp_path / "xray.png")  # of which a plain conversion would leave white
    rgba = rng.integers(0, 256, (20, 24, 4), dtype=np.uint8)
    Image.fromarray(rgba, "RGBA").save(tmp_path / "see-through.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(rgba[:, :, :3]).save(tmp_path / "turned.jpg", exif=turned)
    Image.fromarray(rgba[:, :, 0]).save(tmp_path / "grey.bmp")
    source = open_source(tmp_path)
    assert len(source.names) == 4
    for name in source.names:
        expected = canonicalise((tmp_path / name).read_bytes()).pixels
        assert np.array_equal(source.read(name), expected), name
    assert source.read("turned.jpg").shape == (24, 20, 3)
    assert source.read("xray.png").std() > 50


def test_the_mark_changes_with_the_pictures(tmp_path):
    root = noise_pictures(tmp_path / "data", count=2)
    first, archive = open_source(root).mark, zipped(root, tmp_path / "data.zip")
    inside = open_source(archive).mark
    assert open_source(root).mark == first
    one, other = root / "train/cat/0000.png", root / "train/cat/0001.png"
    one.write_bytes(other.read_bytes())
    assert open_source(root).mark != first
    assert open_source(zipped(root, archive)).mark != inside


def test_a_file_name_that_is_no_text(tmp_path):
    root = noise_pictures(tmp_path / "data", count=1, classes=("cat",), parts=("train",))
    strange = os.fsencode(root) + b"/\xff.png"
    os.rename(root / "train/cat/0000.png", strange)
    source = open_source(root)
    assert source.read(source.names[0]).shape == (32, 32, 3)


def test_what_holds_no_pictures_is_named(tmp_path):
    with pytest.raises(BadData, match="nowhere does not exist"):
        open_source(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="empty holds no pictures"):
        open_source(tmp_path / "empty")
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(BadData, match="neither a folder, nor a zip"):
        open_source(tmp_path / "text.zip")
    root = noise_pictures(tmp_path / "data", count=2)
    whole = zipped(root, tmp_path / "whole.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match="not complete"):
        open_source(tmp_path / "cut.zip")


def test_damaged_and_odd_pictures_are_named(tmp_path):
    root = noise_pictures(tmp_path / "data", count=4, classes=("cat",), parts=("train",))
    broken = root / "train/cat/0001.png"
    broken.write_bytes(broken.read_bytes()[:500])
    (root / "train/cat/0002.png").write_bytes(b"broken")
    Image.fromarray(np.zeros((8, 8), dtype=np.float32)).save(root / "train/cat/0003.tiff")
    source = open_source(root)
    with pytest.raises(BadData, match=r"picture train/cat/0001\.png of .* cannot be read"):
        source.read("train/cat/0001.png")
    with pytest.raises(BadData, match=r"train/cat/0002\.png of .* not a picture of a known format"):
        source.read("train/cat/0002.png")
    with pytest.raises(BadData, match=r"0003\.tiff .* no agreed brightness"):
        source.read("train/cat/0003.tiff")
    archive = zipped(root, tmp_path / "data.zip")
    data = bytearray(archive.read_bytes())
    place = data.index(b"\x89PNG") + 300
    data[place] ^= 0xFF  # the zip's checksum notices
    archive.write_bytes(data)
    with pytest.raises(BadData, match=r"0000\.png of .* cannot be read"):
        open_source(archive).read("train/cat/0000.png")


def test_linked_folders_are_followed_but_not_in_a_circle(tmp_path):
    """A part of the data often lies on another disk; left out, its patients would be learnt."""
    elsewhere = noise_pictures(tmp_path / "disk", count=1, parts=("test",))
    root = noise_pictures(tmp_path / "data", count=1, parts=("train",))
    (root / "test").symlink_to(elsewhere / "test")
    (root / "train/cat/again").symlink_to(root)
    (root / "train/gone.png").symlink_to(tmp_path / "nowhere")
    both = [f"{p}/{c}/0000.png" for p in ("test", "train") for c in ("cat", "dog")]
    assert open_source(root).names == both
    (tmp_path / "link").symlink_to(root)
    assert open_source(tmp_path / "link").names == both


def test_a_zip_with_the_folders_of_windows(tmp_path):
    root, archive = noise_pictures(tmp_path / "data", count=1), tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in root.rglob("*.png"):
            inside = zipfile.ZipInfo("p\\" + str(path.relative_to(root)).replace("/", "\\"))
            file.writestr(inside, path.read_bytes())
    source = open_source(archive)
    assert source.names == [f"p/{name}" for name in open_source(root).names]
    assert np.array_equal(
        source.read("p/test/cat/0000.png"), open_source(root).read("test/cat/0000.png")
    )


def test_files_of_several_pictures_are_refused_as_the_service_refuses_them(tmp_path):
    pages = [Image.fromarray(np.full((8, 8, 3), grey, dtype=np.uint8)) for grey in (0, 90, 200)]
    more = {"save_all": True, "append_images": pages[1:]}
    for ending in ("tiff", "webp", "png"):
        pages[0].save(tmp_path / f"several.{ending}", **more)
    pages[0].save(tmp_path / "camera.jpg", "MPO", **more)
    source = open_source(tmp_path)
    for name in source.names[1:]:
        with pytest.raises(BadData, match=rf"{name} of .* it holds 3 frames or pages: save each"):
            source.read(name)
        with pytest.raises(UnsupportedImage, match="3 frames"):
            canonicalise((tmp_path / name).read_bytes())
    expected = canonicalise((tmp_path / "camera.jpg").read_bytes()).pixels
    assert np.array_equal(source.read("camera.jpg"), expected)


def test_headers_say_what_decoding_makes(tmp_path):
    colours = np.zeros((8, 11, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.jpg")
    Image.fromarray(np.zeros((30, 50), dtype=np.uint16)).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"broken")
    folder, archive = open_source(tmp_path), open_source(zipped(tmp_path, tmp_path / "d.zip"))
    for source in (folder, archive):
        headers = [source.header(name) for name in ("a.jpg", "b.png", "c.png")]
        assert headers == [(8, 11, False), (30, 50, True), (0, 0, False)]
    small = reduced(folder, 20)
    assert small.header("b.png")[:2] == small.read("b.png").shape[:2] == (20, 33)


def test_what_only_looks_like_a_picture_is_not_run(tmp_path, monkeypatch):
    """Pillow has PostScript drawn by Ghostscript, under whatever name it comes."""
    ran, root = tmp_path / "ran", tmp_path / "data"
    for name in ("gs", "gswin32c", "gswin64c"):
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # which looks for it once
    root.mkdir()
    (root / "cat.jpg").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 24\n%%EndComments\nshowpage\n%%EOF\n"
    )
    Image.new("RGB", (8, 8)).save(root / "old.png", format="TGA")
    source = open_source(root)
    for name in source.names:
        assert source.header(name) == (0, 0, False)
        with pytest.raises(BadData, match="is not a picture of a known format"):
            source.read(name)
    assert not ran.exists()


def test_a_small_zip_of_an_endless_picture_does_not_fill_the_memory(tmp_path, monkeypatch):
    root = noise_pictures(tmp_path / "data", count=1, classes=("cat",), parts=("train",))
    picture = root / "train/cat/0000.png"
    source = open_source(zipped(root, tmp_path / "data.zip"))
    monkeypatch.setattr(sources, "LARGEST", picture.stat().st_size)
    assert source.read("train/cat/0000.png").shape == (32, 32, 3)
    monkeypatch.setattr(sources, "LARGEST", picture.stat().st_size - 1)
    with pytest.raises(BadData, match="has more than"):
        source.read("train/cat/0000.png")


def test_a_folder_that_may_not_be_read_is_not_left_out_without_a_word(tmp_path, monkeypatch):
    root, listed = noise_pictures(tmp_path / "data", count=1), os.scandir

    for folder in (".Trash-1000", "train/.git", "lost+found"):
        (root / folder).mkdir()

    def scandir(path):
        if str(path).endswith(closed):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    closed = (".Trash-1000", ".git", "lost+found")  # where no pictures are looked for
    assert len(open_source(root).names) == 4
    closed = ("dog",)
    with pytest.raises(BadData, match=r"test/dog cannot be read: Permission denied"):
        open_source(root)


def test_the_mark_changes_with_names_that_were_swapped(tmp_path):
    """Of files of one size and time, as an archive of bitmaps leaves them."""
    root = tmp_path / "data"
    root.mkdir()
    one, other = root / "0.bmp", root / "1.bmp"
    for path, grey in ((one, 20), (other, 230)):
        Image.new("RGB", (8, 8), (grey,) * 3).save(path)
        os.utime(path, (1e9, 1e9))
    before = open_source(root).mark
    one.rename(root / "aside")
    other.rename(one)
    (root / "aside").rename(other)
    assert open_source(root).mark != before
