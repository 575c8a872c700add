"""GET /workers: who works on jobs."""

from typing import Any

from fastapi import APIRouter, Request

from service.access.needs import needs
from service.deps import SuretyDep, refuse_unknown
from service.openapi_answers import json_response, problem_responses
from service.problem_kinds import STORE_AWAY, STORE_REFUSES, VALIDATION

router = APIRouter(tags=["jobs"])


@router.get(
    "/workers",
    dependencies=[needs("jobs", "read")],
    summary="List the workers",
    responses=json_response("Those that give a sign of life.", "Workers")
    | problem_responses(VALIDATION, STORE_AWAY, STORE_REFUSES),
)
async def list_workers(request: Request, surety: SuretyDep) -> dict[str, Any]:
    """Return every worker with what it does and how fast.

    The service's own (`inside`) is there only while it works: from the first job on, and not
    while other workers can do all of it.
    """
    refuse_unknown(request)
    return {"workers": [info.describe() for info in await surety.state.workers.list()]}
