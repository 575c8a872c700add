"""Certificates that were issued: find them, fetch them, and what belongs to each."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from service import lasting
from service.access.needs import ANY_KEY, CallerDep, needs
from service.answers import document_response
from service.deps import NO_QUERY, SuretyDep, refuse_unknown
from service.errors import NotFound
from service.iso_dates import LastMoment, Moment
from service.openapi_answers import json_response, media_response, problem_responses
from service.openapi_examples import CERTIFICATE
from service.picture import certificate_svg
from service.problem_kinds import BAD_REQUEST, LEDGER_DAMAGED, NOT_FOUND, STORE_AWAY, VALIDATION
from service.store.certificates import Search, summary

router = APIRouter(tags=["certificates"])

Id = Annotated[str, Path(description="Its `id`.", examples=[CERTIFICATE["id"]])]
FILTERS = ("image", "label", "provider", "since", "until", "limit", "after")
_POSSIBLE = (VALIDATION, NOT_FOUND, STORE_AWAY, LEDGER_DAMAGED)


@router.get(
    "/certificates",
    dependencies=[needs(*ANY_KEY)],
    summary="Find certificates",
    responses=json_response("Those found, the latest first.", "Certificates")
    | problem_responses(VALIDATION, BAD_REQUEST, STORE_AWAY, LEDGER_DAMAGED),
)
async def search(
    request: Request,
    surety: SuretyDep,
    caller: CallerDep,
    image: Annotated[
        str | None,
        Query(
            pattern="^[0-9a-f]{64}$",
            description="SHA-256 of the canonical picture, or of the file that was uploaded.",
        ),
    ] = None,
    label: Annotated[
        str | None, Query(max_length=300, description="The certified label, as its key.")
    ] = None,
    provider: Annotated[str | None, Query(max_length=100, description="Its name.")] = None,
    since: Annotated[Moment | None, Query(description="Issued at or after.")] = None,
    until: Annotated[
        LastMoment | None,
        Query(description="Issued at or before; a date alone is the whole day."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="At most so many.")] = 50,
    after: Annotated[
        str | None,
        Query(
            max_length=64,
            description="`next` of the page before. Every certificate stands on one page, "
            "whatever is issued or dropped meanwhile.",
        ),
    ] = None,
) -> dict[str, Any]:
    """Return a line for each certificate found; `next` leads to the next page."""
    refuse_unknown(request, FILTERS)
    wanted = Search(image, label, provider, _aware(since), _aware(until), limit, after)
    wanted = replace(wanted, owner=caller.sees_only())
    found, further = await surety.state.certificates.search(wanted)
    return {"certificates": [summary(document) for document in found], "next": further}


@router.get(
    "/certificates/{certificate_id}",
    dependencies=[needs(*ANY_KEY), NO_QUERY],
    summary="Fetch a certificate",
    response_class=Response,
    responses=json_response("The certificate.", "Certificate") | problem_responses(*_POSSIBLE),
)
async def certificate(certificate_id: Id, surety: SuretyDep) -> Response:
    """Return a certificate in its canonical form (RFC 8785), in which it is signed."""
    return document_response(await surety.state.certificates.get(certificate_id))


@router.get(
    "/certificates/{certificate_id}/votes",
    dependencies=[needs(*ANY_KEY), NO_QUERY],
    summary="Fetch its votes",
    response_class=Response,
    responses=json_response("The counted votes.", "Votes") | problem_responses(*_POSSIBLE),
)
async def votes(certificate_id: Id, surety: SuretyDep) -> Response:
    """Return the votes that the certificate counts, in index order, from its verified ledger."""
    return document_response(await lasting.votes_of(surety.state, certificate_id))


@router.get(
    "/certificates/{certificate_id}/image",
    dependencies=[needs(*ANY_KEY), NO_QUERY],
    summary="Fetch its picture",
    response_class=Response,
    responses=media_response("The canonical picture.", "image/png") | problem_responses(*_POSSIBLE),
)
async def image(certificate_id: Id, surety: SuretyDep) -> Response:
    """Return the canonical picture, if it was to be kept and is not too old by now."""
    document = await surety.state.certificates.get(certificate_id)
    png = await surety.state.images.get(document["image"]["sha256"])
    return Response(png, media_type="image/png", headers={"Cache-Control": "private"})


@router.get(
    "/certificates/{certificate_id}/picture",
    dependencies=[needs(*ANY_KEY), NO_QUERY],
    summary="Fetch it as a page for people",
    response_class=Response,
    responses=media_response("One page A4.", "image/svg+xml") | problem_responses(*_POSSIBLE),
)
async def picture(certificate_id: Id, request: Request, surety: SuretyDep) -> Response:
    """Return a page that says what the certificate means, with the picture if it is kept."""
    document = await surety.state.certificates.get(certificate_id)
    try:
        png = await surety.state.images.get(document["image"]["sha256"])
    except NotFound:
        png = None
    url = str(request.url_for("certificate", certificate_id=document["id"]))
    page = certificate_svg(document, thumbnail_png=png, url=url)
    # Its texts are a stranger's: nothing in it may run, whatever we have missed.
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
        "img-src data:; sandbox"
    }
    return Response(page, media_type="image/svg+xml", headers=headers)


def _aware(when: datetime | None) -> datetime | None:
    return when.replace(tzinfo=UTC) if when is not None and when.tzinfo is None else when
