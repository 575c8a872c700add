"""What it takes to write a job's results does not grow with the job."""

from functools import partial

import pytest

from service.jobs.results import export_text, zip_stream
from service.jobs.results.export import FORMATS, in_pages
from service.jobs.results.export_parquet import parquet
from service.jobs.results.export_zip import certificates_zip
from tests.service.jobs.rowmaking import peak, row, stream, whole

SMALL, LARGE, MARGIN = 300, 2_500, 400_000  # rows, rows, bytes


def zipped(rows):
    async def fetch(ids):
        return [b'{"id":"%s"}' % name.encode() for name in ids]

    return certificates_zip(rows, fetch)


WAYS = {name: known.write for name, known in FORMATS.items()} | {
    "parquet": partial(parquet, row_group=100),
    "zip": zipped,
}


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
async def test_ten_times_the_rows_take_no_more_memory(write, monkeypatch):
    # What is held is smaller too, so that few rows tell; tests/soak has 100,000 with all as it is.
    monkeypatch.setattr(export_text, "CHUNK", 1 << 13)
    monkeypatch.setattr(zip_stream, "_IN_MEMORY", 1 << 13)
    await peak(write(stream(map(row, range(10)))))  # imports, caches
    small = await peak(write(stream(map(row, range(SMALL)))))
    large = await peak(write(stream(map(row, range(LARGE)))))
    assert large < small + MARGIN


async def test_rows_are_fetched_in_pages():
    asked = []

    async def fetch(start, count):
        asked.append((start, count))
        return [row(start + k) for k in range(count)]

    assert [one.number async for one in in_pages(fetch, 25, 10)] == list(range(25))
    assert asked == [(0, 10), (10, 10), (20, 5)]
    assert await whole(FORMATS["jsonl"].write(in_pages(fetch, 0))) == b""
