"""A deployment with jobs and workers in this process, for tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from PIL import Image

from service.core import Surety
from service.jobs.engine.worker import JobWorker
from service.jobs.job import Job
from service.jobs.rows import Row
from service.jobs.submit import Handed, spec_of, submit
from service.settings import Settings
from tests.service.conftest import SECRET
from tests.service.pictures import encode

PATIENCE = 30.0


async def given(pictures: list[Handed]) -> AsyncIterator[Handed]:
    for picture in pictures:
        yield picture


def grey(count: int, first: int = 0) -> list[Handed]:
    """Pictures that differ, from dark to bright."""
    return [
        Handed(
            f"p{n}.png", encode(Image.new("RGB", (8, 8), (5 * n % 250,) * 2 + (n,))), truth="dark"
        )
        for n in range(first, first + count)
    ]


def plain(number: int, shade: int) -> Handed:
    """Return a picture of nearly one shade."""
    colour = (shade, shade, shade + number)
    return Handed(f"{shade}-{number}.png", encode(Image.new("RGB", (8, 8), colour)))


@asynccontextmanager
async def opened(tmp_path: Any, **settings: Any) -> AsyncIterator[Surety]:
    defaults = {
        "data_dir": tmp_path / "data",
        "secret": SECRET,
        "provider": "half",
        "denoiser": "none",
        "max_votes": 2000,
        "lease_seconds": 5,
    }
    async with Surety.opened(Settings(**(defaults | settings))) as surety:
        yield surety


@asynccontextmanager
async def working(surety: Surety, pictures: int = 2) -> AsyncIterator[JobWorker]:
    worker = JobWorker(surety, pictures, await surety.compute_types())
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def submitted(
    surety: Surety, pictures: list[Handed], arguments: dict[str, Any] | None = None, **fields: Any
) -> Job:
    chosen = {"sigma": 0.5, "max_votes": 40} | (arguments or {})
    return await submit(surety, await spec_of(surety, chosen, **fields), given(pictures))


async def until(
    surety: Surety, job_id: str, holds: Callable[[Job], bool] = lambda job: job.ended is not None
) -> Job:
    async with asyncio.timeout(PATIENCE):
        while not holds(job := await surety.state.jobs.get(job_id)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return job


async def rows(surety: Surety, job: Job) -> list[Row]:
    return [row async for row in surety.state.pictures.all_rows(job)]


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110  the store has no event
            await asyncio.sleep(0.02)
