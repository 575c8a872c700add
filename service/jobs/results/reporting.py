"""Makes the report of a job out of what the store keeps of it."""

import asyncio
from collections.abc import AsyncIterator

from service.core import Surety
from service.errors import NotFound
from service.jobs.job import Job
from service.jobs.results.gathering import Gathered
from service.jobs.results.origin import Origin
from service.jobs.results.report import report_page
from service.jobs.results.thumbnail import thumbnail_png
from service.jobs.rows import Row

MOST_ORIGINS = 50  # certificates that are looked at for the models and programs they come from


async def report_of(surety: Surety, job: Job) -> str:
    """Write the report of a job: HTML that needs nothing else.

    Args:
        surety: an opened deployment.
        job: as it stands.

    Raises:
        StoreError: if the store is away.
    """
    origin, some = Origin(), list[str]()

    async def rows() -> AsyncIterator[Row]:
        async for row in surety.state.pictures.all_rows(job):
            if row.certificate is not None and len(some) < MOST_ORIGINS:
                some.append(row.certificate)
            yield row

    seen = await Gathered.of(rows())
    for certificate in some:
        try:
            origin.add(await surety.state.certificates.get(certificate))
        except NotFound:
            continue  # past its time

    async def thumbnail(number: int) -> bytes | None:
        try:
            item = await surety.state.pictures.item(job.id, number)
            data = await surety.state.uploads.get(item.sha256)
        except NotFound:
            return None
        return await asyncio.to_thread(thumbnail_png, data)

    return await report_page(job.describe(), seen, origin, thumbnail)
