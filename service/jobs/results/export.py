"""The formats in which the rows of a job can be had."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from service.jobs.results.export_parquet import parquet
from service.jobs.results.export_text import csv_table, jsonl
from service.jobs.rows import Row

PAGE = 500


@dataclass(frozen=True)
class Format:
    """A way to write rows.

    Attributes:
        name: what a request calls it.
        suffix: of the file.
        media_type: of the answer.
        write: from rows to chunks of bytes; raises MissingFormat at once where a package is
            missing.
    """

    name: str
    suffix: str
    media_type: str
    write: Callable[[AsyncIterable[Row]], AsyncIterator[bytes]]


FORMATS: Mapping[str, Format] = {
    known.name: known
    for known in (
        Format("jsonl", ".jsonl", "application/jsonl", jsonl),
        Format("csv", ".csv", "text/csv; charset=utf-8; header=present", csv_table),
        Format("parquet", ".parquet", "application/vnd.apache.parquet", parquet),
    )
}


async def in_pages(
    fetch: Callable[[int, int], Awaitable[list[Row]]], count: int, page: int = PAGE
) -> AsyncIterator[Row]:
    """Go through all rows of a job, of which only a page is held at a time.

    Args:
        fetch: from the first number and how many to rows.
        count: pictures of the job.
        page: rows that are fetched together.
    """
    for start in range(0, count, page):
        for row in await fetch(start, min(page, count - start)):
            yield row
