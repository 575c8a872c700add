"""GET /jobs/{id}/events: a job as it goes on, as server-sent events."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.sse import format_sse_event
from starlette.responses import Response

from service.access.needs import CallerDep, check_again, needs
from service.core import Surety
from service.deps import SuretyDep, refuse_unknown
from service.jobs.engine.pace import Pace
from service.openapi_answers import event_response, problem_responses
from service.openapi_examples import JOB_EVENT
from service.problem_kinds import OVERLOADED
from service.problems import problem_of
from service.routes.job_parts import LOOKING, InsideDep, JobId
from service.sse import Events, event

LOOK_SECONDS = 0.5  # between two events
KEEP_ALIVE = 15.0  # seconds of silence after which proxies might hang up

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs/{job_id}/events",
    dependencies=[needs("jobs", "read")],
    summary="Follow a job",
    response_class=Response,
    responses=event_response(
        "Server-sent events: job …, the last one with the job's end, or problem.",
        [("job", JOB_EVENT)],
    )
    | problem_responses(*LOOKING, OVERLOADED),
)
async def follow(
    job_id: JobId, request: Request, surety: SuretyDep, caller: CallerDep, inside: InsideDep
) -> Response:
    """Tell of every change, at most twice a second, until the job has ended.

    Each event `job` is what GET /jobs/{id} answers, and `progress`: images a second over all
    workers, how many workers there are, and the seconds that are left, estimated from what the
    pictures took that have ended (`seconds_left_from`: pictures) or, where the money ends before,
    from that (max_cost). Where the job is deleted, or the API key counts no more, the last event is
    `problem`.
    """
    refuse_unknown(request)
    await surety.state.jobs.get(job_id)
    place = inside.followers.take(caller.key_id)
    look = _Look(request, surety, job_id)
    return Events(lambda path: _events(look, path, inside.ending), at_end=place.release)


async def _events(look: "_Look", path: str, ending: asyncio.Event) -> AsyncGenerator[bytes, None]:
    told, spoke = None, time.monotonic()
    over = asyncio.ensure_future(ending.wait())
    try:
        while True:
            looking = asyncio.ensure_future(look())
            try:
                while not await _within(KEEP_ALIVE, looking, over):
                    yield format_sse_event(comment="the store is away")
                if over.done():
                    return
                found, ended = looking.result()
            finally:
                looking.cancel()
            if found != told:
                told, spoke = found, time.monotonic()
                yield event("job", found)
            elif time.monotonic() - spoke >= KEEP_ALIVE:
                spoke = time.monotonic()
                yield format_sse_event(comment="still at it")
            if ended or await _within(LOOK_SECONDS, over):
                return
    except Exception as error:  # noqa: BLE001  the answer has begun, so it goes on as an event
        yield event("problem", problem_of(error).describe(path))
    finally:
        over.cancel()


async def _within(seconds: float, *tasks: asyncio.Future[Any]) -> bool:
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


class _Look:
    """Looks at a job again and again, as long as whoever asks may.

    Args:
        request: of the caller, who has been let in.
        surety: an opened deployment.
        job_id: whose.
    """

    def __init__(self, request: Request, surety: Surety, job_id: str) -> None:
        self._request, self._surety, self._job_id = request, surety, job_id
        self._pace = Pace()

    async def __call__(self) -> tuple[dict[str, Any], bool]:
        """Return what an event tells, and whether the job has ended.

        Raises:
            AccessDenied: if the caller's key counts no more, or not for this.
            NotFound: if the job is deleted.
            StoreError: if the store refuses; while it is away this waits.
        """
        job = await self._surety.state.jobs.get(self._job_id)
        await check_again(self._request)
        workers = await self._surety.state.workers.covering(job.spec.compute)
        progress = {**self._pace.after(job, time.monotonic()), "workers": len(workers)}
        return {**job.describe(), "progress": progress}, job.ended is not None
