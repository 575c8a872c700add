"""Tars as tools write them, and such as only an attacker would."""

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import pytest

from service.errors import ArchiveTooLarge, BadArchive
from service.jobs.intake.archive import open_archive
from service.jobs.intake.entries import ArchiveLimits
from tests.service.jobs.packing import PNG, tarred, unpack, write

END = b"\0" * 1024


def block(name: bytes, size: int, kind: bytes = b"0", **fields: bytes) -> bytearray:
    """A header; `fields` are named "at_OFFSET"."""
    head = bytearray(512)
    head[: len(name)] = name
    head[100:108] = b"0000644\0"
    head[124:136] = b"%011o\0" % size
    head[156:157] = kind
    head[257:265] = b"ustar\x0000"
    for place, value in fields.items():
        at = int(place.removeprefix("at_"))
        head[at : at + len(value)] = value
    head[148:156] = b"        "
    head[148:156] = b"%06o\0 " % sum(head)
    return head


def member(name: bytes, data: bytes, kind: bytes = b"0", **fields: bytes) -> bytes:
    return bytes(block(name, len(data), kind, **fields)) + data + b"\0" * (-len(data) % 512)


def pax(**fields: str) -> bytes:
    lines = b""
    for key, value in fields.items():
        body = f" {key.replace('__', '.')}={value}\n".encode("utf-8", "surrogateescape")
        length = len(body) + 2
        length += len(str(length)) - 2 if length >= 100 else 0
        lines += str(length).encode() + body
    return member(b"pax", lines, b"x")


GOOD = member(b"good.png", PNG)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (tarfile.SYMTYPE, "link or a device"),
        (tarfile.LNKTYPE, "link or a device"),
        (tarfile.CHRTYPE, "link or a device"),
        (tarfile.BLKTYPE, "link or a device"),
        (tarfile.FIFOTYPE, "link or a device"),
    ],
)
def test_links_and_devices(kind: bytes, problem: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("a.png")
        link.type, link.linkname = kind, "/etc/passwd"
        archive.addfile(link)
        good = tarfile.TarInfo("good.png")
        good.size = len(PNG)
        archive.addfile(good, io.BytesIO(PNG))
    bad, after = unpack(tmp_path, out.getvalue())
    assert problem in str(bad.problem)
    assert after.data == PNG


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (member(b"a.png", PNG, b"\0"), "a.png"),  # before POSIX
        (member(b"a.png", PNG, b"7"), "a.png"),
        (member(b"b.png", PNG, at_345=b"dir/a"), "dir/a/b.png"),
        (member(b"L", b"long/name.png\0", b"L") + member(b"short", PNG), "long/name.png"),
        (member(b"K", b"link", b"K") + member(b"a.png", PNG), "a.png"),
        (pax(path="é.png", mtime="1.5") + member(b"e.png", PNG), "é.png"),
        (pax(path="x" * 150) + member(b"e.png", PNG), "x" * 150),
        (member(b"g", b"17 comment=hello\n", b"g") + member(b"a.png", PNG), "a.png"),
        (pax(size=str(len(PNG))) + bytes(block(b"a.png", 0)) + member(b"", PNG)[512:], "a.png"),
        (
            bytes(block(b"a.png", 0, at_124=b"\x80" + len(PNG).to_bytes(11, "big")))
            + member(b"", PNG)[512:],
            "a.png",
        ),
        (member(b"LABEL", b"", b"V") + member(b"a.png", PNG), "a.png"),
        (member(b"dir/", b"", b"\0") + member(b"a.png", PNG), "a.png"),
    ],
)
def test_headers_of_all_times(data: bytes, name: str, tmp_path: Path) -> None:
    first, good = unpack(tmp_path, data + GOOD + END)
    assert (first.name, first.data) == (name, PNG)
    assert good.data == PNG


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (member(b"\xff.png", PNG), "not UTF-8"),
        (pax(path="a\udcff.png") + member(b"a.png", PNG), "not UTF-8"),
        (pax(path="../a.png") + member(b"a.png", PNG), "leads out"),
        (pax(path="/a.png") + member(b"a.png", PNG), "absolute"),
        (member(b"L", b"a\x1b.png", b"L") + member(b"a.png", PNG), "control"),
        (pax(GNU__sparse__major="1") + member(b"a.png", PNG), "sparse"),
        (member(b"a.png", PNG, b"S"), "sparse"),
        (member(b"a.png", PNG, b"?"), "link or a device"),
        (
            bytes(block(b"a.png", len(PNG), b"S", at_482=b"\1")) + b"\0" * 504 + b"\1" + b"\0" * 7
            + b"\0" * 512 + member(b"", PNG)[512:],
            "sparse",
        ),
    ],
)  # fmt: skip
def test_a_member_that_cannot_be_read(data: bytes, problem: str, tmp_path: Path) -> None:
    bad, good = unpack(tmp_path, data + GOOD + END)
    assert problem in str(bad.problem)
    assert good.data == PNG


@pytest.mark.parametrize(
    "data",
    [
        bytes(block(b"L", 2**40, b"L")) + b"a" * 2048,
        bytes(block(b"x", 2**40, b"x")) + b"a" * 2048,
        bytes(block(b"a.png", 2**40)) + PNG,
        bytes(block(b"a.txt", 0, at_124=b"\x80" + b"\x7f" * 11)),
        pax(size="9" * 60) + member(b"a.png", PNG),
        pax(size="-1") + member(b"a.png", PNG),
        member(b"x", b"99999 path=a\n", b"x") + GOOD,
        member(b"x", b"0 path=a\n", b"x") + GOOD,
        member(b"x", b"path=a\n", b"x") + GOOD,
        b"".join(member(b"L", b"a.png\0", b"L") for _ in range(9)) + GOOD,
        GOOD + b"x" * 512,
        GOOD + member(b"x", b"12 path=a.p\n", b"x"),
        bytes(block(b"a.png", 0, b"S", at_482=b"\1")) + (b"\0" * 504 + b"\1" + b"\0" * 7) * 3,
    ],
)
def test_a_damaged_tar(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="cut off or damaged"):
        unpack(tmp_path, data + (END if data.endswith(GOOD) else b""))


def test_without_its_end(tmp_path: Path) -> None:
    """A transfer that broke off between two files would lose the rest without a word."""
    with pytest.raises(BadArchive, match="no mark at its end"):
        unpack(tmp_path, GOOD * 1)
    assert len(unpack(tmp_path, GOOD + END[:512])) == 1


def test_joined_archives_and_a_dirty_record(tmp_path: Path) -> None:
    both = GOOD + END + member(b"b.png", PNG) + END
    assert [e.name for e in unpack(tmp_path, both)] == ["good.png", "b.png"]
    assert len(unpack(tmp_path, GOOD + END + b"rubbish" * 512)) == 1


def test_sums_of_old_systems(tmp_path: Path) -> None:
    head = block("é.png".encode(), len(PNG))
    head[148:156] = b"        "
    signed = sum(byte - 256 if byte > 127 else byte for byte in head)
    head[148:156] = b"%06o\0 " % signed
    assert unpack(tmp_path, bytes(head) + member(b"", PNG)[512:] + END)[0].data == PNG


def test_streams_one_after_the_other(tmp_path: Path) -> None:
    data = tarred([("a.png", PNG), ("b.png", PNG)])
    for press in (gzip.compress, bz2.compress, lzma.compress):
        parts = [press(data[at : at + 700]) for at in range(0, len(data), 700)]
        for joint in (b"", b"\0" * 8):
            assert len(unpack(tmp_path, joint.join(parts))) == 2
        assert len(unpack(tmp_path, press(data) + b"rubbish")) == 2


def test_streams_without_end(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="too many streams"):
        unpack(tmp_path, gzip.compress(tarred([("a.png", PNG)])) + gzip.compress(b"") * 2000)


def test_a_wrong_check_sum(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(tarred([("a.png", PNG), ("b.png", PNG + b"\0" * 200_000)])))
    data[-5] ^= 1
    entries = open_archive(write(tmp_path, bytes(data))).entries()
    assert next(entries).data == PNG
    with pytest.raises(BadArchive, match="damaged"):
        list(entries)


def test_compressed_but_no_tar(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="compressed, but no tar"):
        unpack(tmp_path, gzip.compress(PNG * 20))
    with pytest.raises(BadArchive, match="cut off or damaged"):
        unpack(tmp_path, gzip.compress(PNG))
    with pytest.raises(BadArchive, match="damaged at its beginning"):
        unpack(tmp_path, b"\x1f\x8b" + b"\xff" * 600)


def endless(data: bytes) -> bytes:
    """A gzip of `data` and of 16 MiB of zeros behind them."""
    press = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(2**20)
    return b"".join(
        [press.compress(data), *(press.compress(zeros) for _ in range(16)), press.flush()]
    )


@pytest.mark.parametrize(
    "data",
    [
        GOOD + END,
        GOOD + bytes(block(b"a.png", 2**35)),
        GOOD + bytes(block(b"a.png", 0, b"S", at_482=b"\1")) + b"\0" * 504 + b"\1" + b"\0" * 7,
        END,
    ],
)
def test_an_endless_stream(data: bytes, tmp_path: Path) -> None:
    path = write(tmp_path, endless(data))
    archive = open_archive(path, ArchiveLimits(free_bytes=2**20, max_ratio=100))
    tracemalloc.start()
    try:
        with pytest.raises((ArchiveTooLarge, BadArchive)):
            list(archive.entries())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_a_dictionary_of_4_gib(tmp_path: Path) -> None:
    """One byte of an xz header makes the decoder ask for 4 GiB of memory."""
    data = bytearray(lzma.compress(tarred([("a.png", PNG)]) * 3))
    assert data[12:16] == b"\x02\x00\x21\x01"
    data[16] = 40
    data[20:24] = zlib.crc32(data[12:20]).to_bytes(4, "little")
    with pytest.raises(BadArchive, match="damaged"):
        unpack(tmp_path, bytes(data))
