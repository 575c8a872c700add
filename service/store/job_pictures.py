"""The pictures of jobs in the store: which wait, which a worker has, and what came of each."""

import contextlib
import dataclasses
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from service.errors import NotFound
from service.jobs.item import Item
from service.jobs.job import Job
from service.jobs.rows import Row
from service.jobs.states import AGAIN, FROM, Action, JobState
from service.store.connection import Store
from service.store.job_rows import CHUNK, JobRows
from service.store.jobs import RedisJobs, conflict
from service.store.seals import Seals
from service.store.stored import BESIDE, Stored, owner_name
from service.store.uploads import RedisUploads
from service.store.usage import Booking


class Taken(NamedTuple):
    """A picture that a worker has, or will have.

    Attributes:
        job_id: of which job.
        number: of the picture.
        at: when it was taken, in milliseconds since 1970; tells it from the next time.
    """

    job_id: str
    number: int
    at: int


PARTS = (
    "items",
    "rows",
    "pending",
    "before",
    "earlier",
    "failures",
    "first",
    "calls",
)  # of what is kept for a job
FAILURES = 5  # the latest ones, for whoever watches


class RedisJobPictures(JobRows):
    """See the module's text, and that of :mod:`service.store.jobs` for the keys.

    Args:
        store: the connection.
        seals: of the deployment.
        jobs: the jobs.
        uploads: what was uploaded.
        stored: what there may be of it, and of these.
    """

    def __init__(
        self, store: Store, seals: Seals, jobs: RedisJobs, uploads: RedisUploads, stored: Stored
    ) -> None:
        super().__init__(store, seals, jobs)
        self._uploads, self._stored = uploads, stored

    async def add(
        self, job_id: str, owner: str | None, items: Sequence[tuple[Item, Row | None]]
    ) -> None:
        """Add pictures to a job that is being taken in; one with a row has failed already.

        Raises:
            StoredTooMuch: if there is no room for what is kept of them.
            NotFound: if the job is not being taken in any more.
            StoreError: if that cannot be done now.
        """
        key = self._jobs.key
        parts = ("items", "rows", "pending", "failures")
        keys = [key(job_id), *(key(job_id, part) for part in parts), self._stored.key]
        args: list[Any] = [*self._stored.limits(owner), BESIDE, FAILURES]
        for item, row in items:
            number = str(item.number)
            args += [number, self._seal(item.describe(), "item", job_id, number)]
            args.append(b"" if row is None else self._row(job_id, row))
        if items:
            self._stored.check(await self._store.brisk_script("job_add", keys, args), job_id)

    async def lost(self, job_id: str, item: Item, row: Row) -> None:
        """Note that there are no bytes of a picture that was added.

        Raises:
            NotFound: if the job is not being taken in any more.
            StoreError: if that cannot be done now.
        """
        number, key = str(item.number), self._jobs.key
        parts = ("items", "rows", "pending", "failures")
        keys = [key(job_id), *(key(job_id, part) for part in parts)]
        sealed = self._seal(item.describe(), "item", job_id, number)
        args = [number, sealed, self._row(job_id, row), FAILURES]
        self._stored.check(await self._store.brisk_script("job_lost", keys, args), job_id)

    async def any_ready(self, compute: str) -> bool:
        """Tell whether a running job has pictures that wait, or may be held back."""
        keys = (self._jobs.ready(compute), self._jobs.held(compute))
        return bool(await self._store.brisk(lambda redis: redis.exists(*keys)))

    async def any_left(self, compute: str) -> bool:
        """Tell whether pictures of a compute type wait, or a worker has some."""
        keys = (self._jobs.ready(compute), self._jobs.held(compute), self._out(compute))
        return bool(await self._store.brisk(lambda redis: redis.exists(*keys)))

    async def take(self, compute: str, most_out: int, most: int) -> list[Taken]:
        """Take the next pictures of a compute type.

        Args:
            compute: of the workers.
            most_out: pictures that workers may have altogether.
            most: to take.
        """
        keys = [self._jobs.ready(compute), self._out(compute), self._store.key("jobs:clock")]
        keys.append(self._jobs.held(compute))
        now = milliseconds()
        args = [self._jobs.key(""), most_out, most, now]
        found = await self._store.brisk_script("job_take", keys, args)
        told = [x.decode() for x in found]
        return [Taken(told[i], int(told[i + 1]), now) for i in range(0, len(told), 2)]

    async def is_out(self, compute: str, taken: Taken) -> bool:
        """Tell whether a picture is still out as it was taken: not ended, nor taken once more."""
        member = f"{taken.job_id}/{taken.number}"
        score = await self._store.patient(lambda r: r.zscore(self._out(compute), member))
        return score is not None and int(score) == taken.at

    async def end(self, job: Job, row: Row, booking: Booking | None = None) -> bool:
        """Note what came of a picture; tells whether nobody else had done so.

        Args:
            job: of which job.
            row: of the picture.
            booking: what is counted with it, for the API key.
        """
        key, compute, now = self._jobs.key, job.spec.compute, time.time()
        keys = [key(job.id), key(job.id, "rows"), self._out(compute), self._jobs.ready(compute)]
        keys += [self._store.key("jobs:ended"), key(job.id, "failures"), key(job.id, "first")]
        keys += [key(job.id, "before"), key(job.id, "earlier"), self._jobs.held(compute)]
        date = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        args = [job.id, row.number, self._row(job.id, row), row.state, now, date, FAILURES]
        if booking is not None:
            keys, args = keys + booking.keys, args + booking.args
        return bool(await self._store.script("job_end", keys, args))

    async def back(
        self,
        job_id: str,
        compute: str,
        number: int,
        order: float | None = None,
        row: Row | None = None,
    ) -> None:
        """Put a picture back among those that wait.

        Args:
            job_id: of which job.
            compute: its compute type.
            number: of the picture.
            order: its place; None for the one that it had first.
            row: what is known of it by now.
        """
        key = self._jobs.key
        keys = [key(job_id), key(job_id, "rows"), key(job_id, "pending"), self._out(compute)]
        keys += [self._jobs.ready(compute), self._store.key("jobs:clock"), key(job_id, "first")]
        keys += [key(job_id, "before"), key(job_id, "earlier")]
        sealed = b"" if row is None else self._row(job_id, row)
        args = [job_id, number, number if order is None else order, sealed]
        await self._store.script("job_back", keys, args)

    async def again(self, job: Job, action: Action) -> int:
        """Have pictures of an ended job wait once more; returns how many.

        Raises:
            JobConflict: if the job has not ended.
        """
        key, count = self._jobs.key, 0
        keys = [key(job.id), *(key(job.id, part) for part in ("rows", "pending", "before"))]
        async for chunk in self._raw_rows(job):
            args: list[Any] = []
            for row, raw in chunk:
                if row.sha256 and row.state in AGAIN[action]:
                    args += [row.number, row.state, raw or b""]
            told = await self._store.script("job_again", keys, args) if args else 0
            if told < 0:
                raise conflict(action, (await self._jobs.get(job.id)).state)
            count += told
        return count

    async def out(self, compute: str, before: int) -> list[Taken]:
        """Return the pictures that workers have had since before a date, in milliseconds."""
        found = await self._store.brisk(
            lambda r: r.zrangebyscore(self._out(compute), "-inf", before, withscores=True)
        )
        parts = [(member.decode().rpartition("/"), int(at)) for member, at in found]
        return [Taken(job_id, int(number), at) for (job_id, _, number), at in parts]

    async def delete(self, job: Job, states: Sequence[JobState] = FROM["delete"]) -> None:
        """Delete a job with all that is kept for it; its votes and certificates stay.

        What breaks off half-way is done again by the housekeeping.

        Args:
            job: which.
            states: in which it may be deleted.

        Raises:
            NotFound: if it is gone.
            JobConflict: if it is in another state.
        """
        key = self._jobs.key
        keys = [key(job.id), self._jobs.ready(job.spec.compute), self._store.key("jobs:ended")]
        told = (await self._store.script("job_delete", keys, [job.id, *states])).decode()
        if told == "gone":
            raise NotFound(f"no job {job.id!r} is kept: it was deleted")
        if told != "deleting":
            raise conflict("delete", told)
        # None are added from now on; a process that was thought dead may have added some before.
        count = await self._store.patient(lambda redis: redis.hget(key(job.id), "count"))
        whole = dataclasses.replace(job, count=int(count or 0))
        with contextlib.suppress(NotFound):  # somebody else is at it as well
            for start in range(0, whole.count, CHUNK):
                for row in await self.rows(whole, start, CHUNK):
                    if row.sha256:
                        await self._uploads.let_go(row.sha256, job.id, job.owner)

        names = ("jobs", "jobs:ended")
        keys = [key(job.id), self._stored.key, *(self._store.key(name) for name in names)]
        keys += [self._jobs.of_owner(owner_name(job.owner)), self._jobs.ready(job.spec.compute)]
        keys += [key(job.id, part) for part in PARTS]
        await self._store.script("job_forget", keys, [job.id, owner_name(job.owner)])


def milliseconds() -> int:
    """Return the date in milliseconds since 1970."""
    return int(time.time() * 1000)
