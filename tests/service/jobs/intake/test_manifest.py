"""Manifests: every line is a picture, every error names its place."""

import tracemalloc
from pathlib import Path

import pytest

from service.errors import ArchiveTooLarge, BadTable
from service.jobs.intake import tables
from service.jobs.intake.manifest import Listed, not_uploaded, read_manifest
from service.problems import problem_of
from tests.service.jobs.packing import PNG

SHA = "ab" * 32
UPLOADED = f"sha256:{SHA}"


def one(text: str, **options: object) -> Listed:
    (listed,) = read_manifest(text.encode(), **options)  # type: ignore[arg-type]
    return listed


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        (f'{{"image":"{UPLOADED}"}}', Listed(1, f"sha256-{SHA}", SHA)),
        (
            f'{{"image":"{UPLOADED.upper().replace("SHA", "sha")}"}}',
            Listed(1, f"sha256-{SHA}", SHA),
        ),
        (
            f'\n{{"label":" cat ","name":"./x/1.jpg","image":"{UPLOADED}"}}\n\n',
            Listed(2, "x/1.jpg", SHA, truth="cat"),
        ),
        (f'{{"image":"{UPLOADED}","name":null,"label":""}}', Listed(1, f"sha256-{SHA}", SHA)),
        (f"image\n{UPLOADED}", Listed(2, f"sha256-{SHA}", SHA)),
        (
            f"\ufeffImage , label\r\n{UPLOADED},cat\r\n\r\n",
            Listed(2, f"sha256-{SHA}", SHA, truth="cat"),
        ),
        (f"label;name;image\n;a.jpg;{UPLOADED}\n", Listed(2, "a.jpg", SHA)),
        (
            f'name\timage\n"a ""b""\t.jpg"\t{UPLOADED}\n'.replace("\t.jpg", ".jpg"),
            Listed(2, 'a "b".jpg', SHA),
        ),
    ],
)
def test_a_line(text: str, listed: Listed) -> None:
    assert one(text) == listed


J, C = f'{{"image":"{UPLOADED}"}}\n', f"image,name\n{UPLOADED},\n"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", None, None, "empty"),
        ("\n \n", None, None, "empty"),
        ("image,name\n", None, None, "lists no picture"),
        ("{}", 1, "image", "missing"),
        ('{"image":""}', 1, "image", "missing"),
        (J + '{"image":1}', 2, "image", "text in quotes"),
        (J + '{"image":"a","image":"b"}', 2, "image", "twice"),
        (J + '{"image":"a","lable":"b"}', 2, "lable", "only image, name, label"),
        (J + '{"image":', 2, None, "at character"),
        (J + "[1]", 2, None, "must be an object"),
        (J + "{" * 9, 2, None, "no JSON"),
        (J + '{"image":' + "[" * 60_000, 2, None, "no JSON"),
        (J + '{"image":' + "9" * 9000 + "}", 2, None, "no JSON"),
        (J + "x" * 70_000, 2, None, "more than 65,536 bytes"),
        (J + "{\0}", 2, None, "NUL"),
        (J + J, 2, "image", "name of a picture before"),
        ('{"image":"sha256:12"}', 1, "image", "64 hexadecimal digits"),
        ('{"image":"a.jpg"}', 1, "image", "uploaded before"),
        (f'{{"image":"{UPLOADED}","name":"../a"}}', 1, "name", "leads out"),
        (f'{{"image":"{UPLOADED}","name":"\\ud800"}}', 1, "name", "UTF-8"),
        (f'{{"image":"{UPLOADED}","label":"a\\u0000b"}}', 1, "label", "control"),
        (f'{{"image":"{UPLOADED}","label":"{"x" * 300}"}}', 1, "label", "255"),
        ("name,label\na,b\n", 1, "image", "header lacks it"),
        ("image,image\na,b\n", 1, "image", "twice"),
        ("image,,label\na,b\n", 1, "", "no such column"),
        (C + f"{UPLOADED}\n", 3, None, "has 1 cells, the header has 2"),
        (C + f"{UPLOADED},a,b\n", 3, None, "has 3 cells"),
        (C + ",b\n", 3, "image", "missing"),
        (C + f'{UPLOADED},"a"b\n', 3, None, "mind the quotes"),
        (C + f'{UPLOADED},"a\nb\n', 3, None, "mind the quotes"),
        (C + f'{UPLOADED},"a\nb"\n', 3, "name", "control"),
        (C + f'{UPLOADED},"a' + "b\n" * 100_000, 3, None, "mind the quotes"),
        (f'image,label\n{UPLOADED},"a\nb"\n', 2, "label", "control"),
    ],
)
def test_an_error_names_its_place(
    text: str, line: int | None, column: str | None, message: str
) -> None:
    with pytest.raises(BadTable, match=message) as error:
        list(read_manifest(text.encode("utf-8", "surrogatepass"), where="list.csv"))
    found = error.value
    assert (found.line, found.column, found.field) == (line, column, "manifest")
    place = "list.csv"
    place += "" if line is None else f", line {line}"
    place += "" if column is None else f", column {column}"
    assert str(found).startswith(f"{place}: ")
    problem = problem_of(found)
    assert (problem.kind.slug, problem.kind.status) == ("bad-table", 422)
    assert problem.errors[0]["field"] == "manifest"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("image\na\n".encode("utf-16"), "UTF-16"),
        ("image,name\na,é\n".encode("latin-1"), "line 2: it is not UTF-8"),
    ],
)
def test_other_encodings(data: bytes, message: str) -> None:
    with pytest.raises(BadTable, match=message):
        list(read_manifest(data))


def test_a_quoted_line_end_does_not_shift_the_count(tmp_path: Path) -> None:
    text = f'image,label\n{UPLOADED},cat\n\nsha256:{"cd" * 32},"dog\n"\nsha256:1,cat\n'
    path = tmp_path / "list.csv"
    path.write_text(text)
    lines = read_manifest(path)
    assert [(next(lines).line, next(lines).line)] == [(2, 4)]
    with pytest.raises(BadTable, match="line 6, column image"):
        next(lines)


def test_paths(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    (inside / "dir").mkdir(parents=True)
    for path in (inside / "dir/1.png", inside / "e\u0301.png", tmp_path / "out.png"):
        path.write_bytes(PNG)
    (inside / "link.png").symlink_to("../out.png")
    text = "image,name\ndir/1.png,\n./dir\\1.png,again.png\ne\u0301.png,\nlink.png,"
    listed = list(read_manifest(text.encode(), folder=inside))
    assert [one.name for one in listed] == ["dir/1.png", "again.png", "é.png", "link.png"]
    entries = [one.read(1000) for one in listed]
    assert [e.data for e in entries] == [PNG, PNG, PNG, None]
    assert "leads out" in str(entries[3].problem)
    assert "the limit is 10" in str(listed[0].read(10).problem)


@pytest.mark.parametrize("image", ["../out.png", "{tmp}/out.png", "dir/../../out.png"])
def test_paths_that_lead_out(image: str, tmp_path: Path) -> None:
    (tmp_path / "in/dir").mkdir(parents=True)
    (tmp_path / "out.png").write_bytes(PNG)
    text = f"image\n{image.format(tmp=tmp_path)}\n"
    with pytest.raises(BadTable, match=r"line 2, column image: .*allow files outside"):
        one(text, folder=tmp_path / "in")
    listed = one(text, folder=tmp_path / "in", outside=True)
    assert listed.name.endswith("out.png")
    assert not listed.name.startswith(("/", "."))
    assert listed.read(1000).data == PNG


@pytest.mark.parametrize("image", ["none.png", "dir", "x" * 1000, "a/" * 500])
def test_paths_without_a_file(image: str, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    for outside in (False, True):
        with pytest.raises(BadTable, match="line 2, column image: there is no file"):
            one(f"image\n{image}\n", folder=tmp_path, outside=outside)


def test_a_manifest_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match="No such file"):
        list(read_manifest(tmp_path / "none.csv"))


def test_a_picture_that_nobody_uploaded() -> None:
    error = not_uploaded(one(f"image\n{UPLOADED}"))
    assert str(error).startswith("manifest, line 2, column image: nobody has uploaded")
    assert (error.line, error.column, error.field) == (2, "image", "manifest")


def test_too_many_lines() -> None:
    text = "image,name\n" + "".join(f"{UPLOADED},{i}\n" for i in range(5))
    assert len(list(read_manifest(text.encode(), most=5))) == 5
    with pytest.raises(ArchiveTooLarge, match="more than 4 pictures"):
        list(read_manifest(text.encode(), most=4))


@pytest.mark.parametrize("before", ["", J, C])
def test_empty_lines_count(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 GiB of them kept a thread busy for a quarter of an hour, long after the client had gone."""
    monkeypatch.setattr(tables, "MOST_LINES", 1000)
    fits = before + "\n" * (1000 - before.count("\n"))
    if before:
        assert len([*read_manifest(fits.encode())]) == 1
    with pytest.raises(BadTable, match="more than 1,000 lines"):
        [*read_manifest(f"{fits}\n".encode())]


def test_only_names_are_kept(tmp_path: Path) -> None:
    count = 3_000
    path = tmp_path / "list.jsonl"
    path.write_text(
        "".join(
            f'{{"image":"{UPLOADED}","name":"{i}","label":"{"long" * 60}"}}\n' for i in range(count)
        )
    )
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_manifest(path)) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < count * 200 < path.stat().st_size
