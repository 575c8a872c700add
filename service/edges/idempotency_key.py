"""The header Idempotency-Key, and the content that a key stands for.

As in draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
import json
import re
from typing import Any

from fastapi import Request

from service.access.caller import Caller
from service.errors import BadIdempotencyKey

HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
MOST = 255  # characters

# A string of RFC 8941, or what most clients send: the same without quotes.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(r"[!#-+\--:<-\[\]-~]+")  # visible, without " , ; and backslash


def read(request: Request) -> str | None:
    """Return a request's key, None if it has none.

    Raises:
        BadIdempotencyKey: if it cannot be read.
    """
    values = request.headers.getlist(HEADER)
    if not values:
        return None
    text = values[0].strip()
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if len(values) > 1 or not 0 < len(key) <= MOST or not (quoted or _BARE.fullmatch(text)):
        raise BadIdempotencyKey(
            f"send one Idempotency-Key of 1 to {MOST} visible ASCII characters, in double quotes "
            "or bare"
        )
    return key


def caller_of(request: Request) -> str | None:
    """Return the id of the API key that asks: of two callers, each has keys of its own."""
    caller: Caller = request.state.caller
    return caller.key_id


class Content:
    """What a body says, however it is written: a digest of its fields and files, in any order.

    Boundaries, the order of parts and the types that a client gives them do not count.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[str, str | None, str]] = []
        self._name = ""
        self._file: str | None = None
        self._hash = hashlib.sha256()

    def begin(self, name: str, file: str | None) -> None:
        """Begin a part.

        Args:
            name: of its field.
            file: the file's name, None if it is text.
        """
        self._name, self._file, self._hash = name, file, hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Go on with a part."""
        self._hash.update(data)

    def end(self) -> None:
        """End a part."""
        self._parts.append((self._name, self._file, self._hash.hexdigest()))

    def sha256(self) -> str:
        """Return the digest of all parts, in hexadecimal digits."""
        parts = sorted(
            (name, file is not None, file or "", told) for name, file, told in self._parts
        )
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def json_sha256(value: Any) -> str:  # noqa: ANN401  whatever JSON holds
    """Return the digest of a JSON body, however it is written."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def fingerprint(request: Request, content: str) -> str:
    """Return what a request with a key is about.

    Args:
        request: method and path count; all that was asked for stands in the body.
        content: digest of the body's content.
    """
    parts = [request.method, request.url.path, content]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
