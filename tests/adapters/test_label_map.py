"""Label maps from files: three ways to write one, and where one is wrong."""

import pytest

from adapters.errors import NotConfigured
from adapters.label_map import LARGEST, read_label_map

PEOPLE = {"Human": "Person", "Mädchen": "Person"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.json", '{"Human": "Person", "Mädchen": "Person"}'),
        ("m.JSON", '\ufeff{"Human": "Person", "Mädchen": "Person", "Human": "Person"}'),
        ("m.toml", 'Human = "Person"\n"Mädchen" = "Person"\n'),
        ("m.csv", "Human,Person\nMädchen,Person\n"),
        ("m.csv", '\ufeff\r\nHuman,Person\r\n  \r\n,\r\n"Mädchen","Person"\r\nHuman,Person'),
        ("labels", "Human,Person\nMädchen,Person"),
    ],
)
def test_the_ways_to_write_one(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert read_label_map(path) == PEOPLE


def test_labels_with_commas_and_line_ends(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text('"Cat, tabby",Cat\n')
    assert read_label_map(path) == {"Cat, tabby": "Cat"}
    path.write_text("")
    assert read_label_map(path) == {}


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("m.json", b"[1]", "an object of names"),
        ("m.json", b'{"a": 1}', "an object of names"),
        ("m.json", b'{"a": {"b": "c"}}', "an object of names"),
        ("m.json", b'{"a": "b", "a": "c"}', "'a' is mapped to 'b' and to 'c'"),
        ("m.json", b"{", "cannot be read"),
        ("m.json", b"[" * 100_000, "cannot be read"),
        ("m.toml", b"a = 1979-05-27", "an object of names"),
        ("m.toml", b'a = "b"\na = "c"', "cannot be read"),
        ("m.csv", b"a,b\n\n\nc\n", "line 4 has 1 columns"),
        ("m.csv", b"a,b,c\n", "line 1 has 3 columns"),
        ("m.csv", b"a,b\na,c\n", "'a' is mapped to 'b' and to 'c'"),
        ("m.csv", b"a,b\nb,c\n", "'b' is mapped to and mapped on"),
        ("m.csv", b"a,\n", "a label is empty"),
        ("m.csv", b"Cat,x\ncat,y\n", "'cat' is mapped to 'x' and to 'y'"),
        ("m.csv", b"\xff\xfea\x00,\x00", "cannot be read"),
        ("m.csv", b'a,"' + b"x" * 200_000 + b'"\n', "field larger"),
        ("m.csv", b"x" * (LARGEST + 1), "more than 1,048,576 bytes"),
    ],
)
def test_what_is_no_label_map(tmp_path, name, data, says):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(NotConfigured, match=says) as caught:
        read_label_map(path)
    assert name in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "gone.csv", tmp_path):
        with pytest.raises(NotConfigured, match="cannot be read"):
            read_label_map(path)
