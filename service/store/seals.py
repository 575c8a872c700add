"""Seals: small texts that only this deployment can have written.

    secret id . HMAC-SHA256 . text

The MAC covers what the text is about, so that none can be put in another's place.
"""

import hmac
from collections.abc import Mapping

from certification.deployment_secret import secret_id
from certification.errors import LedgerDamaged


class Seals:
    """Writes and reads sealed texts.

    Args:
        secret: the deployment's present one.
        old: those before it, by id: what they sealed stays readable.
    """

    def __init__(self, secret: bytes, old: Mapping[str, bytes]) -> None:
        self._id = secret_id(secret)
        self._secrets = {**old, self._id: secret}

    @property
    def secrets(self) -> Mapping[str, bytes]:
        """All known secrets, by id."""
        return self._secrets

    @property
    def current(self) -> str:
        """Id of the present secret."""
        return self._id

    def seal(self, text: str, *about: str) -> bytes:
        """Seal a text.

        Args:
            text: is readable for everybody.
            about: what it is and what it belongs to.
        """
        return f"{self._id}.{self._mac(self._id, text, about)}.{text}".encode()

    def unseal(self, sealed: bytes, *about: str) -> str:
        """Return a sealed text.

        Raises:
            LedgerDamaged: if this deployment did not write it, about this.
        """
        try:
            name, mac, text = sealed.decode().split(".", 2)
        except ValueError:
            name, mac, text = "", "", ""
        expected = self._mac(name, text, about) if name in self._secrets else ""
        if not expected or not hmac.compare_digest(expected.encode(), mac.encode()):
            raise LedgerDamaged(f"the store's entry {' '.join(about)[:120]!r} is not as written")
        return text

    def _mac(self, name: str, text: str, about: tuple[str, ...]) -> str:
        parts = ["surety seal", *about, text]
        said = b"".join(len(p).to_bytes(8, "big") + p for p in (x.encode() for x in parts))
        return hmac.digest(self._secrets[name], said, "sha256").hex()
