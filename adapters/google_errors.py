"""What Google's errors mean here: by the reason in their ErrorInfo, else by their status.

    reason in REASONS      the run ends
    status in STOPS        the run ends
    RESOURCE_EXHAUSTED     a day's or a month's quota is spent: the run ends; else a throttle
    anything else          asked again: the caller does so a limited number of times

A status that Google sent is not charged for; one that the channel made up, because the connection
was lost, may be.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.errors import (
    AuthenticationFailed,
    CallRejected,
    PermissionDenied,
    QuotaExceeded,
    StopError,
)
from adapters.interface import Refusal, Retry
from adapters.redaction import redacted

Stop = tuple[type[StopError], str]

OF_THE_CALL: Stop = (
    CallRejected,
    "Google refuses the call whatever the picture; check operation, model, max_results and "
    "endpoint in the profile",
)
NO_SERVICE: Stop = (
    CallRejected,
    "there is no Cloud Vision at this endpoint; check endpoint in the profile and "
    "SURETY_GOOGLE_ENDPOINT",
)
BAD_TOKEN: Stop = (
    AuthenticationFailed,
    "Google does not accept the credential: make a new key for the service account if it has been "
    "deleted or disabled, and check this machine's clock, since tokens are dated by it",
)
NOT_ALLOWED: Stop = (
    PermissionDenied,
    "Google does not let this credential call Cloud Vision; check that the API is enabled in its "
    "project, and what the account may do there",
)
STOPS: Mapping[str, Stop] = {
    "INVALID_ARGUMENT": OF_THE_CALL,
    "NOT_FOUND": NO_SERVICE,
    "ALREADY_EXISTS": OF_THE_CALL,
    "PERMISSION_DENIED": NOT_ALLOWED,
    "FAILED_PRECONDITION": OF_THE_CALL,
    "OUT_OF_RANGE": OF_THE_CALL,
    "UNIMPLEMENTED": NO_SERVICE,
    "UNAUTHENTICATED": BAD_TOKEN,
}
BY_POLICY: Stop = (
    PermissionDenied,
    "a policy of the organisation forbids the call; ask whoever administers it",
)
BY_KEY: Stop = (
    PermissionDenied,
    "the API key's restrictions do not let this call through; add the Cloud Vision API, and this "
    "machine's address, to them, or use a key without",
)
WRONG_KIND: Stop = (
    AuthenticationFailed,
    "Google does not take this kind of credential; use a service account's key file or an API key",
)
SUSPENDED: Stop = (
    PermissionDenied,
    "Google has suspended {project}; see its page in the Cloud console",
)
NO_PROJECT: Stop = (
    PermissionDenied,
    "{project} does not exist or has been deleted; use a credential of another one",
)
SPENT: Stop = (
    QuotaExceeded,
    "the quota of {project} is spent; raise it in the Cloud console (IAM & Admin, Quotas) or wait "
    "until it is renewed",
)
REASONS: Mapping[str, Stop] = {
    "SERVICE_DISABLED": (
        PermissionDenied,
        "the Cloud Vision API is not enabled in {project}: run `gcloud services enable "
        "vision.googleapis.com`, and wait a few minutes; if it is enabled, look at the API key's "
        "restrictions",
    ),
    "BILLING_DISABLED": (
        QuotaExceeded,
        "billing is not enabled for {project}: link a billing account in the Cloud console, and "
        "wait a few minutes",
    ),
    "API_KEY_INVALID": (
        AuthenticationFailed,
        "Google does not accept the API key: it is mistyped, expired or deleted; put a valid one "
        "into GOOGLE_API_KEY",
    ),
    "API_KEY_SERVICE_BLOCKED": BY_KEY,
    "API_KEY_HTTP_REFERRER_BLOCKED": BY_KEY,
    "API_KEY_IP_ADDRESS_BLOCKED": BY_KEY,
    "API_KEY_ANDROID_APP_BLOCKED": BY_KEY,
    "API_KEY_IOS_APP_BLOCKED": BY_KEY,
    "CREDENTIAL_ANDROID_APP_INVALID": BY_KEY,
    "MISSING_ORIGIN": BY_KEY,
    "ACCESS_TOKEN_EXPIRED": (
        AuthenticationFailed,
        "Google finds the access token expired: set this machine's clock right",
    ),
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": BAD_TOKEN,
    "JWT_TOKEN_INVALID": BAD_TOKEN,
    "SESSION_COOKIE_INVALID": BAD_TOKEN,
    "ACCOUNT_STATE_INVALID": (
        AuthenticationFailed,
        "the account of this credential is disabled or deleted; enable it or use another one",
    ),
    "CREDENTIALS_MISSING": WRONG_KIND,
    "CREDENTIAL_TYPE_UNSUPPORTED": WRONG_KIND,
    "ACCOUNT_TYPE_UNSUPPORTED": WRONG_KIND,
    "OVERLOADED_CREDENTIALS": WRONG_KIND,
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": NOT_ALLOWED,
    "IAM_PERMISSION_DENIED": NOT_ALLOWED,
    "SERVICE_NOT_VISIBLE": NOT_ALLOWED,
    "MCP_SERVER_DISABLED": NOT_ALLOWED,
    "USER_PROJECT_DENIED": (
        PermissionDenied,
        "the account may not use {project}: grant it the role roles/serviceusage."
        "serviceUsageConsumer there",
    ),
    "CONSUMER_SUSPENDED": SUSPENDED,
    "GCP_SUSPENDED": SUSPENDED,
    "CONSUMER_INVALID": NO_PROJECT,
    "RESOURCE_PROJECT_INVALID": NO_PROJECT,
    "SECURITY_POLICY_VIOLATED": BY_POLICY,
    "USER_BLOCKED_BY_ADMIN": BY_POLICY,
    "RESOURCE_USAGE_RESTRICTION_VIOLATED": BY_POLICY,
    "ENDPOINT_USAGE_RESTRICTION_VIOLATED": BY_POLICY,
    "ORG_RESTRICTION_VIOLATION": BY_POLICY,
    "ORG_RESTRICTION_HEADER_INVALID": BY_POLICY,
    "LOCATION_TAX_POLICY_VIOLATED": BY_POLICY,
    "LOCATION_POLICY_VIOLATED": BY_POLICY,
    "LOCATION_ORG_POLICY_VIOLATED": BY_POLICY,
    "TLS_ORG_POLICY_VIOLATED": BY_POLICY,
    "TLS_CIPHER_RESTRICTION_VIOLATED": BY_POLICY,
    "SYSTEM_PARAMETER_UNSUPPORTED": OF_THE_CALL,
    "RESOURCE_QUOTA_EXCEEDED": SPENT,
    "EMULATOR_QUOTA_EXCEEDED": SPENT,
}
BY_STATUS = frozenset({"ERROR_REASON_UNSPECIFIED", "RATE_LIMIT_EXCEEDED"})  # say no more than it

# What the SDK's classes for HTTP have in place of a status.
HTTP = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    405: "UNIMPLEMENTED", 409: "ABORTED", 411: "INVALID_ARGUMENT", 412: "FAILED_PRECONDITION",
    416: "OUT_OF_RANGE", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL",
    501: "UNIMPLEMENTED", 502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
    301: "UNIMPLEMENTED", 304: "UNIMPLEMENTED", 307: "UNIMPLEMENTED", 308: "UNIMPLEMENTED",
}  # fmt: skip
# How older replies, without an ErrorInfo, say the same.
TEXTS = (
    (re.compile(r"api key (not valid|not found|expired)", re.I), "API_KEY_INVALID"),
    (re.compile(r"requires billing|billing (account|is|has)", re.I), "BILLING_DISABLED"),
    (re.compile(r"has not been used in project|it is disabled", re.I), "SERVICE_DISABLED"),
)
LASTING = re.compile(r"per[ _-]?(day|week|month|year)|\b1/(d|w|mo\w*|y)/|daily|monthly", re.I)
NOT_SENT = re.compile(r"failed to connect|error\w* resolving|handshake|metadata from plugin", re.I)
NO_TOKEN = re.compile(r"metadata from plugin failed", re.I)
FOR_GOOD = re.compile(r"invalid_|unauthorized_|access_denied|disabled|deleted|reauth", re.I)
NO_TRUST = re.compile(r"certificate_verify_failed|wrong_version_number", re.I)
TOO_LARGE = re.compile(r"larger than max", re.I)
NOT_THE_PICTURE = re.compile(r"malformed request|model|feature", re.I)


@dataclass(frozen=True)
class Trouble:
    """An error of Google's, or of the way there.

    Attributes:
        status: gRPC's name of it; empty if it has none that is known.
        text: what was said.
        details: messages of google.rpc's error_details.
        billed: whether the pictures may have been charged for.
    """

    status: str
    text: str
    details: Sequence[Any] = ()
    billed: bool = True

    def detail(self, name: str) -> Any:  # noqa: ANN401  protobuf's messages are untyped
        """Return the detail of this type, None if there is none."""
        return next((d for d in self.details if type(d).__name__ == name), None)

    @property
    def reason(self) -> str:
        """What ErrorInfo names, or an older reply says in words; empty if neither."""
        info = self.detail("ErrorInfo")
        if info is not None and info.reason not in BY_STATUS:
            return str(info.reason)
        if self.status in ("INVALID_ARGUMENT", "PERMISSION_DENIED", "FAILED_PRECONDITION"):
            return next((reason for words, reason in TEXTS if words.search(self.text)), "")
        return ""

    @property
    def project(self) -> str:
        """Whose quota and bill it is, in words."""
        info = self.detail("ErrorInfo")
        consumer = info.metadata.get("consumer", "") if info is not None else ""
        number = consumer.removeprefix("projects/")
        return f"project {number}" if number else "the credential's project"

    @property
    def after(self) -> float | None:
        """Seconds to wait, where Google names them."""
        info = self.detail("RetryInfo")
        seconds = info.retry_delay.ToTimedelta().total_seconds() if info is not None else 0.0
        return seconds if seconds > 0 else None

    @property
    def lasting(self) -> bool:
        """Whether a spent quota is one that will not be renewed within minutes."""
        info, failure = self.detail("ErrorInfo"), self.detail("QuotaFailure")
        metadata = dict(info.metadata) if info is not None else {}
        said = [self.text, metadata.get("quota_limit", ""), metadata.get("quota_unit", "")]
        for violation in failure.violations if failure is not None else ():
            said += [violation.description, violation.subject, violation.quota_id]
        return metadata.get("quota_limit_value") == "0" or any(map(LASTING.search, said))


def outcome_of(error: Exception, secrets: Iterable[str]) -> Retry:
    """Say what an error of the SDK means for the pictures of the call.

    Args:
        error: what it raised.
        secrets: what must not be repeated.

    Raises:
        StopError: if asking again would not help.
        Exception: `error` itself, if it is not one of the SDK's.
    """
    import grpc  # type: ignore[import-untyped]  # noqa: PLC0415  slow, and an extra
    from google.api_core import exceptions as api  # noqa: PLC0415
    from google.auth import exceptions as auth  # noqa: PLC0415

    if isinstance(error, auth.GoogleAuthError):
        passing = (auth.TransportError, auth.TimeoutError, auth.ResponseError)
        if error.retryable or isinstance(error, passing):
            return Retry(f"no access token could be had: {redacted(error, secrets)}")
        raise _stopped(BAD_TOKEN, Trouble("", str(error)), secrets)
    if isinstance(error, api.RetryError):
        if isinstance(error.cause, Exception) and error.cause is not error:
            return outcome_of(error.cause, secrets)
        return judged(Trouble("", str(error)), secrets)
    if isinstance(error, api.GoogleAPICallError):
        return judged(_of_call(error), secrets)
    if isinstance(error, api.GoogleAPIError):
        raise _stopped(OF_THE_CALL, Trouble("", str(error)), secrets)
    # The SDK stumbles over details that it cannot read; what came is in the context.
    rpc = error if isinstance(error, grpc.RpcError) else error.__context__
    if isinstance(rpc, grpc.RpcError) and hasattr(rpc, "code"):
        plain = api.from_grpc_status(  # type: ignore[no-untyped-call]
            rpc.code(), rpc.details() or "", response=rpc
        )
        return judged(_of_call(plain), secrets)
    raise error


def judged(trouble: Trouble, secrets: Iterable[str]) -> Retry:
    """Say whether the pictures may be asked about again.

    Raises:
        StopError: if that would not help.
    """
    stop = REASONS.get(trouble.reason) or STOPS.get(trouble.status)
    throttled = trouble.status == "RESOURCE_EXHAUSTED"
    if stop is None and throttled:
        if TOO_LARGE.search(trouble.text):
            stop = OF_THE_CALL
        elif trouble.lasting:
            stop = SPENT
    elif stop is None and NO_TRUST.search(trouble.text):
        stop = NO_SERVICE
    elif stop is None and NO_TOKEN.search(trouble.text) and FOR_GOOD.search(trouble.text):
        stop = BAD_TOKEN
    if stop is not None:
        raise _stopped(stop, trouble, secrets)
    text = redacted(f"{trouble.status or 'unknown error'}: {trouble.text}", secrets)
    return Retry(text, after=trouble.after, billed=trouble.billed, throttled=throttled)


def of_picture(error: Any, secrets: Iterable[str]) -> Refusal | Retry:  # noqa: ANN401
    """Say what an error in the place of one picture's answer means.

    Args:
        error: google.rpc.Status.
        secrets: what must not be repeated.

    Raises:
        StopError: if it is not about the picture, and asking again would not help.
    """
    from google.rpc import code_pb2  # type: ignore[import-untyped]  # noqa: PLC0415

    known = error.code in code_pb2.Code.values()
    name = code_pb2.Code.Name(error.code) if known else ""
    details = tuple(_unpacked(error.details))
    billed = name in ("", "DEADLINE_EXCEEDED")
    trouble = Trouble(name, error.message, details, billed)
    of_picture = name in ("INVALID_ARGUMENT", "OUT_OF_RANGE") and not trouble.reason
    if of_picture and not NOT_THE_PICTURE.search(error.message):
        return Refusal(redacted(error.message or name, secrets))
    return judged(trouble, secrets)


def _of_call(error: Any) -> Trouble:  # noqa: ANN401  the SDK is untyped
    named = getattr(error.grpc_status_code, "name", None)
    status = named or HTTP.get(error.code, "")
    text = str(error.message or "")
    # A status that Google sent comes with trailing metadata; one that the channel made does not.
    metadata = getattr(error.response, "trailing_metadata", None)
    answered = bool(metadata()) if callable(metadata) else False
    billed = status == "DEADLINE_EXCEEDED" or not (answered or NOT_SENT.search(text))
    return Trouble(status, text, error.details, billed)


def _unpacked(details: Iterable[Any]) -> Iterator[Any]:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # noqa: PLC0415
    from google.rpc import error_details_pb2  # noqa: PLC0415

    for detail in details:
        name = detail.type_url.rpartition(".")[2]
        if name in ("ErrorInfo", "RetryInfo", "QuotaFailure"):
            message = getattr(error_details_pb2, name)()
            try:
                detail.Unpack(message)
            except DecodeError:  # garbled: what it would have added is not known
                continue
            yield message


def _stopped(stop: Stop, trouble: Trouble, secrets: Iterable[str]) -> StopError:
    kind, advice = stop
    said = redacted(trouble.text, secrets)
    return kind(f"{advice.format(project=trouble.project)} (Google says: {said})")
