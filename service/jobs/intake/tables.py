"""Tables with one record a line, as people write them by hand or export them: CSV and JSONL.

CSV is UTF-8 with a header row; commas, semicolons or tabs separate. JSONL has an object a line.
Which of the two it is shows in the first line. A line is read at a time.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from service.access.token import scrubbed
from service.errors import BadTable

MOST_LINE_BYTES = 64 * 2**10
MOST_LINES = (
    2_000_000  # empty ones too: nothing else would bound those, and a thread reads them all
)
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Form:
    """What a table holds.

    Attributes:
        where: what messages call it.
        field: the form field it came in.
        columns: all that are known; empty cells are as good as none.
        header: those that the header of a CSV has.
        required: those that every record has.
    """

    where: str
    field: str
    columns: Sequence[str]
    header: Sequence[str]
    required: Sequence[str]

    def refuse(self, what: str, line: int | None = None, column: str | None = None) -> NoReturn:
        """Raise the error that names the place."""
        place = self.where
        place += "" if line is None else f", line {line:,}"
        column = None if column is None else scrubbed(column)
        place += "" if column is None else f", column {column}"
        raise BadTable(f"{place}: {scrubbed(what)}", self.field, line, column)


def records(source: bytes | Path, form: Form) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield the number of the line, from 1, and the cells that are not empty.

    Raises:
        BadTable: at the first line that is not as it should be, after those before it.
    """
    with ExitStack() as stack:
        try:
            file: BinaryIO = (
                io.BytesIO(source)
                if isinstance(source, bytes)
                else stack.enter_context(source.open("rb"))
            )
        except OSError as error:
            form.refuse(f"it cannot be read: {error.strerror}")
        lines = _lines(file, form)
        first = next(((n, line) for n, line in lines if line.strip()), None)
        if first is None:
            form.refuse("it is empty")
        read = _json_records if first[1].lstrip().startswith("{") else _csv_records
        yield from read(first, lines, form)


def _lines(file: BinaryIO, form: Form) -> Iterator[tuple[int, str]]:
    number = 0
    while True:
        number += 1
        try:
            raw = file.readline(MOST_LINE_BYTES + 1)
        except OSError as error:
            form.refuse(f"it cannot be read: {error.strerror}", number)
        if not raw:
            return
        if number > MOST_LINES:
            form.refuse(f"it has more than {MOST_LINES:,} lines, empty ones included")
        if number == 1:
            if raw.startswith(_UTF16):
                form.refuse("it is in UTF-16: save it as UTF-8", 1)
            raw = raw.removeprefix(_BOM)
        if len(raw) > MOST_LINE_BYTES:
            form.refuse(f"it has more than {MOST_LINE_BYTES:,} bytes", number)
        if b"\0" in raw:
            form.refuse("it holds a NUL: this is no text", number)
        try:
            yield number, raw.decode()
        except UnicodeDecodeError:
            form.refuse("it is not UTF-8: save the file as UTF-8", number)


def _checked(cells: Mapping[str, str], line: int, form: Form) -> tuple[int, Mapping[str, str]]:
    missing = next((column for column in form.required if not cells.get(column)), None)
    if missing is not None:
        form.refuse("it is missing", line, missing)
    return line, cells


def _json_records(
    first: tuple[int, str], lines: Iterator[tuple[int, str]], form: Form
) -> Iterator[tuple[int, Mapping[str, str]]]:
    number, line = first
    while True:
        yield _checked(_json_cells(number, line, form), number, form)
        following = next(((n, text) for n, text in lines if text.strip()), None)
        if following is None:
            return
        number, line = following


def _json_cells(number: int, line: str, form: Form) -> dict[str, str]:
    try:
        pairs = json.loads(line, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        form.refuse(f"this is no JSON: {error.msg} at character {error.colno:,}", number)
    except (ValueError, RecursionError):
        form.refuse("this is no JSON that is read here", number)
    if not isinstance(pairs, _Pairs):
        form.refuse('each line must be an object, such as {"name": "cats/1.jpg"}', number)
    cells: dict[str, str] = {}
    seen: set[str] = set()
    for key, value in pairs:
        _require_column(key, seen, number, form)
        if value is None:
            continue
        if not isinstance(value, str):
            form.refuse("it must be a text in quotes, or null", number, key)
        if value:
            cells[key] = value
    return cells


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON, with keys that come twice."""


def _csv_records(
    first: tuple[int, str], lines: Iterator[tuple[int, str]], form: Form
) -> Iterator[tuple[int, Mapping[str, str]]]:
    begin, header = first
    last = begin

    def texts() -> Iterator[str]:
        nonlocal last
        yield header
        for number, text in lines:
            last = number
            yield text

    reader = csv.reader(texts(), strict=True, delimiter=_delimiter(header))
    columns: list[str] = []
    line = begin
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            form.refuse(f"this is no CSV ({error}): mind the quotes", line)
        if row is None:
            return
        if not columns:
            columns = _header(row, begin, form)
        elif any(row):
            if len(row) != len(columns):
                form.refuse(f"it has {len(row)} cells, the header has {len(columns)}", line)
            cells = {column: cell for column, cell in zip(columns, row, strict=True) if cell}
            yield _checked(cells, line, form)
        line = last + 1  # a quoted cell may go over several lines


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _header(row: Sequence[str], line: int, form: Form) -> list[str]:
    columns = [cell.strip().lower() for cell in row]
    seen: set[str] = set()
    for column in columns:
        _require_column(column, seen, line, form)
    missing = next((column for column in form.header if column not in seen), None)
    if missing is not None:
        form.refuse(
            f"the header lacks it: the columns are {', '.join(form.columns)}", line, missing
        )
    return columns


def _require_column(column: str, seen: set[str], line: int, form: Form) -> None:
    if column not in form.columns:
        shown = ascii(column[:40])[1:-1]
        form.refuse(f"there is no such column, only {', '.join(form.columns)}", line, shown)
    if column in seen:
        form.refuse("it is there twice", line, column)
    seen.add(column)
