"""Runs that are going on: list them, cancel one."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from service.deps import RunsDep
from service.openapi_answers import json_response, problem_responses
from service.openapi_examples import RUN_ID
from service.problem_kinds import NOT_FOUND

router = APIRouter(tags=["runs"])


@router.get(
    "/runs",
    summary="List the runs that are going on",
    responses=json_response("Ids and latest progress.", "Runs") | problem_responses(),
)
async def list_runs(runs: RunsDep) -> dict[str, Any]:
    """Return every run with its latest progress, the oldest first."""
    return {"runs": [run.describe() for run in runs.list()]}


@router.delete(
    "/runs/{run_id}",
    status_code=202,
    summary="Cancel a run",
    responses=json_response("The run ends soon.", "Cancelled", status=202)
    | problem_responses(NOT_FOUND),
)
async def cancel_run(
    run_id: Annotated[
        str, Path(description="Its `id`, as in the header Surety-Run.", examples=[RUN_ID])
    ],
    runs: RunsDep,
) -> dict[str, Any]:
    """End a run. Whoever waits for it gets the certificate that is valid at that moment."""
    run = runs.get(run_id)
    run.cancel()
    return {"id": run.id, "cancelling": True}
