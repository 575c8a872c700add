"""What can go wrong while certifying.

    CertificationError
    ├── InvalidParameter          a number or an option outside its range (also a ValueError)
    ├── ImageError                the upload cannot become a canonical image
    │   ├── NotAnImage            unknown format, truncated or damaged data
    │   ├── ImageTooLarge         too many bytes or pixels
    │   └── UnsupportedImage      an image, but not one picture of usable shape
    ├── LedgerConflict            the ledger of this subject was begun with other fixed choices
    │   └── LedgerSealed          its noise key was revealed: it takes no more votes
    ├── LedgerDamaged             a ledger is not what was written: it is used no further
    ├── LedgerUnavailable         the store of the ledgers cannot be reached, or takes nothing
    ├── ClaimLost                 another worker has taken this subject over in the meantime
    ├── RunInterrupted            cancelled, or past its deadline, before there was any answer
    ├── ModelVersionChanged       the provider changed its model during the run, which voids it
    └── ProviderFailed            the provider could not be asked to the end
        └── ProviderUnreliable    it kept failing on one sample, which may never be skipped

    StopRun                       what a classifier raises on purpose: asking again would not help

Every message says what was wrong and how to mend it, and is safe to show to a client.
"""


class CertificationError(Exception):
    """Root of everything that this package raises on purpose."""


class InvalidParameter(CertificationError, ValueError):
    """A number or an option lies outside its documented range.

    Attributes:
        field: the option to blame, as `certification.options` names it; None if it is not clear.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ImageError(CertificationError):
    """The upload cannot become a canonical image."""


class NotAnImage(ImageError):
    """The data are no picture of a known format, or are truncated or damaged."""


class ImageTooLarge(ImageError):
    """The picture has more bytes or pixels than this deployment accepts."""


class UnsupportedImage(ImageError):
    """A readable picture that cannot be certified: animated, or too elongated."""


class LedgerConflict(CertificationError):
    """A ledger's fixed choices (milestone, predict n) cannot be changed after vote 0."""


class LedgerSealed(LedgerConflict):
    """The noise key of this ledger was revealed, so that nobody may add votes any more."""


class LedgerDamaged(CertificationError):
    """A ledger is not what was written: it was changed from outside, or damaged."""


class LedgerUnavailable(CertificationError):
    """The store of the ledgers cannot be reached, or takes nothing."""


class ClaimLost(CertificationError):
    """Another worker has taken this subject over, since this one had seemed dead."""


class RunInterrupted(CertificationError):
    """The run was cancelled, or reached its deadline, before there was any answer."""


class ModelVersionChanged(CertificationError):
    """The provider answered with two model versions in one run."""


class ProviderFailed(CertificationError):
    """The provider cannot be asked any further; the votes so far stay in the ledger."""


class StopRun(Exception):
    """What a classifier raises on purpose. Adapters derive theirs from it (see their own tree)."""


class ProviderUnreliable(ProviderFailed):
    """One sample kept failing. It may not be skipped, since failures may depend on the image."""
