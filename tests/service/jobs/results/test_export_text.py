"""JSONL and CSV say every row, and nothing in them runs."""

import csv
import io
import json

import pytest

from service.jobs.results.export_text import cell, csv_table, jsonl
from service.jobs.rows import COLUMNS, Row
from tests.service.jobs.rowmaking import HOSTILE, abstained, failed, row, stream, whole

ROWS = [
    row(0),
    abstained(1),
    failed(2),
    Row(3, "w", "aa", "waiting"),
    *(row(4 + k, name=name, truth=name, label=name) for k, name in enumerate(HOSTILE)),
]


async def test_jsonl_has_a_line_for_each_row():
    text = await whole(jsonl(stream(ROWS)))
    lines = text.decode().split("\n")
    assert lines.pop() == ""
    assert [Row.of(json.loads(line)) for line in lines] == ROWS


async def test_of_no_rows_there_is_a_head_at_most():
    assert await whole(jsonl(stream([]))) == b""
    assert await whole(csv_table(stream([]))) == ",".join(COLUMNS).encode() + b"\r\n"


async def test_csv_is_read_back_by_others():
    text = (await whole(csv_table(stream(ROWS)))).decode()
    read = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert len(read) == len(ROWS)
    for told, one in zip(read, ROWS, strict=True):
        assert (int(told["number"]), int(told["n"])) == (one.number, one.n)
        assert float(told["cost"]) == one.cost
        assert told["radius"] == ("" if one.radius is None else repr(one.radius))
        assert told["abstained"] == {None: "", True: "true", False: "false"}[one.abstained]
        assert told["state"] == one.state
    assert json.loads(read[2]["problem"]) == ROWS[2].problem
    assert read[0]["problem"] == ""
    assert read[0]["name"] == ROWS[0].name  # an ordinary name stays as it is
    assert text.count("\r\n") >= len(ROWS) + 1


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "  '=1"),
        ("\t=1", "\t'=1"),
        ('"=1', "\"'=1"),
        ("＝1", "'＝1"),
        ("\ufeff=1", "\ufeff'=1"),
        ("\r=1", "\r'=1"),
        ("a;=cmd|'/c calc'!A1", "a;'=cmd|'/c calc'!A1"),
        ("a\n-1", "a\n'-1"),
        ("a=b-c.png", "a=b-c.png"),
        ("a,-b", "a,-b"),  # a comma is quoted
        ("2024-01-01", "2024-01-01"),
        ("", ""),
    ],
)
def test_nothing_begins_like_a_formula(text, written):
    assert cell(text) == written


def test_numbers_stay_numbers():
    assert cell(-1.5) == -1.5
    assert cell(0) == 0
    assert cell(None) == ""
    assert cell({"title": "=1"}) == '{"title":"=1"}'
    assert cell({"title": "a;=1"}) == '{"title":"a;\'=1"}'
