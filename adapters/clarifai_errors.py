"""What Clarifai's errors mean here, and what to do about them.

Clarifai answers nearly everything inside a reply that gRPC calls OK, with a code of its own for
the call and one for each picture; `adapters.clarifai_codes` says what follows from each. One that
is not known is no reason to stop: the picture is asked about again, a limited number of times.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from adapters.clarifai_codes import BY_GRPC, Kind, kind_of
from adapters.errors import (
    AuthenticationFailed,
    CallRejected,
    PermissionDenied,
    QuotaExceeded,
    StopError,
)
from adapters.interface import Refusal, Retry
from adapters.redaction import redacted

ALL_PICTURES = frozenset({30300})  # a code of the call that holds for every picture in it
UNKNOWN_KEY = (
    "Clarifai does not accept the token: put a valid personal access token into CLARIFAI_PAT, "
    "without quotes or spaces (an app's API key does not open public models)"
)
NOT_ALLOWED = (
    "Clarifai does not let this token ask the model: give it the scopes for predictions and for "
    "reading models, and check user_id and app_id in the profile"
)
NO_MODEL = (
    "Clarifai knows no such model, or not for this token: check model_id, model_version_id, "
    "user_id and app_id in the profile"
)
NO_API = (
    "no Clarifai API answers at this address; check api_base in the profile and CLARIFAI_API_BASE"
)
TOO_LARGE = "the request is larger than the server takes: use smaller pictures"
CONSENT = "the account has not given a consent that Clarifai asks for: log in there and look"
STOPS: Mapping[Kind, tuple[type[StopError], str]] = {
    Kind.AUTHENTICATION: (AuthenticationFailed, UNKNOWN_KEY),
    Kind.PERMISSION: (PermissionDenied, NOT_ALLOWED),
    Kind.QUOTA: (
        QuotaExceeded,
        "the account's quota, budget or plan is spent: see its usage and billing at Clarifai, or "
        "wait until the quota is renewed",
    ),
    Kind.REJECTED: (
        CallRejected,
        "Clarifai refuses the call whatever the picture; check model_id, model_version_id, "
        "user_id, app_id, max_concepts and min_value in the profile",
    ),
}
ADVICE: Mapping[int | str, str] = {
    10050: NO_API,
    11101: NO_API,
    11104: CONSENT,
    11200: "the account does not allow personal access tokens: ask its administrator",
    21200: NO_MODEL,
    21201: NO_MODEL,
    25903: "the model's deployment is switched off: enable it at Clarifai",
    40033: TOO_LARGE,
    50001: CONSENT,
    "UNIMPLEMENTED": NO_API,
    "NOT_FOUND": NO_API,
}
LASTING = re.compile(r"\b(month|day|daily|operations? limit)", re.I)  # not renewed in minutes
NOT_SENT = re.compile(r"failed to connect|error\w* resolving|dns resolution|handshake", re.I)
NO_TRUST = re.compile(r"certificate_verify_failed|wrong_version_number", re.I)
NO_GRPC = re.compile(r"http1\.x|\balpn\b", re.I)
OVERSIZE = re.compile(r"larger than max", re.I)
HTTP_429 = re.compile(r"status:? 429", re.I)


def of_status(status: Any, secrets: Iterable[str]) -> Retry | Refusal:  # noqa: ANN401  protobuf
    """Say what a status means that is no success.

    Args:
        status: Clarifai's, of the call or of one picture.
        secrets: what must not be repeated.

    Raises:
        StopError: if asking again would not help.
    """
    kind = kind_of(status.code, status.http_status_code) or Kind.RETRY
    text = _words(status, secrets)
    if kind is Kind.THROTTLED and LASTING.search(f"{status.description} {status.details}"):
        kind = Kind.QUOTA
    if kind is Kind.REFUSED:
        return Refusal(text, model_version=None)
    return _judged(kind, text, status.code, after=float(status.time_remaining) or None)


def of_call(error: Any, secrets: Iterable[str]) -> Retry:  # noqa: ANN401  grpc is untyped
    """Say what a call means that gRPC calls failed.

    Args:
        error: grpc.aio.AioRpcError.
        secrets: what must not be repeated.

    Raises:
        StopError: if asking again would not help.
    """
    name, details = error.code().name, str(error.details() or "")
    kind = BY_GRPC.get(name, Kind.TIMED_OUT)
    text = redacted(f"gRPC {name}: {details}", secrets)
    if name == "RESOURCE_EXHAUSTED" and OVERSIZE.search(details):
        raise CallRejected(f"{TOO_LARGE} ({text})")
    if kind is Kind.TIMED_OUT and NO_TRUST.search(details):
        raise CallRejected(
            f"the server's certificate is not trusted, or it does not speak TLS: check api_base, "
            f"a proxy on the way, and this machine's clock ({text})"
        )
    if kind is Kind.TIMED_OUT and NO_GRPC.search(details):
        raise CallRejected(f"{NO_API} ({text})")
    if kind is Kind.TIMED_OUT and HTTP_429.search(details):
        kind = Kind.THROTTLED
    if kind is Kind.TIMED_OUT and NOT_SENT.search(details):
        kind = Kind.RETRY
    return _judged(kind, text, name)


def _judged(kind: Kind, text: str, code: int | str, after: float | None = None) -> Retry:
    if kind in STOPS:
        error, advice = STOPS[kind]
        raise error(f"{ADVICE.get(code, advice)} (Clarifai says: {text})")
    return Retry(text, after=after, billed=kind is Kind.TIMED_OUT, throttled=kind is Kind.THROTTLED)


def _words(status: Any, secrets: Iterable[str]) -> str:  # noqa: ANN401
    from clarifai_grpc.grpc.api.status import (  # type: ignore[import-untyped]  # noqa: PLC0415
        status_code_pb2,
    )

    secrets = tuple(secrets)
    codes = status_code_pb2.StatusCode
    name = f" {codes.Name(status.code)}" if status.code in codes.values() else ""
    said = "; ".join(part for part in (status.description, status.details) if part)
    text = redacted(f"{status.code}{name}: {said or 'no text'}", secrets)
    return f"{text} (request {redacted(status.req_id, secrets)})" if status.req_id else text
