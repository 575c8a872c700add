"""The sealed texts of one ledger, and how it is said that one of them is not as written."""

from certification.errors import LedgerDamaged
from service.store.seals import Seals

CALLED = {
    "header": "header",
    "end": "end (length, last MAC, revealed or not)",
    "alpha": "alpha",
    "vouched": "vouched length",
}
"""By the field of the ledger's hash."""


class LedgerSeals:
    """See the module's text.

    Args:
        seals: of the deployment.
        subject: SHA-256 of the subject.
        keeper: id of the secret that it is sealed with.
    """

    def __init__(self, seals: Seals, subject: str, keeper: str) -> None:
        self._seals, self._subject, self._keeper = seals, subject, keeper

    def seal(self, text: str, field: str) -> bytes:
        """Seal what stands in a field."""
        return self._seals.seal(text, field, self._subject, by=self._keeper)

    def unseal(self, sealed: bytes | None, field: str) -> str:
        """Return what stands in a field.

        Raises:
            LedgerDamaged: if there is nothing, or something else than was written.
            LedgerConflict: if its secret is not known here.
        """
        if sealed is None:
            raise self.damaged(f"its {CALLED[field]} is gone")
        try:
            return self._seals.unseal(sealed, field, self._subject, conflict=True)
        except LedgerDamaged:
            raise self.damaged(f"its {CALLED[field]} is not as written") from None

    def named(self, label: str, name: str) -> bytes:
        """Seal how the provider writes a label."""
        return self._seals.seal(name, "name", self._subject, label, by=self._keeper)

    def spelling(self, label: str, sealed: bytes) -> str:
        """Return how the provider writes a label.

        Raises:
            LedgerDamaged: if that is not what was written.
            LedgerConflict: if its secret is not known here.
        """
        try:
            return self._seals.unseal(sealed, "name", self._subject, label, conflict=True)
        except LedgerDamaged:
            raise self.damaged(f"the name of its label {label[:80]!r} is not as written") from None

    def damaged(self, what: str) -> LedgerDamaged:
        """Return the error that says what of the ledger is not as it was written."""
        return damaged(self._subject, what)


def damaged(subject: str, what: str) -> LedgerDamaged:
    """Return the error that says what of a ledger is not as it was written."""
    return LedgerDamaged(
        f"the ledger {subject[:16]}… is damaged: {what}. Nothing is asked or counted until the "
        "store is restored from a backup"
    )
