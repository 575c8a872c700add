"""Zips as tools write them, and such as only an attacker would."""

import io
import stat
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from service.errors import ArchiveTooLarge, BadArchive
from service.jobs.intake.archive import open_archive
from service.jobs.intake.entries import ArchiveLimits
from tests.service.jobs.packing import PNG, Raw, raw_zip, unpack, write, zipped


def deflated(data: bytes) -> bytes:
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    return press.compress(data) + press.flush()


def test_100_000_tiny_files(tmp_path: Path) -> None:
    data = raw_zip(Raw(b"cats/%06d.png" % i, PNG) for i in range(100_000))
    assert int.from_bytes(data[-12:-10], "little") == 100_000 % 65_536  # as old tools count
    archive = open_archive(write(tmp_path, data))
    entries = archive.entries()
    assert next(entries).name == "cats/000000.png"
    count, last = 1, ""
    for entry in entries:
        count, last = count + (entry.data == PNG), entry.name
    assert (count, last) == (100_000, "cats/099999.png")


def test_the_directory_is_not_kept(tmp_path: Path) -> None:
    count = 5000
    data = raw_zip(Raw(b"d/%06d" % i + b"x" * 400, PNG, extra=b"\xff\xff\x90\1" + b"\0" * 400)
                   for i in range(count))  # fmt: skip
    path = write(tmp_path, data)
    tracemalloc.start()
    try:
        assert sum(1 for _ in open_archive(path).entries()) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < count * (46 + 408 + 404)


def test_zip64(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        with archive.open("a.png", "w", force_zip64=True) as member:
            member.write(PNG)
        archive.writestr("b.png", PNG)
    assert [e.data for e in unpack(tmp_path, out.getvalue())] == [PNG, PNG]
    # The long end of the directory, which zipfile writes for large archives alone.
    whole = zipped([("a.png", PNG)])
    end = len(whole) - 22
    length, offset = struct.unpack("<2L", whole[end + 12 : end + 20])
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, length, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    short = b"PK\5\6" + b"\0" * 4 + b"\xff" * 12 + b"\0\0"
    for before in (b"", b"#!/bin/sh\nexit\n" * 50):
        entries = unpack(tmp_path, before + whole[:end] + wide + locator + short)
        assert [e.data for e in entries] == [PNG]
    with pytest.raises(BadArchive, match="zip64"):
        unpack(tmp_path, whole[:end] + b"?" * 56 + locator + short)
    with pytest.raises(BadArchive, match="not as many entries"):
        unpack(tmp_path, whole[:end] + wide.replace(b"\1" + b"\0" * 7, b"\2" + b"\0" * 7)
               + locator + short)  # fmt: skip


def test_long_sizes_in_a_record(tmp_path: Path) -> None:
    wide = struct.pack("<2HQQ", 1, 16, len(PNG), 0)
    entry = Raw(b"a.png", PNG, size=0xFFFFFFFF, start=0xFFFFFFFF, extra=wide)
    assert unpack(tmp_path, raw_zip([entry]))[0].data == PNG
    entry = Raw(b"a.png", PNG, size=0xFFFFFFFF, start=0xFFFFFFFF, extra=wide[:12])
    with pytest.raises(BadArchive, match="lacks its long"):
        unpack(tmp_path, raw_zip([entry]))


def test_something_before_behind_and_in_the_comment(tmp_path: Path) -> None:
    data = zipped([("a.png", PNG)])
    assert unpack(tmp_path, b"MZ self-extracting" * 99 + data)[0].data == PNG
    assert unpack(tmp_path, data + b"appended")[0].data == PNG
    assert unpack(tmp_path, raw_zip([Raw(b"a.png", PNG)], b"x PK\5\6 y" * 9))[0].data == PNG


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        (Raw("é.png".encode(), PNG, flags=0x800), "é.png"),
        (Raw("é.png".encode(), PNG), "é.png"),
        (Raw(b"\x82.png", PNG), "é.png"),  # the standard's code page
        (
            Raw(
                b"\x82.png",
                PNG,
                extra=struct.pack("<2HBL", 0x7075, 5 + 7, 1, zlib.crc32(b"\x82.png"))
                + "猫.png".encode(),
            ),
            "猫.png",
        ),
        (Raw(b"dir\\a.png", PNG, system=0), "dir/a.png"),
    ],
)
def test_names_in_several_encodings(entry: Raw, name: str, tmp_path: Path) -> None:
    (found,) = unpack(tmp_path, raw_zip([entry]))
    assert (found.name, found.data) == (name, PNG)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (Raw(b"\xff.png", PNG, flags=0x800), "not UTF-8"),
        (Raw(b"a.png\0.txt", PNG), "control characters"),
        (Raw(b"a.png", PNG, flags=1), "encrypted"),
        (Raw(b"a.png", PNG, local_flags=1), "encrypted"),
        (Raw(b"a.png", b"/etc/passwd", attributes=stat.S_IFLNK | 0o777), "link or a device"),
        (Raw(b"a.png", PNG, attributes=stat.S_IFIFO), "link or a device"),
        (Raw(b"a.png", PNG, local_name=b"b.png"), "otherwise than the entry"),
        (Raw(b"a.png", PNG, crc=1), "damaged"),
        (Raw(b"a.png", PNG, size=len(PNG) - 1), "damaged"),
        (Raw(b"a.png", PNG, method=8), "damaged"),
        (Raw(b"a.png", PNG, method=12), "damaged"),
        (Raw(b"a.png", PNG, method=14), "damaged"),
        (Raw(b"a.png", PNG, method=14, packed=b"\0"), "damaged"),
        (Raw(b"a.png", PNG, method=99), "number 99"),
        (Raw(b"a.png", PNG, method=8, packed=deflated(PNG)[:-3]), "damaged"),
        (Raw(b"a.png", PNG, method=8, packed=deflated(PNG + b"more")), "damaged"),
        (Raw(b"a.png", PNG, size=2**30), "the limit is"),
    ],
)
def test_an_entry_that_cannot_be_read(entry: Raw, problem: str, tmp_path: Path) -> None:
    bad, good = unpack(tmp_path, raw_zip([entry, Raw(b"good.png", PNG, attributes=stat.S_IFREG)]))
    assert problem in str(bad.problem)
    assert good.data == PNG


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_size_that_lies(method: int, tmp_path: Path) -> None:
    data = zipped([("bomb.png", PNG + b"\0" * 30_000_000), ("a.png", PNG)], method)
    size = (30_000_000 + len(PNG)).to_bytes(4, "little")
    path = write(tmp_path, data.replace(size, (5000).to_bytes(4, "little")))
    archive = open_archive(path)
    tracemalloc.start()
    try:
        bomb, good = archive.entries()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "damaged" in str(bomb.problem)
    assert good.data == PNG
    assert peak < 6_000_000  # bzip2 needs 4 MB of its own


def test_a_dictionary_of_4_gib(tmp_path: Path) -> None:
    data = zipped([("a.png", PNG)], zipfile.ZIP_LZMA)
    at = data.index(b"\x05\0\x5d")
    entry = unpack(tmp_path, data[: at + 3] + b"\xff" * 4 + data[at + 7 :])[0]
    assert entry.data == PNG


def test_entries_that_overlap(tmp_path: Path) -> None:
    # All records name one entry; Fifield's first construction.
    same = [Raw(b"a.png", PNG, start=0) for _ in range(3)]
    with pytest.raises(BadArchive, match="one upon the other"):
        unpack(tmp_path, raw_zip(same))
    # An entry quotes the next one as its data; Fifield's second.
    inner = Raw(b"b.png", PNG)
    quoted = [Raw(b"a.png", inner.local()), Raw(b"b.png", PNG, start=30 + len(b"a.png"))]
    with pytest.raises(BadArchive, match="one upon the other"):
        unpack(tmp_path, raw_zip(quoted))


def test_entries_that_overlap_by_a_hidden_field(tmp_path: Path) -> None:
    """The local header has an extra field that the directory does not tell of."""
    data = bytearray(raw_zip([Raw(b"a.png", PNG), Raw(b"b.png", PNG)]))
    data[28:30] = (40).to_bytes(2, "little")
    with pytest.raises(BadArchive, match="one upon the other"):
        unpack(tmp_path, bytes(data))


def test_sizes_are_added_up_before_anything_is_unpacked(tmp_path: Path) -> None:
    claims = [Raw(b"%d.png" % i, PNG, size=10_000_000) for i in range(50)]
    limits = ArchiveLimits(max_total_bytes=400_000_000, free_bytes=10**9)
    entries = open_archive(write(tmp_path, raw_zip(claims)), limits).entries()
    with pytest.raises(ArchiveTooLarge, match="more than 400,000,000 bytes"):
        next(entries)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (-22 + 4, b"\1\0", "several volumes"),
        (-22 + 10, b"\7\0", "not as many entries"),
        (-22 + 12, b"\xff\xff\0\0", "outside of the file"),
        (-22 + 16, b"\xff\xff\xff\0", "outside of the file"),
        (-22 + 12, b"\5\0\0\0", "record of its directory"),
        (-22 - 51, b"x", "record of its directory"),
        (-22 - 51 + 28, b"\xff\xff", "cut off"),
        (-22 - 51 + 42, b"\xff\xff\xff\0", "outside of the file"),
        (-22, b"PK??", "no directory at its end"),
    ],
)
def test_a_damaged_directory(at: int, value: bytes, message: str, tmp_path: Path) -> None:
    data = bytearray(raw_zip([Raw(b"a.png", PNG)]))
    data[len(data) + at : len(data) + at + len(value)] = value
    with pytest.raises(BadArchive, match=message):
        unpack(tmp_path, bytes(data))
