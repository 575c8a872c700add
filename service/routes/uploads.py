"""POST /pictures: uploads that the manifests of jobs can name."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import UploadFile

from certification.errors import ImageTooLarge, NotAnImage
from service.access.needs import CallerDep, needs
from service.core import Surety
from service.deps import SuretyDep, refuse_unknown
from service.form_parts import wrong_part
from service.forms import IMAGE
from service.housekeeping import LOOSE_SECONDS
from service.jobs.intake.looks import no_picture
from service.jobs.intake.names import shown_name
from service.multipart import read_multipart, require_multipart
from service.openapi_answers import form_body, json_response, problem_responses
from service.problem_kinds import (
    MALFORMED,
    NO_ROOM,
    NOT_AN_IMAGE,
    OVERLOADED,
    SHUTTING_DOWN,
    STORE_AWAY,
    STORE_REFUSES,
    STORED_TOO_MUCH,
    TOO_LARGE,
    TOO_SLOW,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION,
)

MOST_AT_ONCE = 100  # pictures in one request

router = APIRouter(tags=["jobs"])

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": [IMAGE],
    "properties": {
        IMAGE: {
            "type": "array",
            "maxItems": MOST_AT_ONCE,
            "items": {
                "type": "string",
                "format": "binary",
                "contentMediaType": "application/octet-stream",
            },
            "description": f"One picture or several, up to {MOST_AT_ONCE}: the field again and "
            "again.",
        }
    },
}


@router.post(
    "/pictures",
    dependencies=[needs("jobs")],
    status_code=201,
    summary="Upload pictures for a job",
    responses=json_response("They are kept.", "Uploaded", status=201)
    | problem_responses(
        MALFORMED,
        TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        VALIDATION,
        NOT_AN_IMAGE,
        OVERLOADED,
        SHUTTING_DOWN,
        TOO_SLOW,
        NO_ROOM,
        STORED_TOO_MUCH,
        STORE_AWAY,
        STORE_REFUSES,
    ),
    openapi_extra=form_body(SCHEMA, {IMAGE: ["(bytes of cat.png)"]}),
)
async def upload(request: Request, surety: SuretyDep, caller: CallerDep) -> dict[str, Any]:
    """Keep pictures so that a job's manifest can name them by their SHA-256.

    Where there are API keys, jobs of the same key alone can. One that no job has named goes after
    a day. Either all of a request are kept or none.
    """
    refuse_unknown(request)
    require_multipart(request)
    key = caller.key_id
    with surety.requests.take(key), surety.uploads.file(request, key):
        async with read_multipart(request, files=MOST_AT_ONCE) as parts:
            files = _pictures(parts.multi_items())
            for file in files:
                await _check(surety, file)
            kept = await _keep(surety, files, caller.key_id)
    until = datetime.now(UTC) + timedelta(seconds=LOOSE_SECONDS)
    return {"pictures": kept, "kept_until": until.isoformat(timespec="seconds")}


def _pictures(items: list[tuple[str, str | UploadFile]]) -> list[UploadFile]:
    wrong = [
        wrong_part(name, "there is no such field")
        if name != IMAGE
        else wrong_part(name, "this is text: send the picture as a file")
        for name, value in items
        if name != IMAGE or isinstance(value, str)
    ]
    if not items:
        wrong.append(wrong_part(IMAGE, "missing: send the picture as a file"))
    if wrong:
        raise RequestValidationError(wrong)
    return [value for _, value in items if isinstance(value, UploadFile)]


async def _check(surety: Surety, file: UploadFile) -> None:
    most, name = surety.settings.max_upload_bytes, shown_name(file.filename or "")
    if (file.size or 0) > most:
        raise ImageTooLarge(f"{name} has {file.size:,} bytes, the limit is {most:,}")
    reason = no_picture(await file.read())
    await file.seek(0)
    if reason is not None:
        raise NotAnImage(f"{name}: {reason}")


async def _keep(
    surety: Surety, files: Sequence[UploadFile], owner: str | None
) -> list[dict[str, Any]]:
    sha256s = await surety.state.uploads.put_together([file.read for file in files], owner)
    return [
        {"name": shown_name(file.filename or ""), "sha256": sha256, "bytes": file.size or 0}
        for file, sha256 in zip(files, sha256s, strict=True)
    ]
