"""The problems that a client may meet, explained. Their `type` members point here."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from service.access.needs import PUBLIC
from service.errors import NotFound
from service.openapi_answers import json_response, problem_responses
from service.problem_kinds import BY_SLUG, KINDS, NOT_AN_IMAGE, NOT_FOUND, Kind

router = APIRouter(tags=["problems"])


@router.get(
    "/problems",
    dependencies=[PUBLIC],
    summary="List all kinds of problems",
    responses=json_response("Every kind.", "ProblemKinds") | problem_responses(),
)
async def list_problems() -> dict[str, Any]:
    """Return every kind of problem with its explanation."""
    return {"problems": [_describe(kind) for kind in KINDS]}


@router.get(
    "/problems/{slug}",
    dependencies=[PUBLIC],
    summary="Explain a kind of problem",
    responses=json_response("The kind.", "ProblemKind") | problem_responses(NOT_FOUND),
)
async def explain_problem(
    slug: Annotated[
        str,
        Path(description="Last part of a problem's `type`.", examples=[NOT_AN_IMAGE.slug]),
    ],
) -> dict[str, Any]:
    """Say what a kind of problem means and what to do about it."""
    kind = BY_SLUG.get(slug)
    if kind is None:
        raise NotFound(f"there is no kind of problem {slug[:40]!r}: GET /problems lists them")
    return _describe(kind)


def _describe(kind: Kind) -> dict[str, Any]:
    return {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "explanation": kind.explanation,
    }
