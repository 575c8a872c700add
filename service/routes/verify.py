"""POST /verify: check a certificate."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request

from certification.canonical import Limits
from certification.signing import parse_public_keys
from service import lasting
from service.access.needs import ANY_KEY, CallerDep, needs
from service.deps import NO_QUERY, SuretyDep
from service.openapi_answers import form_body, json_response, problem_responses
from service.openapi_examples import VERIFY_FORM
from service.problem_kinds import (
    INVALID_PARAMETER,
    LEDGER_DAMAGED,
    MALFORMED,
    NO_ROOM,
    SHUTTING_DOWN,
    STORE_AWAY,
    TOO_LARGE,
    TOO_SLOW,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION,
)
from service.verify_form import SCHEMA, read_verify_form

router = APIRouter(tags=["certificates"])


@router.post(
    "/verify",
    dependencies=[needs(*ANY_KEY), NO_QUERY],
    summary="Check a certificate",
    responses=json_response("What came of each level of checking.", "Verification")
    | problem_responses(
        MALFORMED,
        TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        VALIDATION,
        INVALID_PARAMETER,
        TOO_SLOW,
        NO_ROOM,
        SHUTTING_DOWN,
        STORE_AWAY,
        LEDGER_DAMAGED,
    ),
    openapi_extra=form_body(SCHEMA, VERIFY_FORM),
)
async def verify(request: Request, surety: SuretyDep, caller: CallerDep) -> dict[str, Any]:
    """Check a certificate with whatever is sent beside it; asks no provider and costs nothing.

    Without `key` the public keys of this deployment count. Where the certificate's ledger is kept
    here, that is checked too, if this deployment has signed the certificate or the caller may see
    everything.
    """
    key = caller.key_id
    with surety.requests.take(key), surety.uploads.picture(request, key):
        form = await read_verify_form(request)
        settings, given = surety.settings, form.get("key")
        keys = None if given is None else await asyncio.to_thread(parse_public_keys, given)
        report, ledger = await lasting.check(
            surety.state,
            form["certificate"],
            keys=keys,
            image=form.get("image"),
            votes=form.get("votes"),
            key_of_noise=form.get("noise_key"),
            limits=Limits(settings.max_upload_bytes, settings.max_pixels),
            any_ledger=caller.sees_only() is None,
        )
    told = report.describe()
    told["checks"].append(ledger)
    told["verified"] = told["verified"] and ledger["status"] != "failed"
    return told
