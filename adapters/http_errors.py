"""What the statuses of HTTP and the exceptions of httpx mean for a run.

status                                   outcome
refused_statuses (413, 415, 422)         Refusal: this picture, for good
throttled_statuses (429)                 Retry, throttled
401, 407                                 AuthenticationFailed
402                                      QuotaExceeded
403                                      PermissionDenied
408, 409, 421, 423, 424, 425, 5xx        Retry; of 408, 504, 520 and 524 perhaps billed
3xx, other 4xx (400 too), 501, 505       CallRejected
anything else                            Retry
"""

import json
import re
import ssl
import time
from collections.abc import Collection, Iterable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx

from adapters.errors import (
    AuthenticationFailed,
    CallRejected,
    PermissionDenied,
    QuotaExceeded,
    StopError,
)
from adapters.http_reply import Reply, refused_together
from adapters.interface import Refusal, Retry
from adapters.redaction import redacted

AGAIN = {408, 409, 421, 423, 424, 425}
NEVER = {501, 505}
# A proxy gave up waiting: the endpoint may have done, and charged for, the work.
UNCERTAIN = {408, 504, 520, 524}
LONG_RUN = re.compile(r"[A-Za-z0-9+/=_%-]{65,}")  # of base64: an endpoint may echo the picture
TEXT_KEYS = ("message", "detail", "title", "error_description", "code", "type", "error")


class Statuses:
    """Sorts the answers that are no success.

    Args:
        refused: statuses that refuse a picture for good.
        throttled: statuses that ask for fewer calls.
        secrets: what must not be shown.
    """

    def __init__(
        self, refused: Collection[int], throttled: Collection[int], secrets: Iterable[str]
    ) -> None:
        self._refused, self._throttled = frozenset(refused), frozenset(throttled)
        shown = {s for s in secrets if s}
        self._secrets = shown | {quote(s, safe="") for s in shown}

    def outcome(self, reply: Reply, pictures: int) -> Refusal | Retry:
        """Return what a reply means for each of the pictures that were sent.

        Raises:
            StopError: if asking again would not help.
        """
        status, said = reply.status, self.shown(spoken(reply))
        if status in self._refused:
            if pictures == 1:
                return Refusal(said)
            raise refused_together(pictures, said)
        if status in self._throttled:
            return Retry(said, after=retry_after(reply), throttled=True)
        if status in (401, 407):
            raise AuthenticationFailed(
                f"the endpoint does not accept the credential ({said}): look at the profile's "
                "headers and the environment variables they name"
            )
        if status == 402:
            raise QuotaExceeded(f"the endpoint asks for payment ({said})")
        if status == 403:
            raise PermissionDenied(f"the credential may not make this call ({said})")
        if 300 <= status < 400:
            raise CallRejected(
                f"the endpoint redirects (status {status}), which is not followed: write the final "
                "address into the profile"
            )
        if status in NEVER or (400 <= status < 500 and status not in AGAIN):
            raise CallRejected(
                f"the endpoint rejects the call ({said}): look at url, method and body of the "
                "profile; if this is how it refuses a single picture, add the status to "
                "refused_statuses"
            )
        return Retry(said, after=retry_after(reply), billed=status in UNCERTAIN)

    def shown(self, text: str) -> str:
        """Return a text of the endpoint, fit to be shown."""
        return redacted(LONG_RUN.sub("…", redact_all(text, self._secrets)))


def redact_all(text: str, secrets: Iterable[str]) -> str:
    """Return the whole text without the secrets; long runs are cut only afterwards."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def spoken(reply: Reply) -> str:
    """Return the status and what an error reply says in words, never its whole body."""
    text = ""
    try:
        text = _words(json.loads(reply.body))
    except (ValueError, RecursionError):
        if reply.headers.get("content-type", "").startswith("text/plain"):
            text = reply.body[:10_000].decode("utf-8", "replace")
    return f"status {reply.status}: {text}" if text.strip() else f"status {reply.status}"


def _words(document: Any, depth: int = 0) -> str:  # noqa: ANN401  JSON
    if isinstance(document, str):
        return document
    if isinstance(document, list) and document and depth < 4:
        return _words(document[0], depth + 1)
    if isinstance(document, dict) and depth < 4:
        keys = [*TEXT_KEYS[:-1], "msg", "error", "errors"]
        found = [_words(document[key], depth + 1) for key in keys if key in document]
        return " ".join(dict.fromkeys(text for text in found if text))
    return ""


def retry_after(reply: Reply) -> float | None:
    """Return the seconds that a Retry-After header names, as a number or as a date."""
    given = reply.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", given):
        return float(given)
    try:
        then = parsedate_to_datetime(given).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    try:  # by the endpoint's own clock, which may differ from ours
        now = parsedate_to_datetime(reply.headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        now = time.time()
    return max(0.0, then - now)


def of_exception(error: Exception) -> Retry | StopError:
    """Return what an exception of httpx, or of the sockets below it, means.

    Its text is never used: it may hold a header or an address.
    """
    if _about_certificate(error):
        return CallRejected(
            "the endpoint's TLS certificate cannot be verified: if it is signed by an authority of "
            "your own, name its file in the profile (ca_file)"
        )
    for kind, meaning in MEANINGS:
        if isinstance(error, kind):
            return meaning
    return CallRejected(f"the call cannot be made ({type(error).__name__})")


UNSENDABLE = CallRejected("the call cannot be sent as the profile describes it: look at its url")
LOST = Retry("the connection was lost", billed=True)

# The first that fits counts. What may have reached the endpoint may have been billed.
MEANINGS: tuple[tuple[type[Exception], Retry | StopError], ...] = (
    (httpx.ConnectTimeout, Retry("the endpoint could not be reached in time")),
    (httpx.PoolTimeout, Retry("all connections were busy")),
    (httpx.TimeoutException, Retry("the endpoint did not answer in time", billed=True)),
    (httpx.ConnectError, Retry("the endpoint cannot be reached")),
    (httpx.ProxyError, Retry("the proxy did not connect to the endpoint")),
    (httpx.UnsupportedProtocol, UNSENDABLE),
    (httpx.LocalProtocolError, UNSENDABLE),
    (httpx.TooManyRedirects, CallRejected("the endpoint redirects, which is not followed")),
    (httpx.DecodingError, Retry("the reply cannot be decompressed", billed=True)),
    (httpx.RemoteProtocolError, Retry("the reply was cut, or is no HTTP", billed=True)),
    (httpx.HTTPError, LOST),  # ReadError, WriteError, CloseError and whatever comes
    (TimeoutError, Retry("the endpoint did not answer in time", billed=True)),
    (OSError, LOST),
)


def _about_certificate(error: BaseException) -> bool:
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None or isinstance(seen, ssl.SSLCertVerificationError):
            break
        seen = seen.__cause__ or seen.__context__
    return isinstance(seen, ssl.SSLCertVerificationError)
