"""What can be done with a job: pause, resume, cancel, retry, extend."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from service.access.needs import needs
from service.core import Surety
from service.deps import SuretyDep, refuse_unknown
from service.edges.once import once
from service.job_forms import ExtendForm, extend_schema
from service.jobs import actions
from service.jobs.engine.inside import Inside
from service.jobs.job import Job
from service.json_body import read_json
from service.openapi_answers import json_body, json_response, problem_responses
from service.openapi_examples import EXTEND_BODY
from service.problem_kinds import MALFORMED, TOO_LARGE, TOO_SLOW, UNSUPPORTED_MEDIA_TYPE
from service.routes.job_parts import ACTING, SETTING_UP, SPENDING, InsideDep, JobId

router = APIRouter(tags=["jobs"])

_SPENT = json_response("The job after it.", "Job") | problem_responses(*ACTING, *SPENDING)
_NEEDS = needs("jobs")

_TOLD = json_response("The job after it.", "Job") | problem_responses(*ACTING)


@router.post("/jobs/{job_id}/pause", dependencies=[_NEEDS], summary="Pause a job", responses=_TOLD)
async def pause(job_id: JobId, request: Request, surety: SuretyDep) -> dict[str, Any]:
    """Hand out no more pictures. Those at work wait again within a second; no vote is lost."""
    refuse_unknown(request)
    return (await actions.pause(surety, job_id)).describe()


@router.post(
    "/jobs/{job_id}/resume",
    dependencies=[_NEEDS],
    summary="Resume a job",
    responses=_SPENT,
    response_class=Response,
)
async def resume(job_id: JobId, request: Request, surety: SuretyDep, inside: InsideDep) -> Response:
    """Go on with a paused job."""
    refuse_unknown(request)
    return await _spent(request, surety, inside, lambda: actions.resume(surety, job_id))


@router.post(
    "/jobs/{job_id}/cancel", dependencies=[_NEEDS], summary="Cancel a job", responses=_TOLD
)
async def cancel(job_id: JobId, request: Request, surety: SuretyDep) -> dict[str, Any]:
    """End a job: within a second no call starts any more. Certificates and votes stay."""
    refuse_unknown(request)
    return (await actions.cancel(surety, job_id)).describe()


@router.post(
    "/jobs/{job_id}/retry",
    dependencies=[_NEEDS],
    summary="Ask again about what failed",
    responses=_SPENT,
    response_class=Response,
)
async def retry(job_id: JobId, request: Request, surety: SuretyDep, inside: InsideDep) -> Response:
    """Go on with pictures that failed, were not paid for or were cancelled."""
    refuse_unknown(request)
    return await _spent(request, surety, inside, lambda: actions.retry(surety, job_id))


@router.post(
    "/jobs/{job_id}/extend",
    dependencies=[_NEEDS],
    summary="Go on with an ended job",
    responses=json_response("The job after it.", "Job")
    | problem_responses(
        *ACTING, *SETTING_UP, *SPENDING, MALFORMED, TOO_LARGE, TOO_SLOW, UNSUPPORTED_MEDIA_TYPE
    ),
    openapi_extra=json_body(extend_schema(), EXTEND_BODY),
    response_class=Response,
)
async def extend(job_id: JobId, request: Request, surety: SuretyDep, inside: InsideDep) -> Response:
    """Go on under a larger budget, another target or alpha; only new votes are paid for.

    What is left out stays as it is; null takes a limit or a target away.
    """
    refuse_unknown(request)
    changes = (await read_json(request, ExtendForm)).changes()
    return await _spent(request, surety, inside, lambda: actions.extend(surety, job_id, changes))


async def _spent(
    request: Request, surety: Surety, inside: Inside, act: Callable[[], Awaitable[Job]]
) -> Response:
    """Do what spends money, once for each Idempotency-Key."""

    async def do(_: str | None) -> Response:
        job = await act()
        inside.look()
        return JSONResponse(job.describe())

    return await once(surety.state, request, do)
