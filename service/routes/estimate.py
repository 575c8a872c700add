"""POST /estimate: what a job will take, before it is paid for."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from service.access.caller import Caller
from service.access.needs import CallerDep, needs
from service.archive_form import Pictures, read_archive_form
from service.core import Surety
from service.deps import SuretyDep, refuse_unknown
from service.edges import idempotency_key
from service.edges.once import once
from service.errors import BadRequest
from service.job_forms import EstimateForm, job_schema
from service.jobs.batch import Batch, batch_of
from service.jobs.estimates.estimating import estimate_batch, estimate_of, looked_into
from service.jobs.estimates.pilot import PilotStopped, pilot_of, run_pilot
from service.jobs.rows import Row
from service.jobs.submit import spec_of
from service.multipart import require_multipart
from service.openapi_answers import form_body, json_response, problem_responses
from service.openapi_examples import ESTIMATE_FORM
from service.presence import while_present
from service.problem_kinds import (
    AUTHENTICATION,
    BUDGET_SPENT,
    CALL_REJECTED,
    PERMISSION,
    PROVIDER_FAILED,
    QUOTA,
)
from service.problems import MEDIA_TYPE, instance_of
from service.routes.job_parts import TAKING_IN, InsideDep

STOPS = (  # of a pilot
    *(AUTHENTICATION, PERMISSION, QUOTA, CALL_REJECTED, PROVIDER_FAILED),
    BUDGET_SPENT,
)

router = APIRouter(tags=["jobs"])


@router.post(
    "/estimate",
    dependencies=[needs("jobs")],
    summary="What will a job take",
    response_class=Response,
    responses=json_response("Votes, calls, money and time.", "Estimate")
    | problem_responses(*TAKING_IN, *STOPS),
    openapi_extra=form_body(job_schema(EstimateForm), ESTIMATE_FORM),
)
async def estimate_job(
    request: Request, *, surety: SuretyDep, caller: CallerDep, inside: InsideDep
) -> Response:
    """Estimate votes, calls, money and time of a job; every figure with its 90 % interval.

    Asks nobody and costs nothing, and then rests on vote rates of other pictures, which is a
    guess. With `pilot` so many of the job's own pictures are certified first, for `pilot_max_cost`
    at most; their votes are kept, and the job does not pay for them again.
    """
    refuse_unknown(request)
    require_multipart(request)
    idempotency_key.read(request)
    key = caller.key_id
    with surety.requests.take(key), surety.uploads.file(request, key):
        async with read_archive_form(request, EstimateForm) as asked:

            async def answer(_: str | None) -> Response:
                try:
                    return JSONResponse(await _estimated(surety, caller, inside, asked))
                except PilotStopped as stopped:
                    problem = stopped.problem | {"instance": instance_of(request.scope)}
                    return JSONResponse(problem, problem["status"], media_type=MEDIA_TYPE)

            return await while_present(request, once(surety.state, request, answer))


async def _estimated(
    surety: Surety, caller: Caller, inside: InsideDep, asked: Pictures[EstimateForm]
) -> dict[str, Any]:
    form = asked.form
    given = asked.archive is not None or asked.manifest is not None
    if form.pictures is not None and given:
        raise BadRequest("send a number of pictures or the pictures, not both", "pictures")
    if form.pilot is not None and not given:
        raise BadRequest("a pilot needs the pictures: an archive or a manifest", "pilot")
    if form.pilot is None and form.pilot_max_cost is not None:
        raise BadRequest("say of how many pictures the pilot is to be", "pilot")
    if form.pictures is not None:
        spec = await spec_of(surety, form.arguments(), **form.job_fields())
        return (await estimate_of(surety, spec, form.pictures)).describe()
    batch = await batch_of(
        surety,
        form.arguments(),
        form.job_fields() | {"owner": caller.key_id},
        archive=asked.archive,
        manifest=asked.manifest,
        labels=asked.labels,
    )
    batch = await looked_into(surety, batch)
    rows = await _piloted(surety, inside, batch, form)
    return (await estimate_batch(surety, batch, rows)).describe()


async def _piloted(
    surety: Surety, inside: InsideDep, batch: Batch, form: EstimateForm
) -> list[Row]:
    if form.pilot is None:
        return []
    price = (await surety.adapter(batch.spec.arguments["provider"])).traits.price
    if price and form.pilot_max_cost is None:
        raise BadRequest("say what the pilot may cost", "pilot_max_cost")
    if not inside.works and not await surety.state.workers.covering(batch.spec.compute):
        raise BadRequest("nobody works on jobs now: start a worker for the pilot", "pilot")
    numbers = pilot_of(batch.intake, form.pilot)
    inside.look()
    return await run_pilot(surety, batch, numbers, form.pilot_max_cost)
