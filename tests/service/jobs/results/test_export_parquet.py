"""Parquet has every row with its types."""

import io
import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import MissingFormat
from service.jobs.results.export_parquet import TYPES, parquet
from service.jobs.rows import COLUMNS
from tests.service.jobs.rowmaking import abstained, failed, row, stream, whole


async def test_rows_come_back_with_their_types():
    rows = [row(0), abstained(1), failed(2), row(3, name="\udcff", truth=None, correct=None)]
    table = pq.read_table(io.BytesIO(await whole(parquet(stream(rows)))))
    assert table.column_names == list(COLUMNS) == list(TYPES)
    types = {field.name: str(field.type) for field in table.schema}
    assert types == TYPES | dict.fromkeys(("radius", "cost", "seconds"), "double")
    told = [one.describe() for one in rows]
    told[3]["name"] = "\\udcff"  # as JSON would write it
    told[2]["problem"] = json.dumps(told[2]["problem"], separators=(",", ":"))
    assert table.to_pylist() == told


async def test_row_groups_are_bounded():
    file = pq.ParquetFile(io.BytesIO(await whole(parquet(stream(map(row, range(25))), 10))))
    groups = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    assert groups == [10, 10, 5]
    assert file.read().column("number").to_pylist() == list(range(25))
    empty = pq.read_table(io.BytesIO(await whole(parquet(stream([])))))
    assert (empty.num_rows, empty.column_names) == (0, list(COLUMNS))


async def test_a_full_group_goes_out_before_the_next_is_read():
    read = []

    async def watched():
        for number in range(30):
            read.append(number)
            yield row(number)

    chunks = parquet(watched(), 10)
    assert len(await anext(chunks)) > 1000
    assert len(read) == 10
    before = pa.total_allocated_bytes()
    await whole(chunks)
    assert pa.total_allocated_bytes() <= before


def test_without_pyarrow_the_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingFormat, match=r'pip install "\.\[parquet\]"'):
        parquet(stream([]))
