"""Jobs in the store.

    job:ID            spec (sealed), state, pictures by state, money, figures
    job:ID:items      number → name, SHA-256 and truth of a picture (sealed)
    job:ID:rows       number → what came of it (sealed)
    job:ID:pending    numbers of the pictures that wait, by order
    job:ID:failures   numbers of the pictures that failed last
    job:ID:before     number → state of a picture before it had to wait again
    job:ID:earlier    number → its row of then (sealed), where there is one of now beside it
    job:ID:first      numbers of those that workers have for the first time
    jobs              ids by date; jobs:ended those that have ended, by date of that
    jobs:owner:KEY  ids by date, of those that an API key submitted
    jobs:ready:TYPE   running jobs with pictures that wait, of a compute type, by virtual time
    jobs:held:TYPE    those of them that are held back, by when they are due, in milliseconds
    jobs:out:TYPE     pictures that workers have, as ID/NUMBER, by date

Each step is one script, so that none is half done whatever dies.
"""

import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import structlog

from certification.errors import LedgerDamaged
from service.billionths import NANO
from service.errors import JobConflict, NotFound
from service.jobs.job import Job
from service.jobs.spec import JobSpec
from service.jobs.states import FROM, PICTURE_STATES, TO, Action, JobState
from service.store.connection import Store
from service.store.jobs_money import JobMoney
from service.store.seals import Seals

log = structlog.get_logger("surety.jobs")

_ID = re.compile("[0-9a-f]{16}")
NUMBERS = ("spent", "reserved", "images", "calls", "throttled", "skipped", "count")


class RedisJobs(JobMoney):
    """Jobs as wholes; their pictures are in :mod:`service.store.job_pictures`.

    Args:
        store: the connection.
        seals: of the deployment: a job spends money, so nobody else may write one.
    """

    def __init__(self, store: Store, seals: Seals) -> None:
        super().__init__(store)
        self._seals = seals

    async def begin(self, spec: JobSpec, reader: str, job_id: str | None = None) -> str:
        """Begin to take a job in; returns its id.

        Args:
            spec: what it is to do.
            reader: the process that takes it in; if it dies before `start`, the job goes.
            job_id: None for a new one.
        """
        job_id, now = job_id or secrets.token_hex(8), time.time()
        fields = {
            "spec": self.sealed(job_id, spec),
            "state": "reading",
            "created": _date(now),
            "share": spec.share,
            "reader": reader,
            **dict.fromkeys((*PICTURE_STATES, *NUMBERS), 0),
        }

        async def write(redis: Any) -> None:  # noqa: ANN401
            async with redis.pipeline(transaction=True) as both:
                both.hset(self.key(job_id), mapping=fields)
                both.zadd(self._store.key("jobs"), {job_id: now})
                if spec.owner is not None:
                    both.zadd(self.of_owner(spec.owner), {job_id: now})
                await both.execute()

        await self._store.brisk(write)
        return job_id

    async def get(self, job_id: str) -> Job:
        """Return a job as it stands.

        Raises:
            NotFound: if there is none of this id.
            ConfigurationError: if a newer version of Surety wrote it.
            LedgerDamaged: if this deployment did not write it.
        """
        fields = await self._fields(job_id) if _ID.fullmatch(job_id) else {}
        if not fields or fields["state"] == b"deleting":
            raise no_job(job_id)
        return self._job(job_id, fields)

    async def any(self) -> bool:
        """Tell whether there is a job, in whatever state."""
        return bool(await self._store.brisk(lambda redis: redis.exists(self._store.key("jobs"))))

    async def list(
        self, limit: int = 50, before: str | None = None, owner: str | None = None
    ) -> list[Job]:
        """Return jobs, the latest first.

        Args:
            limit: the most.
            before: id of the last one seen.
            owner: only those that this API key submitted.
        """
        index, first = self._store.key("jobs") if owner is None else self.of_owner(owner), 0
        if before is not None:
            rank = await self._store.brisk(lambda redis: redis.zrevrank(index, before))
            if rank is None:
                raise NotFound(f"no job {before[:40]!r} is kept, to go on after")
            first = int(rank) + 1
        ids = await self._store.brisk(
            lambda redis: redis.zrevrange(index, first, first + limit - 1)
        )
        jobs = []
        for job_id in (found.decode() for found in ids):
            try:
                jobs.append(await self.get(job_id))
            except NotFound:
                continue  # deleted in between
            except JobConflict as error:  # of a newer version; the others are shown
                log.warning("a job is left out", job=job_id, error=str(error))
        return jobs

    async def ids(self, beginning: str, limit: int) -> Sequence[str]:
        """Return ids of jobs that begin with something, the latest first."""
        index = self._store.key("jobs")
        found = [x.decode() for x in await self._store.brisk(lambda r: r.zrevrange(index, 0, -1))]
        return [job_id for job_id in found if job_id.startswith(beginning)][:limit]

    async def move(
        self,
        job_id: str,
        action: Action,
        fields: Mapping[str, str | int] | None = None,
        spec: JobSpec | None = None,
    ) -> Job:
        """Do something with a job that changes its state.

        Args:
            job_id: whose.
            action: see :mod:`service.jobs.states`.
            fields: to be written with it.
            spec: that the job has from then on; None for the one that it has.

        Raises:
            NotFound: if there is no such job.
            JobConflict: if it is not in a state for that.
        """
        job, now = await self.get(job_id), time.time()
        keys = [self.key(job_id), self.key(job_id, "pending"), self.ready(job.spec.compute)]
        keys += [self._store.key("jobs:clock"), self._store.key("jobs:ended")]
        keys += [self.key(job_id, "before"), self.held(job.spec.compute)]
        written: dict[str, Any] = dict(fields or {})
        if spec is not None:
            written |= {"spec": self.sealed(job_id, spec), "share": spec.share}
        # It may reach the store twice. The second one would be refused, as if nothing was done.
        token, states = secrets.token_hex(8), f",{','.join(FROM[action])},"
        args: list[Any] = [job_id, TO[action], now, _date(now), token, states]
        args += [x for name, value in written.items() for x in (name, value)]
        told = await self._store.script("job_move", keys, args)
        if told[0] == b"gone" or told[1:] == [b"deleting"]:
            raise NotFound(f"no job {job_id[:40]!r} is kept: it was deleted")
        if told[0] == b"refused":
            raise conflict(action, told[1].decode())
        return await self.get(job_id)

    async def hold(self, job_id: str, seconds: float, problem: Mapping[str, Any]) -> None:
        """Hand out no picture of a running job for a while, and say why."""
        args = [int(1000 * (time.time() + seconds)), json.dumps(dict(problem))]
        await self._store.script("job_hold", [self.key(job_id)], args)

    async def states(self, job_ids: Sequence[str]) -> dict[str, JobState | None]:
        """Return the states of jobs, None where one is deleted."""

        async def read(redis: Any) -> list[bytes | None]:  # noqa: ANN401
            async with redis.pipeline(transaction=False) as all_of_them:
                for job_id in job_ids:
                    all_of_them.hget(self.key(job_id), "state")
                found: list[bytes | None] = await all_of_them.execute()
                return found

        found = await self._store.brisk(read) if job_ids else []
        return {
            job_id: None if state is None else state.decode()  # type: ignore[misc]
            for job_id, state in zip(job_ids, found, strict=True)
        }

    async def figures(self, most: int) -> tuple[Counter[str], Counter[str]]:
        """Count jobs by state, and their pictures by state.

        Args:
            most: jobs that are looked at, the latest ones.
        """
        index, names = self._store.key("jobs"), ("state", *PICTURE_STATES)
        ids = await self._store.brisk(lambda redis: redis.zrevrange(index, 0, most - 1))

        async def read(redis: Any) -> list[list[bytes | None]]:  # noqa: ANN401
            async with redis.pipeline(transaction=False) as all_of_them:
                for job_id in ids:
                    all_of_them.hmget(self.key(job_id.decode()), names)
                found: list[list[bytes | None]] = await all_of_them.execute()
                return found

        jobs, pictures = Counter[str](), Counter[str]()
        for state, *counts in await self._store.brisk(read) if ids else []:
            if state is None:
                continue  # deleted in between
            jobs[state.decode()] += 1
            for name, count in zip(PICTURE_STATES, counts, strict=True):
                pictures[name] += int(count or 0)
        return jobs, pictures

    async def begun(self) -> Sequence[tuple[Job, str]]:
        """Return jobs that are being taken in or deleted, each with the process that took it in."""
        index = self._store.key("jobs")
        ids = [x.decode() for x in await self._store.brisk(lambda r: r.zrange(index, 0, -1))]

        async def read(redis: Any) -> list[bytes | None]:  # noqa: ANN401
            async with redis.pipeline(transaction=False) as all_of_them:
                for job_id in ids:
                    all_of_them.hget(self.key(job_id), "state")
                found: list[bytes | None] = await all_of_them.execute()
                return found

        states = await self._store.brisk(read) if ids else []
        jobs = []
        for job_id, state in zip(ids, states, strict=True):
            if state in (b"reading", b"deleting"):
                fields = await self._fields(job_id)
                if fields:
                    jobs.append((self._job(job_id, fields), fields["reader"].decode()))
        return jobs

    async def ended_before(self, date: float, most: int) -> Sequence[str]:
        """Return ids of jobs that ended before a date (seconds since 1970), the oldest first."""
        index = self._store.key("jobs:ended")
        found = await self._store.brisk(
            lambda redis: redis.zrangebyscore(index, "-inf", f"({date}", start=0, num=most)
        )
        return [job_id.decode() for job_id in found]

    def sealed(self, job_id: str, spec: JobSpec) -> bytes:
        """Return a spec as it is kept."""
        return self._seals.seal(json.dumps(spec.describe(), allow_nan=False), "job", job_id)

    def of_owner(self, owner: str) -> str:
        """Return the key of the jobs that an API key submitted, by date."""
        return self._store.key("jobs:owner", owner)

    def ready(self, compute: str) -> str:
        """Return the key of the jobs of a compute type that have pictures waiting."""
        return self._store.key("jobs:ready", compute)

    def held(self, compute: str) -> str:
        """Return the key of those of them that are held back."""
        return self._store.key("jobs:held", compute)

    async def _fields(self, job_id: str) -> dict[str, bytes]:
        found = await self._store.patient(lambda redis: redis.hgetall(self.key(job_id)))
        return {name.decode(): value for name, value in found.items()}

    def _job(self, job_id: str, fields: Mapping[str, bytes]) -> Job:
        try:
            spec = JobSpec.of(json.loads(self._seals.unseal(fields["spec"], "job", job_id)))
            state, problem = fields["state"].decode(), fields.get("problem")
            if state == "running" and int(fields.get("held", 0)) <= 1000 * time.time():
                problem = None  # it goes on again
            return Job(
                id=job_id,
                state=state,  # type: ignore[arg-type]
                spec=spec,
                created=fields["created"].decode(),
                counts={state: int(fields[state]) for state in PICTURE_STATES},
                ended=fields["ended"].decode() if "ended" in fields else None,
                problem=None if problem is None else json.loads(problem),
                **{name: int(fields[name]) for name in NUMBERS},
            )
        except (KeyError, ValueError, TypeError):
            raise LedgerDamaged(f"the store's entry of the job {job_id} is not whole") from None


def no_job(job_id: str) -> NotFound:
    """Say that there is none of this id."""
    return NotFound(f"no job {job_id[:40]!r} is kept: it was deleted, or never was")


def conflict(action: Action, state: str) -> JobConflict:
    """Say that a job is in no state for something."""
    needed = " or ".join(FROM[action])
    return JobConflict(f"the job is {state}, and {action} needs one that is {needed}")


def cap_of(spec: JobSpec) -> int | None:
    """Return a job's cap in billionths of a dollar, None if it has none."""
    return None if spec.max_cost is None else int(Decimal(str(spec.max_cost)) * NANO)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
