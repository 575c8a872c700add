"""Is it alive, is it ready, which version is it."""

import contextlib
import platform
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from certification.certificate import SCHEMA, software
from service.access import away
from service.access.known import Known
from service.access.needs import PUBLIC
from service.deps import SuretyDep
from service.errors import StoreError
from service.openapi_answers import json_response, problem_responses
from service.problem_kinds import NOT_READY
from service.problems import Problem, instance_of
from service.seeing.readiness import Readiness

router = APIRouter(tags=["health"])

NOT_READY_HERE = "it is not ready: the log says why"
"""In place of the reason, which may name settings and files, for whom that is no matter."""


@router.get(
    "/health/live",
    dependencies=[PUBLIC],
    summary="Is the process alive",
    responses=json_response("It is.", "Live") | problem_responses(),
)
async def live() -> dict[str, str]:
    """Answer as long as the event loop turns."""
    return {"status": "live"}


@router.get(
    "/health/ready",
    dependencies=[PUBLIC],
    summary="Can it certify",
    response_class=Response,
    responses=json_response("It can.", "Ready") | problem_responses(NOT_READY),
)
async def ready(request: Request, surety: SuretyDep) -> Response:
    """Look at every part.

    The store takes what is written, the device computes, the weights of the default denoiser are
    loaded, and so is the adapter of the default provider, which is not called. The answer is told
    again for two seconds. Where a part is not ready, `errors` of the problem names it, and says why
    where no API keys are needed; else the log alone says it.
    """
    readiness: Readiness = request.app.state.readiness
    parts = await readiness.parts()
    told = await _may_know(request.app.state.known)
    errors = [
        {"field": p.name, "message": p.reason if told else NOT_READY_HERE}
        for p in parts
        if p.reason is not None
    ]
    if errors:
        detail = "; ".join(f"{e['field']}: {e['message']}" for e in errors)
        return Problem(NOT_READY, detail, errors, {"Retry-After": "30"}).response(
            instance_of(request.scope)
        )
    names = {"provider": surety.settings.provider, "denoiser": surety.settings.denoiser}
    return JSONResponse({"status": "ready", **names, "parts": {p.name: p.about for p in parts}})


async def _may_know(known: Known) -> bool:
    """Tell whether strangers may know what is lacking: where no keys are needed they may do all."""
    for asked in (known, known.remembered()):  # the latter tells while the store is away
        with contextlib.suppress(StoreError):
            return not await away.soon(asked.needed())
    return False


@router.get(
    "/version",
    dependencies=[PUBLIC],
    summary="Which version is it",
    responses=json_response("The version.", "Version") | problem_responses(),
)
async def version() -> dict[str, Any]:
    """Return the version of the software and of the certificate's schema."""
    return {**software(), "certificate_schema": SCHEMA, "python": platform.python_version()}
