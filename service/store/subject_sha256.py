"""The name of a ledger."""

import hashlib

import rfc8785

from certification.protocols import Header


def subject_sha256(header: Header) -> str:
    """SHA-256 of the canonical subject, the model version included."""
    return hashlib.sha256(rfc8785.dumps(dict(header.subject))).hexdigest()
