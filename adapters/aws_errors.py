"""What the errors of AWS and of its SDK mean for a run.

AWS names its errors by codes, which come with and without the ending "Exception"; the SDK adds
exception classes of its own for what goes wrong before there is an answer. Each has one kind
here; `tests/adapters/test_aws.py` walks the SDK's own lists to prove that none is left out.
"""

import datetime
import email.utils
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NoReturn

from adapters.errors import (
    AuthenticationFailed,
    CallRejected,
    PermissionDenied,
    QuotaExceeded,
)
from adapters.interface import Refusal, Retry
from adapters.redaction import redacted

Kind = Literal[
    "refused",  # this picture, for good
    "throttled",
    "retry",  # failed before AWS did any work
    "lost",  # may have been answered, and charged, without our seeing it
    "auth",
    "clock",  # the signature's date is too far from AWS's own
    "denied",
    "quota",
    "rejected",  # the call as such
]

CODES: Mapping[str, Kind] = {  # without the ending "Exception"
    # of the two operations
    "AccessDenied": "denied",
    "HumanLoopQuotaExceeded": "quota",
    "ImageTooLarge": "refused",
    "InternalServerError": "retry",
    "InvalidImageFormat": "refused",
    "InvalidParameter": "rejected",
    "InvalidS3Object": "rejected",
    "ProvisionedThroughputExceeded": "throttled",
    "ResourceNotFound": "rejected",
    "ResourceNotReady": "rejected",
    "Throttling": "throttled",
    # of the service's other operations
    "Conflict": "rejected",
    "IdempotentParameterMismatch": "rejected",
    "InvalidManifest": "rejected",
    "InvalidPaginationToken": "rejected",
    "InvalidPolicyRevisionId": "rejected",
    "LimitExceeded": "throttled",
    "MalformedPolicyDocument": "rejected",
    "ResourceAlreadyExists": "rejected",
    "ResourceInUse": "rejected",
    "ServiceQuotaExceeded": "quota",
    "SessionNotFound": "rejected",
    "VideoTooLarge": "rejected",
    # throttles of all services
    "BandwidthLimitExceeded": "throttled",
    "EC2Throttled": "throttled",
    "PriorRequestNotComplete": "throttled",
    "RequestLimitExceeded": "throttled",
    "RequestThrottled": "throttled",
    "SlowDown": "throttled",
    "Throttled": "throttled",
    "TooManyRequests": "throttled",
    "TransactionInProgress": "throttled",
    # credentials
    "AuthFailure": "auth",
    "ExpiredToken": "auth",
    "IDPRejectedClaim": "auth",
    "IncompleteSignature": "auth",
    "InvalidAccessKeyId": "auth",
    "InvalidClientTokenId": "auth",
    "InvalidGrant": "auth",
    "InvalidIdentityToken": "auth",
    "InvalidSignature": "auth",
    "InvalidToken": "auth",
    "MissingAuthenticationToken": "auth",
    "SignatureDoesNotMatch": "auth",
    "Unauthorized": "auth",  # of SSO: the session has expired
    "UnrecognizedClient": "auth",
    "RequestExpired": "clock",
    "RequestInTheFuture": "clock",
    "RequestTimeTooSkewed": "clock",
    # permission and account
    "Blocked": "denied",
    "NotAuthorized": "denied",
    "UnauthorizedOperation": "denied",
    "AccountProblem": "quota",
    "OptInRequired": "quota",
    "SubscriptionRequired": "quota",
    # the call
    "IDPCommunicationError": "retry",
    "InvalidAction": "rejected",
    "InvalidParameterCombination": "rejected",
    "InvalidParameterValue": "rejected",
    "InvalidQueryParameter": "rejected",
    "MalformedHttpRequest": "rejected",
    "MalformedQueryString": "rejected",
    "MissingAction": "rejected",
    "MissingParameter": "rejected",
    "RegionDisabled": "rejected",
    "Serialization": "rejected",
    "UnknownOperation": "rejected",
    "Validation": "rejected",
    "ValidationError": "rejected",
    "RequestEntityTooLarge": "refused",
    # AWS itself
    "InternalError": "retry",
    "InternalFailure": "retry",
    "InternalServer": "retry",
    "RequestAborted": "lost",
    "RequestTimeout": "lost",
    "ServiceUnavailable": "retry",
}

STATUSES: Mapping[int, Kind] = {  # of codes that are not known
    401: "auth",
    402: "quota",
    403: "denied",
    408: "lost",
    413: "refused",
    429: "throttled",
    504: "lost",
}

EXCEPTIONS: Mapping[str, Kind] = {  # a class stands for those derived from it
    # no connection: nothing was sent
    "ConnectionError": "retry",
    "CapacityNotAvailableError": "retry",
    "MetadataRetrievalError": "retry",
    # sent, but no answer that could be read
    "SSLError": "lost",  # also one in the middle of a reply; it does not tell
    "HTTPClientError": "lost",
    "IncompleteReadError": "lost",
    "ChecksumError": "lost",
    "FlexibleChecksumError": "lost",
    "ResponseParserError": "lost",
    # credentials, and what fetches them
    "NoCredentialsError": "auth",
    "NoAuthTokenError": "auth",
    "PartialCredentialsError": "auth",
    "CredentialRetrievalError": "auth",
    "UnknownCredentialError": "auth",
    "TokenRetrievalError": "auth",
    "UnknownTokenProviderError": "auth",
    "RefreshWithMFAUnsupportedError": "auth",
    "SSOError": "auth",
    "LoginError": "auth",
    "LoginInsufficientPermissions": "denied",
    # all else is about the machine's configuration, or about how the SDK is called
    "BotoCoreError": "rejected",
    "Boto3Error": "rejected",
}

ACCOUNT_ID = re.compile(r"\b\d{12}\b")
KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")
USER_INFO = re.compile(r"//[^/@\s]+@")


def judge(
    error: Exception, *, action: str, region: str, secrets: Iterable[str | None] = ()
) -> Refusal | Retry:
    """Return what an error of the SDK means for the picture.

    Args:
        error: a ClientError, or another exception of the SDK.
        action: the IAM action that was called.
        region: where.
        secrets: what no message may show.

    Raises:
        adapters.errors.StopError: if asking again would not help.
    """
    kind, said = kind_of(error), _said(error, secrets)
    asked = getattr(error, "operation_name", None)
    if asked and not action.endswith(f":{asked}"):
        action = asked  # the SDK's own call for a credential, such as AssumeRole
    if kind == "refused":
        return Refusal(said)
    if kind in ("throttled", "retry", "lost"):
        return Retry(
            said, after=_after(error), billed=kind == "lost", throttled=kind == "throttled"
        )
    stop(kind, said, action=action, region=region)


def kind_of(error: Exception) -> Kind:
    """Return the kind of an error."""
    reply = getattr(error, "response", None)
    if isinstance(reply, Mapping):
        return _kind_of_reply(reply)
    if type(error).__name__ == "SSLError" and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "rejected"
    for ancestor in type(error).__mro__:
        if ancestor.__name__ in EXCEPTIONS:
            return EXCEPTIONS[ancestor.__name__]
    return "rejected"


def stop(kind: Kind, said: str, *, action: str, region: str) -> NoReturn:
    """End the run, saying what to do about it."""
    if kind == "clock":
        raise AuthenticationFailed(
            f"AWS refuses the date of the request: set this machine's clock (NTP). {said}"
        )
    if kind == "auth":
        raise AuthenticationFailed(
            "AWS does not accept the credential: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY "
            f"and, for temporary ones, AWS_SESSION_TOKEN, or log in again. {said}"
        )
    if kind == "denied":
        raise PermissionDenied(
            f"AWS denies the call: allow {action} in an IAM policy of this credential. {said}"
        )
    if kind == "quota":
        raise QuotaExceeded(
            "the AWS account's quota is spent, or its sign-up or payment is not complete: see "
            f"Service Quotas and Billing in the AWS console. {said}"
        )
    raise CallRejected(
        f"AWS, or its SDK, refuses the call {action} in {region}, whatever the picture: check "
        f"the region, the endpoint and the options. {said}"
    )


def _kind_of_reply(reply: Mapping[str, Any]) -> Kind:
    error, meta = reply.get("Error") or {}, reply.get("ResponseMetadata") or {}
    code, text = str(error.get("Code", "")).removesuffix("Exception"), str(error.get("Message", ""))
    if code in ("InvalidSignature", "SignatureDoesNotMatch") and re.search(
        r"signature (expired|not\s+yet current)", text, re.IGNORECASE
    ):
        return "clock"
    if code in ("InvalidParameter", "Validation") and re.search(
        r"image\.bytes|image dimensions", text, re.IGNORECASE
    ):
        return "refused"  # these two codes stand for wrong options as well as for wrong pictures
    if code in CODES:
        return CODES[code]
    status = int(meta.get("HTTPStatusCode") or 0)
    if status in STATUSES:
        return STATUSES[status]
    if 300 <= status < 500:
        return "rejected"
    return "retry" if status >= 500 else "lost"


def _said(error: Exception, secrets: Iterable[str | None]) -> str:
    reply = getattr(error, "response", None)
    if isinstance(reply, Mapping):
        told = reply.get("Error") or {}
        text = f"{told.get('Code') or 'no code'}: {told.get('Message') or 'no message'}"
    elif type(error).__name__ == "ParamValidationError":
        text = "ParamValidationError"  # its text holds the wrong value, which may be the picture
    else:
        text = f"{type(error).__name__}: {error}"
    # What stands in an address first, while it is whole: `redacted` cuts the text.
    said = redacted(USER_INFO.sub("//***@", text), secrets)
    return KEY_ID.sub("***", ACCOUNT_ID.sub("***", said))


def _after(error: Exception) -> float | None:
    """Return the seconds of a Retry-After header: AWS sends none, proxies before it may."""
    reply = getattr(error, "response", None) or {}
    value = str(reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", ""))
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value.strip()):
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=datetime.UTC)
    return max(0.0, (at - datetime.datetime.now(datetime.UTC)).total_seconds())
