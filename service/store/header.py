"""A ledger's header as bytes, and back."""

import json
from collections.abc import Mapping
from typing import Any

import rfc8785

from certification.protocols import CleanAnswer, Header


def describe(header: Header) -> dict[str, Any]:
    """Return JSON values."""
    return {
        "subject": dict(header.subject),
        "clean": {"vote": header.clean.vote, "model_version": header.clean.model_version},
        "milestone": header.milestone,
        "predict_n": header.predict_n,
        "key_sha256": header.key_sha256,
        "secret_id": header.secret_id,
    }


def described(found: Mapping[str, Any]) -> Header:
    """Return the header that JSON values describe.

    Raises:
        KeyError, TypeError: if it is none.
    """
    return Header(
        subject=found["subject"],
        clean=CleanAnswer(found["clean"]["vote"], found["clean"]["model_version"]),
        milestone=found["milestone"],
        predict_n=found["predict_n"],
        key_sha256=found["key_sha256"],
        secret_id=found["secret_id"],
    )


def to_bytes(header: Header) -> bytes:
    """Write a header in its canonical form."""
    return rfc8785.dumps(describe(header))


def from_bytes(data: bytes) -> Header:
    """Read a header.

    Raises:
        ValueError, KeyError, TypeError: if it is none.
    """
    return described(json.loads(data))
