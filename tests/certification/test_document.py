"""Strict reading: one meaning for every document, and no file that hurts the reader."""

import json
import math
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certification.document import MOST_DEPTH, canonical, read
from certification.errors import InvalidParameter

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
plain = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | names
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    plain | numbers,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def refused(data: bytes, **limits) -> str:
    with pytest.raises(InvalidParameter) as caught:
        read(data, what="certificate", **limits)
    assert caught.value.field == "certificate"
    assert len(str(caught.value)) < 400
    return str(caught.value)


@settings(deadline=None)
@given(values)
def test_what_is_written_canonically_is_read_back(value):
    again = read(canonical(value), what="certificate")
    assert again == value
    assert canonical(again) == canonical(value)


@settings(deadline=None)
@given(values)
def test_any_spacing_is_read(value):
    for text in (json.dumps(value, indent=1), json.dumps(value, ensure_ascii=False, indent="\t")):
        try:
            assert read(text.encode(), what="certificate") == value
        except InvalidParameter:  # one line without white space, where Python writes 1.0 or é
            assert not re.search(r"\s", re.sub(r'"(\\.|[^"\\])*"', "", text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 1}', "'a' is there twice"),
        ('{"x": {"b": 1, "\\u0062": 2}}', "'b' is there twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "-Infinity"),
        ('{"a": 1e999}', "too large"),
        ('{"a": ' + "9" * 400 + "}", "too large"),
        ('{"a": 1} {"a": 1}', "byte 9: Extra data"),
        ('{"ä": 1} x', "byte 10: Extra data"),
        ('{"a": 1}\0', "byte 8"),
        ('{"a": 01}', "byte 7"),
        ("{'a': 1}", "byte 1"),
        ('{"a": 1,}', "not JSON"),
        ('{"a": "\t"}', "byte 7"),
        ("", "byte 0"),
        ("\ufeff{}", "BOM"),
        ('{"a": "\\ud800"}', "no canonical form"),
        ('{"a": "', "byte 6"),
        ('"\\', "not JSON"),
    ],
)
def test_what_could_be_understood_in_two_ways_is_refused(text, words):
    assert words in refused(text.encode())


def test_other_encodings_are_refused():
    assert "UTF-8 at byte 0" in refused("{}".encode("utf-16"))
    assert "UTF-8 at byte 7" in refused(b'{"a": "\xe4"}')


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ('{"a":1E-7}', 6),
        ('{"a":1e-07}', 8),
        ('{"a":1.0}', 6),
        ('{"a":0.10}', 8),
        ('{"b":1,"a":2}', 2),
        ('{"a":"\\u0061"}', 6),
        ('{"a":"\\/"}', 6),
        ('{"a":-0}', 5),
        ('{"a":9007199254740993}', 20),
    ],
)
def test_compact_text_must_be_canonical_to_the_byte(text, at):
    assert f"at byte {at}:" in refused(text.encode())
    assert read(text.replace(":", ": ").encode(), what="certificate")  # spaced out it may be


def test_one_line_end_around_compact_text_is_fine():
    for text in ('{"a":1}\n', '{"a":1}\r\n', '\n{"a":1}', '\n{"a":1}\n'):
        assert read(text.encode(), what="certificate") == {"a": 1}
    assert "canonical" in refused(b'{"a":1.0}\n')
    assert "canonical" in refused(b'{"a":1.0,"b":"with white space"}')


def test_numbers_beyond_whole_doubles_are_read_as_written():
    for number in (1e16, 1e20, 123456789012345680000.0, -1e19, 2.0**53):
        again = read(canonical({"a": number}), what="certificate")
        assert again == {"a": number}
        assert canonical(again) == canonical({"a": number})


def hostile():
    yield "nested lists", b"[" * 100_000
    yield "closed lists", b"[" * 100_000 + b"]" * 100_000
    yield "nested objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    yield "just too deep", b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1)
    yield "50 MB of blanks", b" " * 50_000_000
    yield "50 MB of text", b'"' + b"a" * 50_000_000 + b'"'
    yield "4 MB of quotes", b'"' + b'\\"' * 2_000_000
    yield "4 MB of backslashes", b'["' + b"\\" * 4_000_001
    yield "4 MB of numbers", b"[" + b"1," * 2_000_000
    yield "a number of a million digits", b"[" + b"1" * 1_000_000 + b"]"
    yield "a million digits behind the point", b"[0." + b"1" * 1_000_000 + b"]"
    yield (
        "a name of a megabyte, twice",
        (b'{"' + b"a" * 10**6 + b'": 1, "' + b"a" * 10**6 + b'":2}'),
    )


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in hostile()])
def test_hostile_files_are_refused_in_no_time(data):
    started = time.perf_counter()
    refused(data)
    assert time.perf_counter() - started < 2.0


def test_depth_is_counted_outside_of_strings():
    text = '{"a": "' + "[{" * 1000 + '"}'
    assert read(text.encode(), what="certificate") == {"a": "[{" * 1000}
    deep = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert canonical(read(deep.encode(), what="certificate")).decode() == deep


def test_limits_can_be_set():
    assert "at most 3" in refused(b"[ ] ", most_bytes=3)
    assert "more than 2 values" in refused(b"[1,2,3,4]", most_values=2)


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: 2}, {"a": b"x"}, "\udc00", 2**53])
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(InvalidParameter):
        canonical([value])


def test_endless_nesting_has_no_canonical_form():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidParameter, match="nested"):
        canonical(deep)
    while deep:  # taken apart by hand: freeing it in one go is deep, too
        deep = deep.pop()
