"""What the store knows of a job's pictures: as they were handed in, and what came of each."""

import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

from service.errors import NotFound
from service.jobs.item import Item
from service.jobs.job import Job
from service.jobs.rows import Row
from service.jobs.states import PictureState
from service.store.connection import Store
from service.store.jobs import RedisJobs
from service.store.seals import Seals

USED = ("calls", "retries", "images", "cost", "seconds")  # of a row, over all attempts
CHUNK = 500  # rows read at a time, so that a large job needs no more memory than a small one


class JobRows:
    """Reads pictures and their rows; see :mod:`service.store.jobs` for the keys.

    Args:
        store: the connection.
        seals: of the deployment.
        jobs: the jobs.
    """

    def __init__(self, store: Store, seals: Seals, jobs: RedisJobs) -> None:
        self._store, self._seals, self._jobs = store, seals, jobs

    async def item(self, job_id: str, number: int) -> Item:
        """Return a picture as it was handed in.

        Raises:
            NotFound: if the job has none of this number.
        """
        key = self._jobs.key(job_id, "items")
        found = await self._store.patient(lambda redis: redis.hget(key, str(number)))
        if found is None:
            raise NotFound(f"the job {job_id[:40]!r} has no picture {number}")
        return Item.of(self._unseal(found, "item", job_id, str(number)))

    async def row(self, job_id: str, number: int) -> Row | None:
        """Return what is known of a picture, None if nothing yet."""
        key = self._jobs.key(job_id, "rows")
        found = await self._store.patient(lambda redis: redis.hget(key, str(number)))
        return None if found is None else Row.of(self._unseal(found, "row", job_id, str(number)))

    async def rows(self, job: Job, start: int = 0, count: int = CHUNK) -> list[Row]:
        """Return rows of a job from a number on, those that nothing is known of yet included."""
        numbers = [str(n) for n in range(max(0, start), min(job.count, start + count))]
        if not numbers:
            return []
        members = [f"{job.id}/{number}" for number in numbers]
        out, key = self._out(job.spec.compute), self._jobs.key

        async def read(redis: Any) -> list[Any]:  # noqa: ANN401
            async with redis.pipeline(transaction=True) as both:
                both.hmget(key(job.id, "items"), numbers)
                both.hmget(key(job.id, "rows"), numbers)
                both.zmscore(out, members)
                both.zmscore(key(job.id, "pending"), numbers)
                both.hmget(key(job.id, "earlier"), numbers)
                found: list[Any] = await both.execute()
                return found

        found = []
        for number, item, row, *more in zip(numbers, *await self._store.brisk(read), strict=True):
            if item is None:
                raise NotFound(f"the job {job.id} was deleted meanwhile")
            found.append(self._shown(job.id, self._known(job.id, number, item, row), *more))
        return found

    async def all_rows(self, job: Job) -> AsyncIterator[Row]:
        """Yield all rows of a job in order, a few hundred in memory at a time."""
        for start in range(0, job.count, CHUNK):
            for row in await self.rows(job, start, CHUNK):
                yield row

    async def failures(self, job: Job) -> list[Row]:
        """Return the rows of the pictures that failed last, the latest first; a few of them."""
        name = self._jobs.key(job.id, "failures")
        numbers = [int(x) for x in await self._store.brisk(lambda r: r.lrange(name, 0, -1))]
        found = [row for n in numbers for row in await self.rows(job, n, 1)]
        return [row for row in found if row.state == "failed"]  # others are asked about again

    async def _raw_rows(self, job: Job) -> AsyncIterator[list[tuple[Row, bytes | None]]]:
        for start in range(0, job.count, CHUNK):
            rows = await self.rows(job, start, CHUNK)
            raw = await self._raw(job.id, [str(row.number) for row in rows])
            yield list(zip(rows, raw, strict=True))

    async def _raw(self, job_id: str, numbers: list[str]) -> list[bytes | None]:
        key = self._jobs.key(job_id, "rows")
        found: list[bytes | None] = await self._store.patient(lambda r: r.hmget(key, numbers))
        return found

    def _known(self, job_id: str, number: str, item: bytes, row: bytes | None) -> Row:
        if row is not None:
            return Row.of(self._unseal(row, "row", job_id, number))
        told = Item.of(self._unseal(item, "item", job_id, number))
        return Row(told.number, told.name, told.sha256, "waiting", truth=told.truth)

    def _shown(
        self,
        job_id: str,
        row: Row,
        since: float | None,
        order: float | None,
        earlier: bytes | None,
    ) -> Row:
        """Return a row with the state that the job counts the picture as.

        Args:
            job_id: of which job.
            row: what was written last.
            since: when a worker took it, None if none has it.
            order: its place among those that wait, None if it does not.
            earlier: its row of before it had to wait again, if another one was written since and
                it has no new end.
        """
        if since is not None or order is not None:  # a row of before may say otherwise
            state: PictureState = "waiting" if since is None else "working"
            return dataclasses.replace(row, state=state)
        if earlier is not None:  # cancelled: it has ended as it had, and costs what all has cost
            had = Row.of(self._unseal(earlier, "row", job_id, str(row.number)))
            return dataclasses.replace(had, **{name: getattr(row, name) for name in USED})
        return dataclasses.replace(row, state="cancelled") if row.state == "waiting" else row

    def _row(self, job_id: str, row: Row) -> bytes:
        return self._seal(row.describe(), "row", job_id, str(row.number))

    def _seal(self, told: Any, *about: str) -> bytes:  # noqa: ANN401
        return self._seals.seal(json.dumps(told, allow_nan=False), *about)

    def _unseal(self, sealed: bytes, *about: str) -> Any:  # noqa: ANN401
        return json.loads(self._seals.unseal(sealed, *about))

    def _out(self, compute: str) -> str:
        return self._store.key("jobs:out", compute)
