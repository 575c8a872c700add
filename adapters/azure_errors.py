"""What Azure's errors mean here, for both APIs: by their codes, else by their HTTP status.

    a code in OF_PICTURE, or 413     the picture is refused for good
    a code in OF_CALL, or any other  the run ends: the call would be refused again
    4xx that is not named here
    401, 402, 403                    the run ends
    a code in PASSING, 408, 425, 5xx asked again: the caller does so a limited number of times
    429                              a throttle; the run ends if a month's quota is spent

Both APIs write {"error": {"code", "message", "innererror": {"code", "message"}}}, and the gateway
before them the same without an innererror; older versions wrote {"code", "message"} alone, and
the gateway {"statusCode", "message"}. An error that came over HTTP is not charged for, unless the
service may have done the work (408, 504); a lost connection or a broken reply may be.
"""

import datetime
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from adapters.errors import (
    AuthenticationFailed,
    CallRejected,
    PermissionDenied,
    QuotaExceeded,
    StopError,
)
from adapters.interface import Prediction, Refusal, Retry
from adapters.redaction import redacted

Stop = tuple[type[StopError], str]

OF_PICTURE = {
    "InvalidImageFormat",
    "InvalidImageSize",
    "InvalidImageDimension",
    "NotSupportedImage",
    "DetectFaceError",
}
OF_CALL = {
    "InvalidDetails",
    "InvalidImageUrl",  # pictures travel in the call: no address is ever sent
    "InvalidModel",
    "InvalidThumbnailSize",
    "NotSupportedFeature",
    "NotSupportedLanguage",
    "NotSupportedVisualFeature",
    "UnsupportedMediaType",
}
PASSING = {
    "CancelledRequest",
    "FailedToProcess",
    "InternalServerError",
    "ServiceUnavailable",
    "StorageException",
    "Timeout",
    "Unspecified",
}
PICTURE = re.compile(
    r"image (size|dimension|format|data)|image is too (large|small|big)|not a valid image", re.I
)
SPENT = re.compile(r"call volume|volume quota|quota (is |has been )?exceeded|out of quota", re.I)
WRONG_KIND = re.compile(
    r"not supported with the current subscription key|not (enabled|supported) in this region", re.I
)
WAIT = re.compile(r"(?:retry after|try again in) (\d+) (second|minute|hour)", re.I)
SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
NUMBER = re.compile(r"\d+(\.\d+)?")
UNTRUSTED = re.compile(r"certificate.verify.failed", re.I)

CHECK_CALL: Stop = (
    CallRejected,
    "Azure refuses the call whatever the picture; check model_version, language and operation in "
    "the profile",
)
CHECK_ENDPOINT: Stop = (
    CallRejected,
    "there is no Image Analysis at this endpoint; check VISION_ENDPOINT, or endpoint in the "
    "profile: it looks like https://NAME.cognitiveservices.azure.com",
)
WRONG_RESOURCE: Stop = (
    CallRejected,
    "this resource of Azure, or its region, does not offer Image Analysis; VISION_ENDPOINT and "
    "VISION_KEY must be those of a Computer Vision (or multi-service) resource",
)
UNTRUSTED_SERVER: Stop = (
    CallRejected,
    "the endpoint's TLS certificate is not trusted; check VISION_ENDPOINT, the clock of this "
    "machine, and what a proxy on the way may do",
)
BAD_KEY: Stop = (
    AuthenticationFailed,
    "Azure does not accept the key; check that VISION_KEY and VISION_ENDPOINT are of the same "
    "resource, and that the key has not been regenerated (portal: Keys and Endpoint)",
)
FORBIDDEN: Stop = (
    PermissionDenied,
    "Azure does not let this key make the call; check in the portal that the resource allows "
    "key authentication, and that its Networking lets this machine in",
)
NO_QUOTA: Stop = (
    QuotaExceeded,
    "the quota of this Azure resource is spent; wait until it is renewed, or move the resource "
    "from the free tier (F0) to the standard one (S1)",
)
STOPS: Mapping[int, Stop] = {
    401: BAD_KEY,
    402: NO_QUOTA,
    403: FORBIDDEN,
    404: CHECK_ENDPOINT,
    405: CHECK_ENDPOINT,
    410: CHECK_ENDPOINT,
}
BILLED = {408, 499, 504}  # the service may have done the work
PASSING_STATUS = {408, 425, 499}
ROUNDING = 1e-6  # scores are float32


@dataclass(frozen=True)
class Trouble:
    """What Azure said.

    Attributes:
        status: of HTTP.
        codes: the innermost first.
        text: for people.
        after: seconds to wait, where it names them.
    """

    status: int
    codes: tuple[str, ...] = ()
    text: str = ""
    after: float | None = None

    @classmethod
    def read(cls, status: int, headers: Mapping[str, str], body: bytes | str) -> "Trouble":
        """Read an error's reply; anything at all may stand in its body."""
        codes, texts = _said(body)
        text = " ".join(dict.fromkeys(texts))
        return cls(status, codes, text, _after(headers, text))

    @property
    def stop(self) -> Stop | None:
        """Why the run has to end, if it has to."""
        told = STOPS.get(self.status)
        if self.status in (402, 403, 429) and SPENT.search(self.text):
            return NO_QUOTA
        if self.status in (400, 401, 403) and WRONG_KIND.search(self.text):
            return WRONG_RESOURCE
        if "PermissionDenied" in self.codes or "AuthenticationTypeDisabled" in self.codes:
            return FORBIDDEN
        if 300 <= self.status < 400:
            return CHECK_ENDPOINT  # not followed: the key would go along
        return told


def garbled(text: str) -> Retry:
    """Say that a reply came and means nothing."""
    return Retry(f"the reply cannot be understood: {text}", billed=True)


def judged(trouble: Trouble, secrets: Iterable[str]) -> Refusal | Retry:
    """Say what an error that came over HTTP means.

    Raises:
        StopError: if asking again would not help.
    """
    status, code = trouble.status, trouble.codes[0] if trouble.codes else ""
    said = redacted(trouble.text, secrets)
    named = f"HTTP {status}" if code in ("", str(status)) else f"HTTP {status} {code}"
    reason = redacted(f"{named}: {trouble.text}", secrets)
    billed = status in BILLED or status < 300
    if (stop := trouble.stop) is not None:
        raise stopped(stop, said or f"HTTP {status}")
    if status == 429:
        return Retry(reason, after=trouble.after, throttled=True)
    if status < 300 or status >= 500 or status in PASSING_STATUS:
        return Retry(reason, after=trouble.after, billed=billed)
    if code in OF_PICTURE or status == 413:
        return Refusal(reason)
    if code in PASSING:
        return Retry(reason, after=trouble.after, billed=True)
    if status == 400 and code not in OF_CALL and PICTURE.search(trouble.text):
        return Refusal(reason)  # 4.0 tells some of these by the message alone
    raise stopped(CHECK_CALL, reason)


def predictions(
    tags: Iterable[tuple[object, object, object]],
) -> tuple[Prediction, ...] | None:
    """Return tags as predictions, None if they make no sense.

    Args:
        tags: name, confidence, and the broader label that 3.2 calls a hint, if any.
    """
    found = []
    for name, score, hint in tags:
        if not (isinstance(name, str) and name and isinstance(score, float | int)):
            return None
        if not -ROUNDING <= score <= 1 + ROUNDING:  # also refuses NaN
            return None
        parents = (hint,) if isinstance(hint, str) and hint else ()
        found.append(Prediction(name, min(1.0, max(0.0, float(score))), parents=parents))
    return tuple(found)


def lost(text: str, unsent: bool) -> Retry:
    """Say that there was no reply.

    Args:
        text: what happened.
        unsent: whether the call never reached the service, which then charges nothing.
    """
    if unsent:
        return Retry(f"Azure's endpoint cannot be reached; check VISION_ENDPOINT: {text}")
    return Retry(f"the connection was lost: {text}", billed=True)


def stopped(stop: Stop, said: str) -> StopError:
    """Make the exception that ends a run."""
    kind, advice = stop
    return kind(f"{advice} (Azure says: {said})")


def _said(body: bytes | str) -> tuple[tuple[str, ...], list[str]]:
    """Return the codes of an error, innermost first, and its texts, outermost first."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        plain = body if isinstance(body, str) else body.decode("utf-8", "replace")
        return (), [re.sub(r"<[^>]*>", " ", plain)]
    level = document.get("error", document) if isinstance(document, dict) else document
    if not isinstance(level, dict):
        return (), [str(level)]
    codes: list[str] = []
    texts: list[str] = []
    while isinstance(level, dict):
        code, text = level.get("code") or level.get("statusCode"), level.get("message")
        codes += [str(code)] if code else []
        texts += [str(text)] if text else []
        level = level.get("innererror") or level.get("innerError")
    return tuple(reversed(codes)), texts


def _after(headers: Mapping[str, str], text: str) -> float | None:
    """Return the seconds that Azure wants to be left alone for."""
    named = {name.lower(): value for name, value in headers.items()}
    for header, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        if NUMBER.fullmatch(named.get(header, "").strip()):
            return float(named[header]) * scale
    try:
        then = parsedate_to_datetime(named.get("retry-after", ""))
        return max(0.0, (then - datetime.datetime.now(then.tzinfo)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        pass
    wait = WAIT.search(text)
    return float(wait[1]) * SECONDS[wait[2].lower()] if wait else None
