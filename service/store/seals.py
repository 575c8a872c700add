"""Seals: small texts that only this deployment can have written.

    secret id . HMAC-SHA256 . text

The MAC covers what the text is about, so that none can be put in another's place.
"""

import hmac
from collections.abc import Mapping

from certification.deployment_secret import secret_id
from certification.errors import LedgerConflict, LedgerDamaged


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

    def seal(self, text: str, *about: str, by: str | None = None) -> bytes:
        """Seal a text.

        Args:
            text: is readable for everybody.
            about: what it is and what it belongs to.
            by: id of the secret; None for the present one.
        """
        name = by or self._id
        return f"{name}.{self._mac(name, text, about)}.{text}".encode()

    def unseal(self, sealed: bytes, *about: str, conflict: bool = False) -> str:
        """Return a sealed text.

        Args:
            sealed: as it is kept.
            about: what it is and what it belongs to.
            conflict: whether to tell apart what a secret that is not known here may have sealed.

        Raises:
            LedgerDamaged: if this deployment did not write it, about this.
            LedgerConflict: if `conflict`, and a secret that is not known here may have sealed it.
        """
        try:
            name, mac, text = sealed.decode().split(".", 2)
        except ValueError:
            name, mac, text = "", "", ""
        told, entry = mac.encode(), f"the store's entry {' '.join(about)[:120]!r}"
        if name in self._secrets:
            if hmac.compare_digest(self._mac(name, text, about).encode(), told):
                return text
        elif _is_hex(name, 16) and _is_hex(mac, 64):
            # Where a secret of ours gives the MAC, only its id was changed.
            ours = (self._mac(known, text, about) for known in self._secrets)
            if not any(hmac.compare_digest(one.encode(), told) for one in ours):
                kind = LedgerConflict if conflict else LedgerDamaged
                raise kind(
                    f"{entry} was written under another deployment secret ({name}): give the "
                    "service that secret again (SURETY_OLD_SECRETS)"
                )
        raise LedgerDamaged(f"{entry} is not as written")

    def by(self, sealed: bytes) -> str:
        """Return the id of the secret that a text which could be unsealed was sealed with."""
        return sealed.partition(b".")[0].decode()

    def _mac(self, name: str, text: str, about: tuple[str, ...]) -> str:
        parts = ["surety seal", *about, text]
        said = b"".join(len(p).to_bytes(8, "big") + p for p in (x.encode() for x in parts))
        return hmac.digest(self._secrets[name], said, "sha256").hex()


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and set(text) <= set("0123456789abcdef")
