"""Is it alive, is it ready, which version is it."""

import asyncio
import platform
from typing import Any

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from adapters.errors import AdapterError
from certification.certificate import SCHEMA, software
from denoisers.errors import DenoiserError
from service.access.needs import PUBLIC
from service.deps import SuretyDep
from service.openapi_answers import json_response, problem_responses
from service.problem_kinds import NOT_READY
from service.problems import Problem, instance_of

router = APIRouter(tags=["health"])
log = structlog.get_logger("surety.health")


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
    """Load the default provider and the default denoiser, weights included."""
    names = {"provider": surety.settings.provider, "denoiser": surety.settings.denoiser}
    errors = []
    for part, name in names.items():
        try:
            if part == "provider":
                adapter = await surety.adapter(name)
                await asyncio.to_thread(getattr, adapter, "options")
            else:
                for each in surety.default_denoisers():
                    await surety.denoiser(each)
        except Exception as error:  # whatever it is, it is not ready
            log.warning("not ready", part=part, name=name, exc_info=error)
            told = isinstance(error, AdapterError | DenoiserError)
            message = str(error) if told else f"it cannot be loaded: {type(error).__name__}"
            errors.append({"field": part, "message": message})
    if errors:
        detail = "; ".join(f"{e['field']}: {e['message']}" for e in errors)
        return Problem(NOT_READY, detail, errors, {"Retry-After": "30"}).response(
            instance_of(request.scope)
        )
    return JSONResponse({"status": "ready", **names})


@router.get(
    "/version",
    dependencies=[PUBLIC],
    summary="Which version is it",
    responses=json_response("The version.", "Version") | problem_responses(),
)
async def version() -> dict[str, Any]:
    """Return the version of the software and of the certificate's schema."""
    return {**software(), "certificate_schema": SCHEMA, "python": platform.python_version()}
