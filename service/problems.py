"""Problem answers (RFC 9457): one table from exception class to kind of problem.

`type` is a relative reference, `/problems/SLUG`, which this service answers with an explanation.
The table names every class of the four error trees; a test walks them. What is not in it is a
fault of ours: status 500, told to the log and not to the client.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Scope

import adapters.errors
import certification.asking
import certification.errors
import denoisers.errors
import service.errors
from service.access.caller import Caller
from service.edges import request_id
from service.problem_kinds import (
    ARCHIVE_TOO_LARGE,
    AUTHENTICATION,
    BAD_ARCHIVE,
    BAD_IDEMPOTENCY_KEY,
    BAD_REQUEST,
    BAD_TABLE,
    BUDGET_SPENT,
    BY_STATUS,
    CALL_REJECTED,
    DENOISER_NOT_READY,
    FORMAT_NOT_READY,
    INTERNAL,
    INVALID_PARAMETER,
    JOB_CONFLICT,
    KEY_IN_USE,
    KEY_NAME_TAKEN,
    KEY_REUSED,
    LEDGER_CONFLICT,
    LEDGER_DAMAGED,
    LEDGER_SEALED,
    LOCAL_ONLY,
    MISSING_SCOPE,
    MODEL_CHANGED,
    NO_ROOM,
    NOT_AN_IMAGE,
    NOT_FOUND,
    OTHER_IMAGE_ERROR,
    OVERLOADED,
    PERMISSION,
    PROVIDER_BROKEN,
    PROVIDER_DOWN,
    PROVIDER_FAILED,
    PROVIDER_NOT_READY,
    QUOTA,
    RUN_INTERRUPTED,
    SHUTTING_DOWN,
    STORE_AWAY,
    STORE_REFUSES,
    STORED_TOO_MUCH,
    TOO_LARGE,
    TOO_MANY_REQUESTS,
    UNAUTHENTICATED,
    UNKNOWN_DENOISER,
    UNKNOWN_LABEL,
    UNKNOWN_PROVIDER,
    UNREADABLE_PICTURE,
    UNSUPPORTED_IMAGE,
    VALIDATION,
    Kind,
)

MEDIA_TYPE = "application/problem+json"
NOT_SET_UP = "this provider is not set up here"
"""In place of what it lacks, for whom that is no matter."""
MOST_ERRORS = 20  # a form with a thousand unknown fields needs no thousand lines of answer

TABLE: Mapping[type[Exception], Kind] = {
    certification.errors.CertificationError: INTERNAL,
    certification.errors.InvalidParameter: INVALID_PARAMETER,
    certification.errors.ImageError: OTHER_IMAGE_ERROR,
    certification.errors.NotAnImage: NOT_AN_IMAGE,
    certification.errors.ImageTooLarge: TOO_LARGE,
    certification.errors.UnsupportedImage: UNSUPPORTED_IMAGE,
    certification.errors.LedgerConflict: LEDGER_CONFLICT,
    certification.errors.LedgerSealed: LEDGER_SEALED,
    certification.errors.LedgerDamaged: LEDGER_DAMAGED,
    certification.errors.LedgerUnavailable: STORE_AWAY,
    certification.errors.ClaimLost: INTERNAL,
    certification.errors.RunInterrupted: RUN_INTERRUPTED,
    certification.errors.ModelVersionChanged: MODEL_CHANGED,
    certification.errors.ProviderFailed: PROVIDER_FAILED,
    certification.errors.ProviderUnreliable: PROVIDER_FAILED,
    certification.errors.StopRun: PROVIDER_FAILED,
    certification.asking.AskingEndedError: INTERNAL,
    adapters.errors.AdapterError: PROVIDER_BROKEN,
    adapters.errors.UnknownAdapter: UNKNOWN_PROVIDER,
    adapters.errors.MissingExtra: PROVIDER_NOT_READY,
    adapters.errors.NotConfigured: PROVIDER_NOT_READY,
    adapters.errors.StopError: PROVIDER_FAILED,
    adapters.errors.AuthenticationFailed: AUTHENTICATION,
    adapters.errors.PermissionDenied: PERMISSION,
    adapters.errors.QuotaExceeded: QUOTA,
    adapters.errors.CallRejected: CALL_REJECTED,
    adapters.errors.ProviderDown: PROVIDER_DOWN,
    adapters.errors.BrokenReply: PROVIDER_FAILED,
    denoisers.errors.DenoiserError: INTERNAL,
    denoisers.errors.UnknownDenoiser: UNKNOWN_DENOISER,
    denoisers.errors.UnknownArchitecture: DENOISER_NOT_READY,
    denoisers.errors.NotUsable: DENOISER_NOT_READY,
    denoisers.errors.BrokenWeights: DENOISER_NOT_READY,
    denoisers.errors.TrainingError: INTERNAL,
    denoisers.errors.BadData: INTERNAL,
    denoisers.errors.BadSurrogate: INTERNAL,
    denoisers.errors.BadCheck: INTERNAL,
    denoisers.errors.BadPlan: INTERNAL,
    denoisers.errors.BadCheckpoint: INTERNAL,
    denoisers.errors.Diverged: INTERNAL,
    denoisers.errors.OutOfMemory: INTERNAL,
    denoisers.errors.CannotSave: INTERNAL,
    service.errors.ServiceError: INTERNAL,
    service.errors.ConfigurationError: INTERNAL,
    service.errors.BadRequest: BAD_REQUEST,
    service.errors.BadTable: BAD_TABLE,
    service.errors.BadArchive: BAD_ARCHIVE,
    service.errors.ArchiveTooLarge: ARCHIVE_TOO_LARGE,
    service.errors.UnreadablePicture: UNREADABLE_PICTURE,
    service.errors.UnknownLabel: UNKNOWN_LABEL,
    service.errors.NotFound: NOT_FOUND,
    service.errors.JobConflict: JOB_CONFLICT,
    service.errors.KeyNameTaken: KEY_NAME_TAKEN,
    service.errors.BudgetSpent: BUDGET_SPENT,
    service.errors.TooManyRequests: TOO_MANY_REQUESTS,
    service.errors.MissingFormat: FORMAT_NOT_READY,
    service.errors.AccessDenied: INTERNAL,
    service.errors.Unauthenticated: UNAUTHENTICATED,
    service.errors.MissingScope: MISSING_SCOPE,
    service.errors.LocalOnly: LOCAL_ONLY,
    service.errors.Overloaded: OVERLOADED,
    service.errors.NoRoom: NO_ROOM,
    service.errors.StoredTooMuch: STORED_TOO_MUCH,
    service.errors.BadIdempotencyKey: BAD_IDEMPOTENCY_KEY,
    service.errors.KeyReused: KEY_REUSED,
    service.errors.KeyInUse: KEY_IN_USE,
    service.errors.ShuttingDown: SHUTTING_DOWN,
    service.errors.StoreError: INTERNAL,
    service.errors.StoreUnavailable: STORE_AWAY,
    service.errors.StoreDenied: STORE_REFUSES,
    service.errors.StoreDamaged: LEDGER_DAMAGED,
}

log = structlog.get_logger("surety.problems")


@dataclass(frozen=True)
class Problem:
    """One problem, ready to be sent as an answer or as an event.

    Attributes:
        kind: which sort of problem.
        detail: what was wrong this time and how to mend it.
        errors: the fields to blame: {"field": …, "message": …}.
        headers: further headers of the answer.
    """

    kind: Kind
    detail: str
    errors: Sequence[Mapping[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def describe(self, instance: str | None = None) -> dict[str, Any]:
        """Return the members of the problem document.

        Args:
            instance: what it happened to: the path of the request or of the run.
        """
        body: dict[str, Any] = {
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
        }
        if instance is not None:
            body["instance"] = instance
        if (request := request_id.current()) is not None:
            body[request_id.NAME] = request
        if self.errors:
            body["errors"] = [dict(error) for error in self.errors]
        return body

    def response(self, instance: str | None = None) -> JSONResponse:
        """Return the answer."""
        return JSONResponse(
            self.describe(instance),
            status_code=self.kind.status,
            headers=dict(self.headers),
            media_type=MEDIA_TYPE,
        )


def problem_of(error: Exception) -> Problem:
    """Find out what to tell a client about an exception; unknown ones tell nothing."""
    if isinstance(error, RequestValidationError):
        return validation_problem(error.errors())
    if isinstance(error, HTTPException):
        return _from_http(error)
    kind = next((TABLE[c] for c in type(error).__mro__ if c in TABLE), None)
    if kind is None or kind is INTERNAL:
        log.error("internal error", error=type(error).__name__, exc_info=error)
        return Problem(INTERNAL, "something went wrong on our side; the log says what")
    if error.__cause__ is not None and kind is PROVIDER_FAILED:  # its text is for the log alone
        log.error("broken adapter", error=type(error.__cause__).__name__, exc_info=error.__cause__)
    message = str(error)
    headers = dict[str, str]()
    if isinstance(error, service.errors.AccessDenied):
        headers |= error.headers
    if (retry_after := getattr(error, "retry_after", None)) is not None:
        headers["Retry-After"] = str(retry_after)
    elif kind in (STORE_AWAY, STORE_REFUSES):
        headers["Retry-After"] = str(service.errors.StoreUnavailable.retry_after)
    if isinstance(error, service.errors.KeyInUse) and error.run is not None:
        headers["Link"] = f'<{error.run}>; rel="status"'  # RFC 8631
    if isinstance(error, service.errors.ShuttingDown):
        headers["Connection"] = "close"  # the next connection may lead to another process
    name = _blamed(error, kind)
    errors = [] if name is None else [{"field": name, "message": message}]
    return Problem(kind, message, errors, headers)


def validation_problem(found: Sequence[Mapping[str, Any]]) -> Problem:
    """Name the fields of a request that do not hold what they should.

    Args:
        found: pydantic's errors, each with `loc` and `msg`. The input itself is not repeated.
    """
    errors = []
    for error in found[:MOST_ERRORS]:
        where = [str(part) for part in error["loc"]]
        if len(where) > 1 and where[0] in ("body", "query", "path"):
            del where[0]
        message = str(error["msg"]).removeprefix("Value error, ")
        if error.get("type") == "extra_forbidden":
            message = "there is no such field"
        errors.append({"field": ".".join(where)[:80], "message": message})
    detail = "; ".join(f"{e['field']}: {e['message']}" for e in errors)
    if len(found) > MOST_ERRORS:
        detail += f"; and {len(found) - MOST_ERRORS} more"
    return Problem(VALIDATION, detail, errors)


def _from_http(error: HTTPException) -> Problem:
    kind = BY_STATUS.get(error.status_code)
    if kind is None:
        kind = Kind("http", error.status_code, str(error.detail), "An HTTP error.")
    standard = Problem(kind, str(error.detail), headers=error.headers or {})
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return Problem(kind, f"use {allowed} here", headers=standard.headers)
    if error.status_code == 404 and error.detail == "Not Found":
        return Problem(kind, "there is nothing at this path: /docs lists what there is")
    return standard


def _blamed(error: Exception, kind: Kind) -> str | None:
    """The field to blame, as the form calls it: the error's own, else the kind's."""
    own = getattr(error, "field", None) or kind.field
    return {"predict_n": "n"}.get(own, own) if own is not None else None


def instance_of(scope: Scope) -> str:
    """Return the request's path as it was sent: a URI reference, whatever it decodes to."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    path = raw.partition(b"?")[0].decode("ascii", "replace")
    return f"/.{path}" if path.startswith("//") else path  # "//x" would be the host x


async def answer_problem(request: Request, error: Exception) -> Response:
    """FastAPI's exception handler for everything."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=499)  # nobody reads it; the log shows why it was short
    if isinstance(error, HTTPException) and error.status_code == 405:
        error.headers = {**(error.headers or {}), "Allow": _allowed(request)}
    problem = problem_of(error)
    if problem.kind is PROVIDER_NOT_READY and not sees_setup(request.state):
        log.warning("a provider is not set up", error=type(error).__name__, reason=str(error))
        problem = replace(problem, detail=NOT_SET_UP)
    return problem.response(instance_of(request.scope))


def sees_setup(state: State) -> bool:
    """Tell whether a request's caller may know what the deployment lacks: who runs it may.

    Args:
        state: of the request.
    """
    caller: Caller | None = getattr(state, "caller", None)
    return caller is not None and caller.may("admin")


def _allowed(request: Request) -> str:
    """Return all methods of a path: Starlette names those of the first route alone."""
    return ", ".join(methods_at(request.app.openapi(), request.scope["path"])) or "GET"


def methods_at(document: Mapping[str, Any], path: str) -> list[str]:
    """Return all methods of a path; several templates may fit it.

    Args:
        document: the OpenAPI document.
        path: without parameters.
    """
    return sorted(
        {
            method.upper()
            for template, operations in document["paths"].items()
            if compile_path(template)[0].match(path)
            for method in operations
        }
    )
