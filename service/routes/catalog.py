"""What is installed: providers and denoisers."""

import asyncio
from dataclasses import asdict
from typing import Any

import structlog
from fastapi import APIRouter, Request

import adapters.registry
from adapters.errors import AdapterError
from adapters.facts import table
from denoisers.errors import DenoiserError
from service.access.needs import ANY_KEY, needs
from service.core import Surety
from service.deps import NO_QUERY, SuretyDep
from service.openapi_answers import json_response, problem_responses
from service.problem_kinds import VALIDATION
from service.problems import NOT_SET_UP, sees_setup

router = APIRouter(tags=["catalog"])
log = structlog.get_logger("surety.catalog")


@router.get(
    "/providers",
    dependencies=[needs(*ANY_KEY), NO_QUERY],
    summary="List the providers",
    responses=json_response("Every installed provider.", "Providers")
    | problem_responses(VALIDATION),
)
async def list_providers(request: Request, surety: SuretyDep) -> dict[str, Any]:
    """Return every installed provider, what it takes and costs, and whether it is ready.

    No provider is called. One that lacks something, or whose package is broken, is listed with the
    reason, which a key without the scope `admin` is not told.
    """
    listed = await describe_providers(surety)
    if not sees_setup(request.state):
        for entry in listed["providers"]:
            entry["reason"] = None if entry["ready"] else NOT_SET_UP
    return listed


async def describe_providers(surety: Surety) -> dict[str, Any]:
    """Return JSON values: every installed provider, with the reason why one is not ready."""
    names = await asyncio.to_thread(surety.provider_names)
    found = [await _provider(surety, name) for name in names]
    return {"providers": found, "default": surety.settings.provider}


@router.get(
    "/denoisers",
    dependencies=[needs(*ANY_KEY), NO_QUERY],
    summary="List the denoisers",
    responses=json_response("Every installed denoiser.", "Denoisers")
    | problem_responses(VALIDATION),
)
async def list_denoisers(surety: SuretyDep) -> dict[str, Any]:
    """Return every installed denoiser and whether it can be loaded."""
    names = await asyncio.to_thread(surety.denoiser_names)
    found = [await _denoiser(surety, name) for name in names]
    return {"denoisers": found, "default": surety.settings.denoiser}


async def _provider(surety: Surety, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": name,
        "adapter": name,
        "summary": "",
        "extra": None,
        "terms": None,
        "traits": None,
    }
    try:
        entry["adapter"] = adapters.registry.adapter_of(name, surety.profiles)
        kind = await asyncio.to_thread(adapters.registry.adapter_class, entry["adapter"])
        entry |= {"summary": kind.summary, "extra": kind.extra}
        if terms := table().get(entry["adapter"]):
            entry["terms"] = asdict(terms) | {"as_of": terms.as_of.isoformat()}
        adapter = await surety.adapter(name)
        entry["traits"] = asdict(adapter.traits)
    except AdapterError as error:
        return {**entry, "ready": False, "reason": str(error)}
    except Exception as error:  # a stranger's package may raise anything
        log.warning("broken adapter", name=name, exc_info=error)
        return {**entry, "ready": False, "reason": f"its package is broken: {type(error).__name__}"}
    return {**entry, "ready": True, "reason": None}


async def _denoiser(surety: Surety, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": name,
        "summary": "",
        "weights_sha256": None,
        "compute": None,
    }
    try:
        denoiser = await surety.denoiser(name)
    except DenoiserError as error:
        return {**entry, "ready": False, "reason": str(error)}
    return {
        **entry,
        "summary": getattr(denoiser, "summary", ""),
        "weights_sha256": denoiser.weights_sha256,
        "compute": denoiser.compute,
        "ready": True,
        "reason": None,
    }
