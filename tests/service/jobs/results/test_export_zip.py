"""The zip of certificates: whole, safe to unpack, of any size."""

import csv
import io
import zipfile
import zlib

import pytest

from service.jobs.results import zip_stream
from service.jobs.results.export_names import SUFFIX, Names, safe_path
from service.jobs.results.export_text import csv_table
from service.jobs.results.export_zip import AT_ONCE, certificates_zip
from service.jobs.results.zip_stream import Spool, ZipStream
from tests.service.jobs.rowmaking import HOSTILE, failed, row, stream, whole


def document(certificate):
    return b'{"id":"' + certificate.encode() + b'"}'


async def fetch(ids):
    assert 0 < len(ids) <= AT_ONCE
    return [None if int(name, 16) == 7 else document(name) for name in ids]


async def opened(rows):
    return zipfile.ZipFile(io.BytesIO(await whole(certificates_zip(stream(rows), fetch))))


async def test_every_certificate_and_the_table_are_in_it():
    rows = [*map(row, range(200)), failed(200), row(201, name="pictures/000001.png")]
    file = await opened(rows)
    assert file.testzip() is None
    *names, last = file.namelist()
    assert last == "rows.csv"
    assert file.read("rows.csv") == await whole(csv_table(stream(rows)))
    assert len(list(csv.reader(io.StringIO(file.read("rows.csv").decode())))) == 203
    assert len(names) == len(set(names)) == 200  # one is not kept any more, one has none
    assert file.read("certificates/pictures/000003.png.certificate.json") == document(
        rows[3].certificate
    )
    assert "certificates/pictures/000001.png~201.certificate.json" in names


async def test_of_no_rows_it_has_the_empty_table():
    file = await opened([])
    assert file.namelist() == ["rows.csv"]
    assert file.testzip() is None


async def test_what_pictures_are_called_does_no_harm(tmp_path):
    rows = [row(10 + k, name=name) for k, name in enumerate(HOSTILE)]
    file = await opened(rows)
    file.extractall(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert len(file.namelist()) == len(rows) + 1
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == len(rows) + 1


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("cats/ä.png", "cats/ä.png"),
        ("../../etc/passwd", "etc/passwd"),
        ("/abs", "abs"),
        ("C:\\x\\y", "C_/x/y"),
        ("a/./b//c", "a/b/c"),
        ("con.png", "_con.png"),
        ("dots. .", "dots"),
        (" blank", "_ blank"),
        ("-rf", "_-rf"),
        ("", "_"),
        ("..", "_"),
        ("a\x00b\nc\u202ed", "a_b_c_d"),
        ("a.certificate.json/b", "a.certificate.json_/b"),
        ("http://h/p?q=1", "http_/h/p_q=1"),
    ],
)
def test_paths_are_made_safe(name, path):
    assert safe_path(name) == path


def test_long_names_keep_their_end():
    assert safe_path("ä" * 500 + ".png").endswith("ä.png")
    deep = safe_path("/".join(["x" * 100] * 20) + "/end.png")
    assert deep == "end.png"
    assert len(safe_path("a" * 90 + "/" + "\U0001f600" * 90).encode()) <= 180


def test_names_differ_for_systems_that_know_no_case():
    names = Names()
    taken = [
        names.take(name, number)
        for number, name in enumerate(
            ["a", "A", "a~1", "ä", "a\u0308", "ﬁ", "FI", "a~2", "a", "a~8", "b:c", "b?c"]
        )
    ]
    assert taken[:3] == ["a" + SUFFIX, "A~1" + SUFFIX, "a~1~2" + SUFFIX]
    assert len({name.casefold() for name in taken}) == len(taken)


def test_many_names_hardly_need_numbers():
    names = Names()
    numbered = sum("~" in names.take(f"{k}.png", k) for k in range(20_000))
    assert numbered < 20


def archive(members):
    with ZipStream() as made, Spool() as table:
        data = b"".join(made.member(name, content) for name, content in members)
        table.write(b"x" * 100_000)
        return data + b"".join(made.spooled("rows.csv", table)) + b"".join(made.end())


def test_more_members_than_the_old_format_can_count():
    count = 65_600
    file = zipfile.ZipFile(io.BytesIO(archive((f"{k}", b"") for k in range(count))))
    assert len(file.infolist()) == count + 1
    assert file.read("rows.csv") == b"x" * 100_000


def test_members_beyond_4_gib(tmp_path):
    far = 5 << 30  # bytes, of which the file system keeps none
    with ZipStream() as made, (tmp_path / "far.zip").open("wb") as file:
        made._at = far
        file.seek(far)
        file.write(made.member("a", b"first") + made.member("b", b"second"))
        file.writelines(made.end())
    with zipfile.ZipFile(tmp_path / "far.zip") as read:
        assert [member.header_offset for member in read.infolist()] == [far, far + 38]
        assert (read.testzip(), read.read("b")) == (None, b"second")


def test_sizes_and_places_beyond_the_old_format(monkeypatch):
    # The limit is lowered, and what is written for it read with the same limit elsewhere.
    monkeypatch.setattr(zip_stream, "_MOST", 3)
    extra = zip_stream._zip64([5, 7])
    assert extra == bytes([1, 0, 16, 0, 5, *[0] * 7, 7, *[0] * 7])
    members = [("a", b"first"), ("b", b"second")]
    data = archive(members)
    end = data.index(b"PK\x06\x06")
    start = int.from_bytes(data[end + 48 : end + 56], "little")
    assert data[start : start + 4] == b"PK\x01\x02"
    assert int.from_bytes(data[end + 32 : end + 40], "little") == 3
    assert data[end + 56 : end + 60] == b"PK\x06\x07"
    assert int.from_bytes(data[end + 64 : end + 72], "little") == end
    # Of the second member: the extra field has both sizes, then the place.
    second = data.index(b"PK\x01\x02", start + 4)
    name = int.from_bytes(data[second + 28 : second + 30], "little")
    extra = data[second + 46 + name : second + 46 + name + 28]
    assert extra[:4] == bytes([1, 0, 24, 0])
    size, packed, place = (int.from_bytes(extra[k : k + 8], "little") for k in (4, 12, 20))
    assert size == 6
    assert data[place : place + 4] == b"PK\x03\x04"
    body = place + 30 + 1 + 20
    assert zlib.decompress(data[body : body + packed], wbits=-15) == b"second"
