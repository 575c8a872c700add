"""All certificates of a job in one zip, as a stream."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence

from service.jobs.results.export_names import Names
from service.jobs.results.export_text import CsvTable
from service.jobs.results.zip_stream import Spool, ZipStream
from service.jobs.rows import Row

AT_ONCE = 64  # certificates that are fetched together
FOLDER, TABLE = "certificates/", "rows.csv"

Fetch = Callable[[Sequence[str]], Awaitable[Sequence[bytes | None]]]
"""From ids to certificates in their canonical form; None for one that is not kept any more."""


async def certificates_zip(rows: AsyncIterable[Row], fetch: Fetch) -> AsyncIterator[bytes]:
    """Write `certificates/PICTURE-NAME.certificate.json` for each certificate, and `rows.csv`.

    The table comes last; until then it is on disk, compressed.

    Args:
        rows: of the job.
        fetch: see :data:`Fetch`; called with at most AT_ONCE ids.
    """
    names, lines, waiting = Names(), CsvTable(), list[Row]()
    with ZipStream() as archive, Spool() as table:
        async for row in rows:
            lines.add(row)
            if lines.full:
                table.write(lines.take())
            if row.certificate is not None:
                waiting.append(row)
            if len(waiting) == AT_ONCE:
                yield await _members(archive, names, waiting, fetch)
                waiting.clear()
        if waiting:
            yield await _members(archive, names, waiting, fetch)
        table.write(lines.take())
        for chunk in archive.spooled(TABLE, table):
            yield chunk
        for chunk in archive.end():
            yield chunk


async def _members(archive: ZipStream, names: Names, rows: Sequence[Row], fetch: Fetch) -> bytes:
    found = await fetch([row.certificate for row in rows if row.certificate is not None])
    return b"".join(
        archive.member(FOLDER + names.take(row.name, row.number), document)
        for row, document in zip(rows, found, strict=True)
        if document is not None
    )
