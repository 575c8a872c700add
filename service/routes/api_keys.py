"""API keys: make one, look at them, change, rotate or revoke one. For the scope admin alone."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.responses import Response

from service.access.key_forms import ChangeForm, CreateForm, RotateForm, schema_of
from service.access.needs import CallerDep, needs
from service.deps import SuretyDep, refuse_unknown
from service.errors import BadRequest, MissingScope
from service.json_body import read_json
from service.openapi_answers import json_body, json_response, problem_responses
from service.openapi_examples import (
    API_KEY_ID,
    CHANGE_KEY_BODY,
    CREATE_KEY_BODY,
    ROTATE_KEY_BODY,
)
from service.problem_kinds import (
    BAD_REQUEST,
    KEY_NAME_TAKEN,
    LEDGER_DAMAGED,
    MALFORMED,
    NOT_FOUND,
    STORE_AWAY,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION,
    Kind,
)

router = APIRouter(tags=["API keys"])

KeyId = Annotated[str, Path(description="Its `id`.", examples=[API_KEY_ID])]
_ADMIN = needs("admin")
_LOOKING = (VALIDATION, STORE_AWAY, LEDGER_DAMAGED)
_CHANGING = (*_LOOKING, NOT_FOUND, BAD_REQUEST)
_SENDING = (MALFORMED, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE)


def _by_a_key(caller: CallerDep) -> None:
    # Where there are none yet, whoever comes first over HTTP would own the deployment.
    if caller.key_id is None:
        raise MissingScope(("admin",), "the first key is made with `surety apikeys create`")


_ByKey = Depends(_by_a_key)


def _told(words: str, *possible: Kind, name: str = "ApiKey", status: int = 200) -> Any:  # noqa: ANN401
    return json_response(words, name, status=status) | problem_responses(*possible)


def _body(
    model: type[BaseModel], example: dict[str, Any], *, required: bool = True
) -> dict[str, Any]:
    return json_body(schema_of(model), example, required=required)


@router.get(
    "/apikeys",
    dependencies=[_ADMIN, _ByKey],
    summary="List the API keys",
    responses=_told("Every key, the oldest first.", *_LOOKING, name="ApiKeys"),
)
async def list_keys(request: Request, surety: SuretyDep) -> dict[str, Any]:
    """Return every key in whatever state, never a secret."""
    refuse_unknown(request)
    return {"api_keys": [key.describe() for key in await surety.state.api_keys.list()]}


@router.post(
    "/apikeys",
    dependencies=[_ADMIN, _ByKey],
    status_code=201,
    summary="Make an API key",
    response_class=Response,
    responses=_told(
        "The key, with what clients show.",
        *(*_LOOKING, *_SENDING, BAD_REQUEST, KEY_NAME_TAKEN),
        name="NewApiKey",
        status=201,
    ),
    openapi_extra=_body(CreateForm, CREATE_KEY_BODY),
)
async def create(request: Request, surety: SuretyDep) -> Response:
    """Make a key. `key` is what clients show; it is not kept, so this is the only time to see it.

    With it, every request needs a key; the command line never does.
    """
    refuse_unknown(request)
    form = await read_json(request, CreateForm)
    key, text = await surety.state.api_keys.create(**form.changes())
    return _secret({**key.describe(), "key": text}, 201, {"Location": f"/apikeys/{key.id}"})


@router.get(
    "/apikeys/{key_id}",
    dependencies=[_ADMIN, _ByKey],
    summary="Look at an API key",
    responses=_told("The key.", *_LOOKING, NOT_FOUND),
)
async def look(key_id: KeyId, request: Request, surety: SuretyDep) -> dict[str, Any]:
    """Return what a key may do and whether it counts."""
    refuse_unknown(request)
    return (await surety.state.api_keys.get(key_id)).describe()


@router.patch(
    "/apikeys/{key_id}",
    dependencies=[_ADMIN, _ByKey],
    summary="Change an API key",
    responses=_told("The key after it.", *_CHANGING, *_SENDING, KEY_NAME_TAKEN),
    openapi_extra=_body(ChangeForm, CHANGE_KEY_BODY),
)
async def change(key_id: KeyId, request: Request, surety: SuretyDep) -> dict[str, Any]:
    """Change name, scopes, expiry or limits; within two seconds it counts everywhere.

    What is left out stays as it is; null takes a limit or the expiry away.
    """
    refuse_unknown(request)
    changes = (await read_json(request, ChangeForm)).changes()
    if not changes:
        raise BadRequest("say what is to change: name, scopes, expires, rate, budget, …")
    return (await surety.state.api_keys.change(key_id, **changes)).describe()


@router.delete(
    "/apikeys/{key_id}",
    dependencies=[_ADMIN, _ByKey],
    summary="Revoke an API key",
    responses=_told("The key, revoked.", *_LOOKING, NOT_FOUND),
)
async def revoke(key_id: KeyId, request: Request, surety: SuretyDep) -> dict[str, Any]:
    """Have a key count no more, for good: within two seconds in every process.

    It stays in the list, since usage reports name it. What it has begun goes on; its jobs can be
    cancelled. Without a key that counts nobody is served until one is made on the command line.
    """
    refuse_unknown(request)
    return (await surety.state.api_keys.revoke(key_id)).describe()


@router.post(
    "/apikeys/{key_id}/rotate",
    dependencies=[_ADMIN, _ByKey],
    summary="Give an API key another secret",
    response_class=Response,
    responses=_told(
        "The key, with what clients show now.", *_CHANGING, *_SENDING, name="NewApiKey"
    ),
    openapi_extra=_body(RotateForm, ROTATE_KEY_BODY, required=False),
)
async def rotate(key_id: KeyId, request: Request, surety: SuretyDep) -> Response:
    """Make a new secret; the present one counts for `overlap_seconds` more, those before no more.

    Without a body `overlap_seconds` is 0.

    `key` is what clients show; it is not kept, so this is the only time to see it.
    """
    refuse_unknown(request)
    form = await read_json(request, RotateForm, may_lack=True)
    key, text = await surety.state.api_keys.rotate(key_id, form.overlap)
    return _secret({**key.describe(), "key": text}, 200)


def _secret(told: dict[str, Any], status: int, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(told, status, {**(headers or {}), "Cache-Control": "no-store"})
