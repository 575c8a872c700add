"""The engine of batch jobs, streaq, behind a narrow door.

Pictures go in, and each is worked on by some worker, again by another one if that one dies. A task
names a picture and nothing else; what is to be done stands in the job, and what was done in its
rows and ledgers, so that a task which is delivered twice does no harm. Each compute type has a
stream of its own, which only workers of that type read.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from anyio import CancelScope, EndOfStream, WouldBlock, sleep_forever
from anyio.streams.memory import MemoryObjectReceiveStream
from streaq import Worker
from streaq.task import AsyncRegisteredTask, TaskStatus
from streaq.types import StreamMessage

from service.errors import ConfigurationError
from service.store.job_pictures import Taken

FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0

Work = Callable[[Taken, int], Awaitable[None]]
"""Is called with a picture, and which time it is that this is tried."""

Unread = Callable[[str, Taken], Awaitable[None]]
"""Is called with the compute type of a picture that was fetched and not begun, and the picture."""

log = structlog.get_logger("surety.jobs")


class _Streaq(Worker[None]):
    """streaq's worker, but for signals, which are the process's own, and for its order.

    A compute type stands for a priority there. None has one over the others: streaq empties the
    streams in their order, and a long job of one type would have all workers to itself.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self.unread: list[StreamMessage] = []

    async def signal_handler(self, scope: CancelScope) -> None:
        """Leave them alone."""
        await sleep_forever()

    async def _read_streams_legacy(self, count: int, block: bool = False) -> Any:  # noqa: ANN401
        self._mix()
        return await super()._read_streams_legacy(count, block)

    async def _read_streams_max_count(self, count: int, block: bool = False) -> Any:  # noqa: ANN401
        self._mix()
        return await super()._read_streams_max_count(count, block)

    def _mix(self) -> None:
        random.shuffle(self.priorities)
        self._streams = {self.stream_key + name: ">" for name in self.priorities}

    async def run_consumers(
        self,
        receive: MemoryObjectReceiveStream[StreamMessage],
        *args: Any,  # noqa: ANN401
        **more: Any,  # noqa: ANN401
    ) -> None:
        """Note what was fetched and not begun, when it ends; and close what streaq leaves open."""
        with receive:
            try:
                await super().run_consumers(receive, *args, **more)
            finally:
                with contextlib.suppress(WouldBlock, EndOfStream):
                    while True:
                        self.unread.append(receive.receive_nowait())


class Queue:
    """One process's end of the queue.

    Args:
        url: of the store.
        prefix: before every key.
        computes: compute types whose pictures are worked on here.
        concurrency: pictures that are worked on at the same time.
        idle_seconds: after so long without a sign of life a worker's pictures go to another.
        work: is called for each picture; what it raises is told to the log.
        unread: is called at the end for what was fetched ahead.
    """

    def __init__(
        self,
        url: str,
        prefix: str,
        computes: Sequence[str],
        *,
        concurrency: int,
        idle_seconds: float,
        work: Work,
        unread: Unread,
    ) -> None:
        self._settings: dict[str, Any] = {
            "redis_url": url,
            "concurrency": concurrency,
            "queue_name": f"{prefix}jobs",
            "idle_timeout": idle_seconds,
            "serializer": _to_json,
            "deserializer": json.loads,
        }
        self.computes, self._work, self._unread = list(computes), work, unread
        self._worker: _Streaq | None = None
        self._task: AsyncRegisteredTask[[str, int, int], None] | None = None
        self._ready = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled, whatever happens to the store meanwhile."""
        wait = FIRST_WAIT
        while True:
            worker = self._begin()
            try:
                async with asyncio.TaskGroup() as both:
                    running = both.create_task(worker.run_async())
                    both.create_task(self._tell(worker, running))
                wait = FIRST_WAIT
            except* Exception as errors:  # noqa: BLE001  whatever it is, it goes on
                log.warning("the queue of jobs is away", error=type(errors.exceptions[0]).__name__)
            finally:
                self._ready.clear()
                for message in worker.unread:
                    await self._unread(message.priority, _taken(message.task_id))
            await asyncio.sleep(wait)
            wait = min(LONGEST_WAIT, 2 * wait)

    async def put(self, compute: str, pictures: Sequence[Taken]) -> None:
        """Have pictures worked on; one that is in the queue already stays there once.

        Raises:
            ConfigurationError: if nobody here works on this compute type.
        """
        if compute not in self.computes:
            raise ConfigurationError(f"pictures of the compute type {compute} are not taken here")
        await self._ready.wait()
        assert self._worker is not None and self._task is not None  # noqa: S101,PT018
        tasks = []
        for taken in pictures:
            task = self._task.enqueue(*taken).start(priority=compute)
            task.id = _name(taken)
            tasks.append(task)
        await self._worker.enqueue_many(tasks)

    async def knows(self, taken: Taken) -> bool:
        """Tell whether a picture is in the queue, or worked on."""
        await self._ready.wait()
        assert self._worker is not None  # noqa: S101
        status = await self._worker.status_by_id(_name(taken))
        return status in (TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.SCHEDULED)

    def _begin(self) -> _Streaq:
        self._worker = worker = _Streaq(priorities=[*self.computes], **self._settings)
        worker.prefetch = worker.concurrency  # what is fetched ahead is lost to others for a while

        @worker.task(max_tries=None, ttl=0, silent=True, name="picture")
        async def picture(job_id: str, number: int, at: int) -> None:
            try:
                await self._work(Taken(job_id, number, at), registered.context.tries)
            except Exception as error:  # the queue takes none well; the sweep finds the picture
                log.error("a picture's work broke off", job=job_id, number=number, exc_info=error)

        self._task = registered = picture
        return worker

    async def _tell(self, worker: _Streaq, running: asyncio.Task[None]) -> None:
        while not worker._running and not running.done():  # noqa: ASYNC110  it has no event
            await asyncio.sleep(0.01)
        self._ready.set()


def _name(taken: Taken) -> str:
    return "/".join(map(str, taken))


def _taken(name: str) -> Taken:
    job_id, number, at = name.split("/")
    return Taken(job_id, int(number), int(at))


def _to_json(told: Any) -> str:  # noqa: ANN401
    """Write JSON, an exception by the name of its type.

    One that cannot be written would kill the worker, and its redelivery the next.
    """
    return json.dumps(told, default=lambda x: {"error": type(x).__name__})
