"""The rows of a job as Parquet, one row group at a time: memory does not grow with the job."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from service.errors import MissingFormat
from service.jobs.results.export_text import problem_text
from service.jobs.rows import COLUMNS, Row

ROW_GROUP = 4096  # rows
# Name → Arrow's type; the names are those of Row.
TYPES = {
    "number": "int64",
    "name": "string",
    "sha256": "string",
    "state": "string",
    "truth": "string",
    "label": "string",
    "abstained": "bool",
    "radius": "float64",
    "correct": "bool",
    "n": "int64",
    "abstentions": "int64",
    "calls": "int64",
    "retries": "int64",
    "images": "int64",
    "cost": "float64",
    "stop_reason": "string",
    "certificate": "string",
    "problem": "string",
    "seconds": "float64",
}
NEVER_NULL = {"number", "name", "sha256", "state", "n", "abstentions", "calls", "retries"} | {
    *("images", "cost", "seconds"),
}


def parquet(rows: AsyncIterable[Row], row_group: int = ROW_GROUP) -> AsyncIterator[bytes]:
    """Write a Parquet file; `problem` is JSON text.

    Args:
        rows: of the job.
        row_group: rows that are held at a time.

    Raises:
        MissingFormat: if pyarrow is not installed; at once, not with the first chunk.
    """
    _pyarrow()
    return _written(rows, row_group)


async def _written(rows: AsyncIterable[Row], row_group: int) -> AsyncIterator[bytes]:
    pa, pq = _pyarrow()
    fields = [pa.field(name, _type(pa, name), name not in NEVER_NULL) for name in COLUMNS]
    schema = pa.schema(fields)
    sink = _Sink()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema) as writer:
        columns: list[list[Any]] = [[] for _ in COLUMNS]
        async for row in rows:
            for column, value in zip(columns, _values(row), strict=True):
                column.append(value)
            if len(columns[0]) == row_group:
                _write(pa, writer, schema, columns)
                columns = [[] for _ in COLUMNS]
                yield sink.take()
        if columns[0]:
            _write(pa, writer, schema, columns)
    yield sink.take()


def _write(pa: Any, writer: Any, schema: Any, columns: list[list[Any]]) -> None:  # noqa: ANN401
    arrays = [
        pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)
    ]
    writer.write_batch(pa.record_batch(arrays, schema=schema))


def _values(row: Row) -> list[Any]:
    return [_plain(value) for value in row.describe().values()]


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        value = problem_text(value)
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()  # no lone surrogates
    return value


def _type(pa: Any, name: str) -> Any:  # noqa: ANN401
    return pa.type_for_alias(TYPES[name])


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # type: ignore[import-untyped]  # noqa: PLC0415  slow, and an extra
        import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError:
        raise MissingFormat('Parquet needs pyarrow: pip install ".[parquet]"') from None
    return pyarrow, pyarrow.parquet


class _Sink:
    """What a Parquet writer writes into; its bytes are taken away as they come."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:  # noqa: ANN401
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        """Do nothing: bytes are taken, not pushed."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data
