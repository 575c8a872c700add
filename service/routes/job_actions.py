"""What can be done with a job: pause, resume, cancel, retry, extend."""

from typing import Any

from fastapi import APIRouter, Request

from service.access.needs import needs
from service.deps import SuretyDep, refuse_unknown
from service.job_forms import ExtendForm, extend_schema
from service.jobs import actions
from service.json_body import read_json
from service.openapi_answers import json_body, json_response, problem_responses
from service.openapi_examples import EXTEND_BODY
from service.problem_kinds import MALFORMED, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE
from service.routes.job_parts import ACTING, SETTING_UP, InsideDep, JobId

router = APIRouter(tags=["jobs"])

_NEEDS = needs("jobs")

_TOLD = json_response("The job after it.", "Job") | problem_responses(*ACTING)


@router.post("/jobs/{job_id}/pause", dependencies=[_NEEDS], summary="Pause a job", responses=_TOLD)
async def pause(job_id: JobId, request: Request, surety: SuretyDep) -> dict[str, Any]:
    """Hand out no more pictures. Those at work wait again within a second; no vote is lost."""
    refuse_unknown(request)
    return (await actions.pause(surety, job_id)).describe()


@router.post(
    "/jobs/{job_id}/resume", dependencies=[_NEEDS], summary="Resume a job", responses=_TOLD
)
async def resume(
    job_id: JobId, request: Request, surety: SuretyDep, inside: InsideDep
) -> dict[str, Any]:
    """Go on with a paused job."""
    refuse_unknown(request)
    job = await actions.resume(surety, job_id)
    inside.look()
    return job.describe()


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
    responses=_TOLD,
)
async def retry(
    job_id: JobId, request: Request, surety: SuretyDep, inside: InsideDep
) -> dict[str, Any]:
    """Go on with pictures that failed, were not paid for or were cancelled."""
    refuse_unknown(request)
    job = await actions.retry(surety, job_id)
    inside.look()
    return job.describe()


@router.post(
    "/jobs/{job_id}/extend",
    dependencies=[_NEEDS],
    summary="Go on with an ended job",
    responses=json_response("The job after it.", "Job")
    | problem_responses(*ACTING, *SETTING_UP, MALFORMED, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE),
    openapi_extra=json_body(extend_schema(), EXTEND_BODY),
)
async def extend(
    job_id: JobId, request: Request, surety: SuretyDep, inside: InsideDep
) -> dict[str, Any]:
    """Go on under a larger budget, another target or alpha; only new votes are paid for.

    What is left out stays as it is; null takes a limit or a target away.
    """
    refuse_unknown(request)
    changes = (await read_json(request, ExtendForm)).changes()
    job = await actions.extend(surety, job_id, changes)
    inside.look()
    return job.describe()
