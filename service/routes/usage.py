"""What API keys have used."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from service.access.needs import ANY_KEY, CallerDep, needs
from service.access.token import is_id
from service.deps import SuretyDep, refuse_unknown
from service.errors import BadRequest, MissingScope
from service.iso_dates import Day
from service.negotiation import JSON, best
from service.openapi_answers import also, json_response, media_response, problem_responses
from service.problem_kinds import (
    BAD_REQUEST,
    LEDGER_DAMAGED,
    NOT_ACCEPTABLE,
    STORE_AWAY,
    STORE_REFUSES,
    VALIDATION,
)
from service.store.api_keys import NOBODY
from service.usage.report import Asked, days, parsed, report
from service.usage.table import csv_table

CSV = "text/csv"

router = APIRouter(tags=["usage"])


@router.get(
    "/usage",
    dependencies=[needs(*ANY_KEY)],
    summary="Look at what was used",
    response_class=Response,
    responses=also(
        json_response("By day, API key and provider, as far as asked.", "Usage"),
        media_response("", CSV),
    )
    | problem_responses(
        NOT_ACCEPTABLE, VALIDATION, BAD_REQUEST, STORE_AWAY, STORE_REFUSES, LEDGER_DAMAGED
    ),
)
async def usage(
    request: Request,
    surety: SuretyDep,
    caller: CallerDep,
    *,
    first: Annotated[
        Day | None,
        Query(alias="from", description="First day of UTC; without it that of the month."),
    ] = None,
    last: Annotated[
        Day | None, Query(alias="to", description="Last day of UTC, included; today without it.")
    ] = None,
    key: Annotated[
        str | None,
        Query(max_length=64, description="Id of an API key; none for what was asked without one."),
    ] = None,
    provider: Annotated[
        str | None, Query(max_length=200, description="Of this provider alone.")
    ] = None,
    by: Annotated[
        str, Query(max_length=40, description="What a line is about; the rest is added up.")
    ] = "day,key,provider",
    format_: Annotated[
        Literal["json", "csv"] | None,
        Query(alias="format", description="In place of the Accept header."),
    ] = None,
) -> Response:
    """Return votes, calls, money and certificates by day, API key and provider.

    A key sees its own; one that may read sees all. `expected_false_at_most` is the sum of alpha
    over the certificates, where those were chosen before the votes: of N near-identical pictures up
    to N·alpha may be certified wrongly.
    `cost_at_most` counts calls in flight, and those that nobody knows the end of, as billed.
    """
    refuse_unknown(request, ("from", "to", "key", "provider", "by", "format"))
    accept = ", ".join(request.headers.getlist("accept"))
    wanted = format_ or {JSON: "json", CSV: "csv"}[best(accept, (JSON, CSV))]
    begin, end = days(first, last)
    if key is not None and key != NOBODY and not is_id(key):
        raise BadRequest("key takes the id of an API key, 16 hexadecimal digits, or none", "key")
    owners = None if key is None else [None if key == NOBODY else key]
    if (own := caller.sees_only()) is not None:
        if key not in (None, own):
            raise MissingScope(("read",), "a key sees what itself has used")
        owners = [own]
    found = await report(surety.state, Asked(begin, end, parsed(by), owners, provider))
    headers = {"Cache-Control": "no-store"}
    if wanted == "csv":
        headers["Content-Disposition"] = f'attachment; filename="usage-{begin}-{end}.csv"'
        return Response(csv_table(found), media_type=CSV, headers=headers)
    return JSONResponse(found.describe(), headers=headers)
