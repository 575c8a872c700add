"""The form of POST /verify: a certificate, and what is to be checked with it."""

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import UploadFile

from service.multipart import read_multipart
from service.single_members import TWICE

FIELDS = {
    "certificate": "The certificate, as a file or as text.",
    "image": "The picture that was uploaded, or the canonical PNG.",
    "votes": "The votes file, as `GET /certificates/{id}/votes` gives it.",
    "key": "Public keys that you trust: 64 hexadecimal digits, PEM, or the JSON of `GET /keys`. "
    "Default: those of this deployment.",
    "noise_key": "The revealed noise key: its file, or 32 hexadecimal digits.",
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["certificate"],
    "properties": {
        name: {
            "type": "string",
            "contentMediaType": "application/octet-stream"
            if name == "image"
            else "application/json",
            "description": text,
        }
        for name, text in FIELDS.items()
    },
}


async def read_verify_form(request: Request) -> dict[str, bytes]:
    """Read the form; every field may be a file or text.

    Raises:
        HTTPException: if the body is no form.
        RequestValidationError: if a field is unknown, repeated or missing.
    """
    found: dict[str, bytes] = {}
    wrong: list[dict[str, Any]] = []
    async with read_multipart(request, files=len(FIELDS)) as parts:
        for name, value in parts.multi_items():
            if name not in FIELDS:
                wrong.append(_error(name, "there is no such field"))
            elif name in found:
                wrong.append(_error(name, TWICE))
            else:
                file = isinstance(value, UploadFile)
                found[name] = await value.read() if file else str(value).encode()  # type: ignore[union-attr]
    if "certificate" not in found:
        wrong.append(_error("certificate", "missing: send the certificate's JSON"))
    if wrong:
        raise RequestValidationError(wrong)
    return found


def _error(name: str, message: str) -> dict[str, Any]:
    return {"type": "form", "loc": (name,), "msg": message}
