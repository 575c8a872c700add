"""Runs that are going on: list them, cancel one."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from service.access.needs import CallerDep, needs
from service.deps import NO_QUERY, RunningDep
from service.openapi_answers import json_response, problem_responses
from service.openapi_examples import RUN_ID
from service.problem_kinds import LEDGER_DAMAGED, NOT_FOUND, STORE_AWAY, VALIDATION

router = APIRouter(tags=["runs"])

RunId = Annotated[
    str, Path(description="Its `id`, as in the header Surety-Run.", examples=[RUN_ID])
]


@router.get(
    "/runs",
    dependencies=[needs("certify", "read"), NO_QUERY],
    summary="List the runs that are going on",
    responses=json_response("Ids and latest progress.", "Runs")
    | problem_responses(VALIDATION, STORE_AWAY),
)
async def list_runs(running: RunningDep, caller: CallerDep) -> dict[str, Any]:
    """Return every run of the deployment, those of other processes first, then by age.

    The latest progress is known of those that are this process's own.
    """
    found = await running.all()
    return {"runs": [run for run in found if caller.sees_only() in (None, run["owner"])]}


@router.get(
    "/runs/{run_id}",
    dependencies=[needs("certify", "read"), NO_QUERY],
    summary="Look at a run",
    responses=json_response("Where it stands, or what came of it.", "RunState")
    | problem_responses(VALIDATION, NOT_FOUND, STORE_AWAY, LEDGER_DAMAGED),
)
async def look(run_id: RunId, running: RunningDep) -> dict[str, Any]:
    """Tell where a run stands or what came of it, also after the process that began it died.

    A certificate is named by its id: `GET /certificates/{id}` has it as it was signed.
    """
    return await running.state_of(run_id)


@router.delete(
    "/runs/{run_id}",
    dependencies=[needs("certify"), NO_QUERY],
    status_code=202,
    summary="Cancel a run",
    responses=json_response("The run ends soon.", "Cancelled", status=202)
    | problem_responses(VALIDATION, NOT_FOUND, STORE_AWAY),
)
async def cancel_run(
    run_id: RunId,
    running: RunningDep,
) -> dict[str, Any]:
    """End a run. Whoever waits for it gets the certificate that is valid at that moment.

    One of another process ends within a second.
    """
    await running.cancel(run_id)
    return {"id": run_id, "cancelling": True}
