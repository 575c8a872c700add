"""What the routes about jobs share."""

from typing import Annotated

from fastapi import Depends, Path, Request

from service.jobs.engine.inside import Inside
from service.openapi_examples import JOB_ID
from service.problem_kinds import (
    ARCHIVE_TOO_LARGE,
    BAD_ARCHIVE,
    BAD_IDEMPOTENCY_KEY,
    BAD_REQUEST,
    BAD_TABLE,
    DENOISER_NOT_READY,
    INVALID_PARAMETER,
    JOB_CONFLICT,
    KEY_IN_USE,
    KEY_REUSED,
    LEDGER_DAMAGED,
    MALFORMED,
    NO_ROOM,
    NOT_FOUND,
    OVERLOADED,
    PROVIDER_BROKEN,
    PROVIDER_NOT_READY,
    SHUTTING_DOWN,
    STORE_AWAY,
    STORE_REFUSES,
    STORED_TOO_MUCH,
    TOO_LARGE,
    TOO_SLOW,
    UNKNOWN_DENOISER,
    UNKNOWN_LABEL,
    UNKNOWN_PROVIDER,
    UNREADABLE_PICTURE,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION,
)

JobId = Annotated[str, Path(description="Its `id`.", examples=[JOB_ID])]
Number = Annotated[int, Path(ge=0, description="Its place in the job, from 0.", examples=[0])]

LOOKING = (NOT_FOUND, VALIDATION, STORE_AWAY, STORE_REFUSES, LEDGER_DAMAGED)
ACTING = (*LOOKING, JOB_CONFLICT, SHUTTING_DOWN)
SETTING_UP = (
    VALIDATION,
    BAD_REQUEST,
    INVALID_PARAMETER,
    UNKNOWN_PROVIDER,
    UNKNOWN_DENOISER,
    UNKNOWN_LABEL,
    PROVIDER_NOT_READY,
    PROVIDER_BROKEN,
    DENOISER_NOT_READY,
)
SPENDING = (BAD_IDEMPOTENCY_KEY, KEY_REUSED, KEY_IN_USE, SHUTTING_DOWN)
TAKING_IN = (
    *SETTING_UP,
    *SPENDING,
    TOO_SLOW,
    NO_ROOM,
    STORED_TOO_MUCH,
    MALFORMED,
    TOO_LARGE,
    ARCHIVE_TOO_LARGE,
    BAD_ARCHIVE,
    BAD_TABLE,
    UNREADABLE_PICTURE,
    UNSUPPORTED_MEDIA_TYPE,
    OVERLOADED,
    STORE_AWAY,
    STORE_REFUSES,
)


def job_id_of(key_id: str) -> str:
    """Return the id of the job that a request with an Idempotency-Key begins.

    Args:
        key_id: the id that was fixed for it.
    """
    return key_id[:16]


def _inside(request: Request) -> Inside:
    found: Inside = request.app.state.inside
    return found


InsideDep = Annotated[Inside, Depends(_inside)]
