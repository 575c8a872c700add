"""Checks AWS's request signatures, version 4, in the words in which AWS refuses them."""

import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote

ALGORITHM = "AWS4-HMAC-SHA256"
STAMP = "%Y%m%dT%H%M%SZ"
WINDOW = datetime.timedelta(minutes=5)
NEEDED = ("Credential", "SignedHeaders", "Signature")


class Rejected(Exception):
    """A signature is not accepted.

    Args:
        code: AWS's name of it.
        message: in AWS's words.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check(
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Mapping[str, str],
    region: str,
    service: str,
    ahead: float = 0.0,
) -> None:
    """Check a request.

    Args:
        method: of HTTP.
        path: as it was sent.
        query: as it was sent.
        headers: looked up whatever their case.
        body: what was sent.
        credentials: access key id → secret access key.
        region: that has to be signed for.
        service: likewise.
        ahead: seconds that the clock here is ahead of this machine's.

    Raises:
        Rejected: if it is not accepted.
    """
    authorization = headers.get("Authorization")
    if not authorization:
        raise Rejected("MissingAuthenticationTokenException", "Missing Authentication Token")
    algorithm, _, rest = authorization.partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    stamp = headers.get("X-Amz-Date", "")
    scope = parts.get("Credential", "").split("/")
    if algorithm != ALGORITHM or not all(parts.get(name) for name in NEEDED) or len(scope) != 5:
        missing = " ".join(
            f"Authorization header requires '{name}' parameter."
            for name in NEEDED
            if not parts.get(name)
        )
        raise Rejected(
            "IncompleteSignatureException",
            missing or "Credential must have 5 slash-separated parts",
        )
    key_id, day, its_region, its_service, _ = scope
    secret = credentials.get(key_id)
    if secret is None:
        raise Rejected(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )
    _check_date(stamp, ahead)
    if its_region != region or its_service != service or not stamp.startswith(day):
        raise Rejected(
            "InvalidSignatureException",
            f"Credential should be scoped to a valid region and to service: '{service}'.",
        )
    names = parts["SignedHeaders"].split(";")
    signed = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names)
    canonical = "\n".join(
        (
            method,
            path,
            _canonical_query(query),
            signed,
            parts["SignedHeaders"],
            hashlib.sha256(body).hexdigest(),
        )
    )
    to_sign = "\n".join(
        (
            ALGORITHM,
            stamp,
            "/".join(scope[1:]),
            hashlib.sha256(canonical.encode()).hexdigest(),
        )
    )
    key = f"AWS4{secret}".encode()
    for step in (*scope[1:], to_sign):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    if "host" not in names or not hmac.compare_digest(key.hex(), parts["Signature"]):
        raise Rejected(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check "
            "your AWS Secret Access Key and signing method. Consult the service documentation for "
            "details.",
        )


def _check_date(stamp: str, ahead: float) -> None:
    if not re.fullmatch(r"\d{8}T\d{6}Z", stamp):
        raise Rejected(
            "IncompleteSignatureException",
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        )
    made = datetime.datetime.strptime(stamp, STAMP).replace(tzinfo=datetime.UTC)
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=ahead)
    if made < now - WINDOW:
        raise Rejected(
            "InvalidSignatureException",
            f"Signature expired: {stamp} is now earlier than {(now - WINDOW).strftime(STAMP)} "
            f"({now.strftime(STAMP)} - 5 min.)",
        )
    if made > now + WINDOW:
        raise Rejected(
            "InvalidSignatureException",
            f"Signature not yet current: {stamp} is still later than "
            f"{(now + WINDOW).strftime(STAMP)} ({now.strftime(STAMP)} + 5 min.)",
        )


def _canonical_query(query: str) -> str:
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs
    )
