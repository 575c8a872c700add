"""Reads a small JSON body into a model, and says what is wrong with it as forms do."""

from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.exceptions import HTTPException

from service.edges.idempotency_key import json_sha256
from service.limits import BodyTooLarge
from service.single_members import TWICE, NamedTwice, check_members

Model = TypeVar("Model", bound=BaseModel)
LARGEST = 64 * 2**10  # bytes; to check millions of members would hold up all other requests


async def read_json(request: Request, model: type[Model], *, may_lack: bool = False) -> Model:
    """Read and check the body.

    Args:
        request: whose.
        model: what it should hold.
        may_lack: whether no body, of whatever type, means the model's defaults.

    Raises:
        HTTPException: if it is no JSON.
        BodyTooLarge: if it is larger than any that is meant.
        RequestValidationError: if a field is unknown, wrong or given twice.
    """
    body = await _read(request)
    lacks = may_lack and not body
    given = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if given != "application/json" and not lacks:
        raise HTTPException(415, "send application/json")
    try:
        found = {} if lacks else from_json(body, allow_inf_nan=False)
        if not lacks:
            check_members(body)
    except NamedTwice as twice:
        raise RequestValidationError(
            [{"type": "value_error", "loc": ("body", twice.name), "msg": TWICE}]
        ) from None
    except ValueError as error:
        raise HTTPException(400, f"the body is no JSON: {error}") from None
    request.state.content_sha256 = json_sha256(found)
    try:
        return model.model_validate(found)
    except ValidationError as error:
        raise RequestValidationError(
            error.errors(include_url=False, include_input=False, include_context=False)
        ) from None


async def _read(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise BodyTooLarge(LARGEST)
    return body
