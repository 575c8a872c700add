"""Ground truth from files and from folders."""

from pathlib import Path

import pytest

from service.errors import BadRequest, BadTable
from service.jobs.intake.entries import LabelFile
from service.jobs.intake.truths import Truths

CSV = b"name,label\ncats/1.jpg,cat\n./dogs//1.jpg,dog\nother.jpg,\n"
JSONL = b'{"name":"cats/1.jpg","label":"cat"}\n{"name":"dogs/1.jpg","label":"dog"}\n' + (
    b'{"name":"other.jpg","label":null}\n'
)
NAMES = {"cats/1.jpg", "dogs/1.jpg", "other.jpg", "untold.jpg"}


@pytest.mark.parametrize("data", [CSV, JSONL])
def test_a_file(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "my.labels"
    path.write_bytes(data)
    for truths in (Truths.choose(data), Truths.choose(path), Truths.of_file(data, "x")):
        truths.check(NAMES)
        assert [truths.get(name) for name in sorted(NAMES)] == ["cat", "dog", None, None]


def test_a_file_beside_the_pictures() -> None:
    truths = Truths.choose(None, LabelFile("pets/labels.csv", CSV))
    truths.check({f"pets/{name}" for name in NAMES})
    assert truths.get("pets/cats/1.jpg") == "cat"
    assert truths.get("cats/1.jpg") is None
    truths = Truths.choose(None, LabelFile("labels.csv", CSV))
    assert truths.get("cats/1.jpg") == "cat"


def test_what_is_asked_for_comes_first() -> None:
    beside = LabelFile("labels.csv", b"no such thing")
    assert Truths.choose(CSV, beside).get("cats/1.jpg") == "cat"
    assert Truths.choose("folders", beside).get("cats/1.jpg") == "cats"


def test_another_word() -> None:
    with pytest.raises(BadRequest, match="folders"):
        Truths.choose("labels.csv")


def test_folders() -> None:
    truths = Truths.choose("folders")
    truths.check(())
    assert truths.get("cat/1.jpg") == "cat"
    assert truths.get("pets/tabby cat/1.jpg") == "tabby cat"
    assert truths.get("1.jpg") is None
    assert truths.get(" /1.jpg") is None


def test_nothing() -> None:
    truths = Truths.choose()
    truths.check(())
    assert truths.get("cat/1.jpg") is None


@pytest.mark.parametrize(
    ("data", "line", "column", "message"),
    [
        (b"", None, None, "empty"),
        (b"name\nx\n", 1, "label", "header lacks"),
        (b"name,label,weight\n", 1, "weight", "only name, label"),
        (b"name,label\na,b\na,c\n", 3, "name", "in line 2 already"),
        (b"name,label\na,b\na/../b,c\n", 3, "name", "leads out"),
        (b'name,label\na,"b\tc"\n', 2, "label", "control"),
        (b'{"name":"a","label":["b"]}', 1, "label", "text in quotes"),
        (b'{"label":"b"}', 1, "name", "missing"),
    ],
)
def test_an_error_names_its_place(
    data: bytes, line: int | None, column: str | None, message: str
) -> None:
    with pytest.raises(BadTable, match=f"^pets/labels.csv.*{message}") as error:
        Truths.choose(None, LabelFile("pets/labels.csv", data))
    assert (error.value.line, error.value.column, error.value.field) == (line, column, "labels")


def test_pictures_that_do_not_exist() -> None:
    truths = Truths.choose(CSV)
    with pytest.raises(BadTable, match=r"line 3, column name: there is no picture 'dogs/1.jpg'$"):
        truths.check(NAMES - {"dogs/1.jpg"})
    with pytest.raises(BadTable, match=r"'other.jpg'$"):  # also without a label
        truths.check(NAMES - {"other.jpg"})
    many = Truths.choose(b"name,label\n" + b"".join(b"%d,x\n" % i for i in range(12)))
    with pytest.raises(BadTable, match=r"line 2, .*'0', '1', '2', '3', '4', nor 7 more"):
        many.check(())
