"""The text that a client shows: surety_ID_SECRET.

ID is 16 hexadecimal digits, SECRET 64, which are 256 random bits: nothing that a person chose, so
that a plain hash of it gives nothing away. The beginning is the same for all, so that scanners of
source code know one when they see it.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Self

PREFIX = "surety_"
PATTERN = "surety_[0-9a-f]{16}_[0-9a-f]{64}"
_TOKEN = re.compile("surety_([0-9a-f]{16})_([0-9a-f]{64})")
SHOWN = re.compile("(surety_[0-9a-f]{16})_[0-9a-f]{16,}")
"""A key, or the larger part of one, wherever it stands."""


@dataclass(frozen=True)
class Token:
    """A key's id and secret.

    Attributes:
        key_id: names the key.
        secret: never printed with it.
    """

    key_id: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls, key_id: str | None = None) -> Self:
        """Return one with a new secret.

        Args:
            key_id: of the key; None for a new one.
        """
        return cls(key_id or secrets.token_hex(8), secrets.token_hex(32))

    @classmethod
    def of(cls, text: str) -> Self | None:
        """Read what a client shows; None if it is none."""
        found = _TOKEN.fullmatch(text)
        return None if found is None else cls(found[1], found[2])

    @property
    def text(self) -> str:
        """What a client shows."""
        return f"{PREFIX}{self.key_id}_{self.secret}"

    @property
    def digest(self) -> str:
        """What is kept of it: SHA-256 of the whole, in hexadecimal digits."""
        return hashlib.sha256(f"surety API key {self.text}".encode()).hexdigest()


def is_id(text: str) -> bool:
    """Tell whether a text may be a key's id."""
    return re.fullmatch("[0-9a-f]{16}", text) is not None


def scrubbed(text: str) -> str:
    """Return a text with the secrets of the keys in it blotted out."""
    return SHOWN.sub(r"\1_…", text)
