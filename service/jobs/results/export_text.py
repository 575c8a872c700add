"""The rows of a job as JSONL and as CSV, in chunks: memory does not grow with the job."""

import csv
import io
import json
import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any

from service.jobs.rows import COLUMNS, Row

CHUNK = 1 << 16  # bytes, about

# Where a spreadsheet may begin a cell: also behind what other countries separate cells with,
# blanks, quotes and invisible characters left aside.
_FORMULA = re.compile(r"((?:^|[;\t\r\n])[\s\"'\x00-\x1f\u200b-\u200f\ufeff]*)([=+\-@＝＋－＠])")


async def jsonl(rows: AsyncIterable[Row]) -> AsyncIterator[bytes]:
    """Write one JSON object a line, with all members of :class:`Row`, UTF-8."""
    lines: list[bytes] = []
    size = 0
    async for row in rows:
        text = json.dumps(row.describe(), ensure_ascii=False, separators=(",", ":"))
        lines.append(_bytes(text + "\n"))
        size += len(lines[-1])
        if size >= CHUNK:
            yield b"".join(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines)


class CsvTable:
    """Lines of a table by RFC 4180 with a head line, UTF-8; see :func:`cell`."""

    def __init__(self) -> None:
        self._buffer = io.StringIO(newline="")
        self._writer = csv.writer(self._buffer)  # quotes where it has to, ends lines with CR LF
        self._writer.writerow(COLUMNS)

    @property
    def full(self) -> bool:
        """Whether the lines are to be taken before more are added."""
        return self._buffer.tell() >= CHUNK

    def add(self, row: Row) -> None:
        """Write a line."""
        self._writer.writerow([cell(value) for value in row.describe().values()])

    def take(self) -> bytes:
        """Return the lines since it was last asked."""
        lines = _bytes(self._buffer.getvalue())
        self._buffer.seek(0)
        self._buffer.truncate()
        return lines


async def csv_table(rows: AsyncIterable[Row]) -> AsyncIterator[bytes]:
    """Write a table; see :class:`CsvTable`."""
    table = CsvTable()
    async for row in rows:
        table.add(row)
        if table.full:
            yield table.take()
    yield table.take()


def cell(value: Any) -> str | int | float:  # noqa: ANN401
    """Return what stands in a CSV cell for a value of a row.

    Numbers stay numbers, a value that is missing is empty, a problem is JSON. In a text an
    apostrophe goes before = + - @ wherever a spreadsheet could take it for the begin of a
    formula, which it would run; JSONL and Parquet have every text as it is.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    return _FORMULA.sub(r"\1'\2", problem_text(value) if isinstance(value, Mapping) else str(value))


def problem_text(problem: Mapping[str, Any]) -> str:
    """Return a problem as JSON on one line."""
    return json.dumps(dict(problem), ensure_ascii=False, separators=(",", ":"))


def _bytes(text: str) -> bytes:
    # A lone surrogate (of a file's name, say) comes out as what JSON calls it: \udcff.
    return text.encode("utf-8", "backslashreplace")
