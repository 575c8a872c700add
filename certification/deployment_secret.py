"""The deployment secret: 32 random bytes that all noise keys are derived from.

Its id may be shown: the secret is as long as the hash, so nobody can guess it from there.
"""

import hashlib

LENGTH = 32
ID_DIGITS = 16


def secret_id(secret: bytes) -> str:
    """Name a secret: the first 64 bits of a SHA-256, as hexadecimal digits."""
    return hashlib.sha256(b"surety secret\0" + secret).hexdigest()[:ID_DIGITS]
