"""Batch jobs: submit one, look at it and at its pictures, delete it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from service.access.needs import CallerDep, needs
from service.archive_form import read_archive_form
from service.deps import SuretyDep, refuse_unknown
from service.edges import idempotency_key
from service.edges.once import once
from service.errors import NotFound
from service.job_forms import SubmitForm, job_schema
from service.jobs import actions
from service.jobs.batch import batch_of
from service.jobs.estimates.estimating import estimate_batch, looked_into
from service.jobs.job import Job
from service.jobs.states import PictureState
from service.multipart import require_multipart
from service.openapi_answers import form_body, json_response, no_content, problem_responses
from service.openapi_examples import JOB_FORM
from service.presence import while_present
from service.routes.job_parts import (
    ACTING,
    LOOKING,
    TAKING_IN,
    InsideDep,
    JobId,
    Number,
    job_id_of,
)

PAGE, MOST_ROWS = 100, 1000

router = APIRouter(tags=["jobs"])


@router.post(
    "/jobs",
    dependencies=[needs("jobs")],
    status_code=201,
    summary="Submit a job",
    response_class=Response,
    responses=json_response("The job has begun; Location leads to it.", "Job", status=201)
    | json_response("With dry_run: the estimate.", "Estimate")
    | problem_responses(*TAKING_IN),
    openapi_extra=form_body(job_schema(SubmitForm), JOB_FORM),
)
async def submit_job(
    request: Request, *, surety: SuretyDep, caller: CallerDep, inside: InsideDep
) -> Response:
    """Certify many pictures: an archive, or a manifest of pictures that were uploaded before.

    Everything that can be checked without asking the provider is checked before the job begins;
    if anything is wrong, nothing of it stays. A single picture that cannot be used fails alone,
    with its reason in the results. The fields of POST /certify hold for every picture; `max_cost`
    is of the whole job and never passed.
    """
    refuse_unknown(request)
    require_multipart(request)
    idempotency_key.read(request)
    key = caller.key_id
    with surety.requests.take(key), surety.uploads.file(request, key):
        async with read_archive_form(request, SubmitForm) as asked:
            form = asked.form
            fields = form.job_fields() | {"owner": caller.key_id}

            async def take_in(key_id: str | None) -> Response:
                batch = await batch_of(
                    surety,
                    form.arguments(),
                    fields,
                    archive=asked.archive,
                    manifest=asked.manifest,
                    labels=asked.labels,
                )
                if form.dry_run:
                    told = (
                        await estimate_batch(surety, await looked_into(surety, batch))
                    ).describe()
                    return JSONResponse(told)
                job = await batch.submit(surety, None if key_id is None else job_id_of(key_id))
                inside.look()
                return _created(job)

            async def taken_in(key_id: str) -> Response | None:
                try:
                    job = await surety.state.jobs.get(job_id_of(key_id))
                except NotFound:
                    return None
                return None if job.state == "reading" else _created(job)

            return await while_present(request, once(surety.state, request, take_in, taken_in))


def _created(job: Job) -> Response:
    return JSONResponse(job.describe(), 201, {"Location": f"/jobs/{job.id}"})


@router.get(
    "/jobs",
    dependencies=[needs("jobs", "read")],
    summary="List the jobs",
    responses=json_response("Those found, the latest first.", "Jobs") | problem_responses(*LOOKING),
)
async def list_jobs(
    request: Request,
    surety: SuretyDep,
    caller: CallerDep,
    limit: Annotated[int, Query(ge=1, le=500, description="At most so many.")] = 50,
    before: Annotated[
        str | None, Query(max_length=64, description="`next` of the page before.")
    ] = None,
) -> dict[str, Any]:
    """Return jobs with their counts and figures; `next` leads to older ones."""
    refuse_unknown(request, ("limit", "before"))
    found = await surety.state.jobs.list(limit + 1, before, caller.sees_only())
    further = found[limit - 1].id if len(found) > limit else None
    return {"jobs": [job.describe() for job in found[:limit]], "next": further}


@router.get(
    "/jobs/{job_id}",
    dependencies=[needs("jobs", "read")],
    summary="Look at a job",
    responses=json_response("Where it stands.", "Job") | problem_responses(*LOOKING),
)
async def look(job_id: JobId, request: Request, surety: SuretyDep) -> dict[str, Any]:
    """Return state, counts, money and what the job is to do; `actions` can be done with it now."""
    refuse_unknown(request)
    return (await surety.state.jobs.get(job_id)).describe()


@router.delete(
    "/jobs/{job_id}",
    dependencies=[needs("jobs")],
    status_code=204,
    summary="Delete a job",
    response_class=Response,
    responses=no_content("It is gone.") | problem_responses(*ACTING),
)
async def delete(job_id: JobId, request: Request, surety: SuretyDep) -> Response:
    """Delete a job that does not run, its pictures and its table. Votes and certificates stay."""
    refuse_unknown(request)
    await actions.delete(surety, job_id)
    return Response(status_code=204)


@router.get(
    "/jobs/{job_id}/pictures",
    dependencies=[needs("jobs", "read")],
    summary="List a job's pictures",
    responses=json_response("Rows, in the order of the archive.", "Rows")
    | problem_responses(*LOOKING),
)
async def pictures(
    job_id: JobId,
    request: Request,
    surety: SuretyDep,
    start: Annotated[int, Query(ge=0, description="Number of the first one.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="At most so many.")] = PAGE,
    state: Annotated[PictureState | None, Query(description="Only those in this state.")] = None,
) -> dict[str, Any]:
    """Return what is known of each picture; `next` is the `start` of the next page."""
    refuse_unknown(request, ("start", "limit", "state"))
    job, found, at = await surety.state.jobs.get(job_id), list[dict[str, Any]](), start
    while at < job.count and len(found) < limit:
        # Few by few, so that a page of a rare state takes no more memory than another.
        for row in await surety.state.pictures.rows(job, at, limit):
            at += 1
            if state in (None, row.state):
                found.append(row.describe())
                if len(found) == limit:
                    break
    return {"pictures": found, "next": at if at < job.count else None}


@router.get(
    "/jobs/{job_id}/pictures/{number}",
    dependencies=[needs("jobs", "read")],
    summary="Look at one of a job's pictures",
    responses=json_response("Its row.", "Row") | problem_responses(*LOOKING),
)
async def picture(
    job_id: JobId, number: Number, request: Request, surety: SuretyDep
) -> dict[str, Any]:
    """Return what is known of a picture, with the reason if it failed."""
    refuse_unknown(request)
    job = await surety.state.jobs.get(job_id)
    found = await surety.state.pictures.rows(job, number, 1)
    if not found:
        raise NotFound(f"the job has no picture {number}: it has {job.count:,}, from 0 on")
    return found[0].describe()
