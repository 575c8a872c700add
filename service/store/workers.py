"""The workers of a deployment: who is there, what they work on, and how fast.

worker:ID        what a worker tells of itself; gone when it gives no sign of life
workers          ids
unable:JOB:ID    a worker that is not set up for a job, such as without its credential; goes some
                 minutes after it has met the job last
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from service.store.connection import Store

# Longer than any job is held, and than it takes until the last of many workers has met a job's only
# picture, so that all can be found unable at the same time. One that ends counts no more at once.
UNABLE_SECONDS = 300.0


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker tells of itself.

    Attributes:
        id: of its process.
        host: machine and process number.
        computes: compute types that it works on.
        pictures: that it works on at the same time, at most.
        inside: whether it is the service's own, which leaves the work to others if there are any.
        busy: pictures that it works on now.
        done: pictures that have ended with it.
        rates: over the last seconds: images a second, calls a second, throttled calls a second.
    """

    id: str
    host: str
    computes: list[str]
    pictures: int
    inside: bool = False
    busy: int = 0
    done: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return what `describe` described, perhaps in a newer version that tells more."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in told.items() if name in known})


class RedisWorkers:
    """See the module's text.

    Args:
        store: the connection.
        lease_seconds: after so long without a sign of life one counts as gone.
    """

    def __init__(self, store: Store, lease_seconds: float) -> None:
        self._store, self._lease = store, lease_seconds

    async def tell(self, info: WorkerInfo) -> None:
        """Give a sign of life.

        Raises:
            StoreError: if the store is away.
        """
        text = json.dumps(info.describe())

        async def write(redis: Any) -> None:  # noqa: ANN401
            async with redis.pipeline(transaction=True) as both:
                both.set(self._key(info.id), text, px=round(self._lease * 1000))
                both.sadd(self._store.key("workers"), info.id)
                await both.execute()

        await self._store.brisk(write)

    async def leave(self, worker: str) -> None:
        """Give none any more."""

        async def write(redis: Any) -> None:  # noqa: ANN401
            async with redis.pipeline(transaction=True) as both:
                both.delete(self._key(worker))
                both.srem(self._store.key("workers"), worker)
                await both.execute()

        await self._store.brisk(write)

    async def unable(self, worker: str, job_id: str, compute: str) -> bool:
        """Note that a worker is not set up for a job; tells whether none that lives is.

        Args:
            worker: its id.
            job_id: of the job.
            compute: the job's compute type.

        Raises:
            StoreError: if the store is away.
        """
        others = [one.id for one in await self.covering(compute) if one.id != worker]

        async def note(redis: Any) -> int:  # noqa: ANN401
            async with redis.pipeline(transaction=True) as both:
                both.set(self._unable(job_id, worker), b"", px=round(UNABLE_SECONDS * 1000))
                # Noted first: of several at the same time, the last one sees all.
                both.exists(*(self._unable(job_id, one) for one in (worker, *others)))
                return int((await both.execute())[1])

        return await self._store.brisk(note) == 1 + len(others)

    async def able(self, worker: str, job_id: str) -> None:
        """Forget that a worker was not set up for a job.

        Raises:
            StoreError: if the store is away.
        """
        await self._store.brisk(lambda redis: redis.delete(self._unable(job_id, worker)))

    async def covering(self, compute: str) -> list[WorkerInfo]:
        """Return those that live and work on a compute type."""
        return [one for one in await self.list() if compute in one.computes]

    async def list(self) -> list[WorkerInfo]:
        """Return those that live, by id; forgets the others."""
        name = self._store.key("workers")
        ids = sorted(x.decode() for x in await self._store.brisk(lambda r: r.smembers(name)))
        if not ids:
            return []
        found = await self._store.brisk(lambda r: r.mget([self._key(x) for x in ids]))
        gone = [x for x, text in zip(ids, found, strict=True) if text is None]
        if gone:
            await self._store.brisk(lambda r: r.srem(name, *gone))
        return [WorkerInfo.of(json.loads(text)) for text in found if text is not None]

    def _unable(self, job_id: str, worker: str) -> str:
        return self._store.key("unable", job_id, worker)

    def _key(self, worker: str) -> str:
        return self._store.key("worker", worker)
