"""What can go wrong in the service itself.

    ServiceError
    ├── ConfigurationError        a setting or the data directory cannot be used
    ├── BadRequest                a field of a request is wrong; names the field
    │   └── BadTable              a manifest or a file of labels is wrong; names line and column
    ├── BadArchive                an archive cannot be read, or holds no picture
    ├── ArchiveTooLarge           an archive holds more than may be taken in
    ├── UnreadablePicture         one picture of many cannot be read; the others can
    ├── UnknownLabel              the provider knows no such label
    ├── NotFound                  nothing of this id
    ├── JobConflict               the job is not in a state for this
    ├── KeyNameTaken              another API key that counts has this name
    ├── AccessDenied              the caller may not do this
    │   ├── Unauthenticated       no API key was shown, or one that does not count
    │   ├── MissingScope          the API key may do other things; names the scope
    │   └── LocalOnly             there are no API keys, and the caller is on another machine
    ├── BudgetSpent               an API key's budget does not pay for the next call
    ├── TooManyRequests           an API key asks faster than it may; says when to come back
    ├── Overloaded                all places are taken; says when to come back
    ├── NoRoom                    the disk is too full for an upload
    ├── StoredTooMuch             the store holds as many pictures of jobs as it may
    ├── BadIdempotencyKey         an Idempotency-Key that cannot be read
    ├── KeyReused                 an Idempotency-Key that belongs to another request
    ├── KeyInUse                  the first request of an Idempotency-Key is being answered
    ├── MissingFormat             results in this format need a package; names the extra
    ├── ShuttingDown              the service ends before the run had an answer
    └── StoreError                the store of ledgers and certificates does not do its part
        ├── StoreUnavailable      it is away, slow, full or takes no writes: try again later
        ├── StoreDenied           it refuses the password or the permission
        └── StoreDamaged          it holds something that was not written by this deployment

Errors of the other packages are mapped beside these in `service.problems`.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime


class ServiceError(Exception):
    """Root of everything that this package raises on purpose."""


class ConfigurationError(ServiceError):
    """A setting or the data directory cannot be used."""


class BadRequest(ServiceError):
    """A field of a request is wrong.

    Attributes:
        field: which one, if one is to blame.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class BadTable(BadRequest):
    """A manifest or a file of labels is wrong.

    Attributes:
        field: "manifest" or "labels".
        line: counted from 1; None if it is about the file as a whole.
        column: name of the column.
    """

    def __init__(
        self, message: str, field: str, line: int | None = None, column: str | None = None
    ) -> None:
        super().__init__(message, field)
        self.line, self.column = line, column


class BadArchive(ServiceError):
    """An archive or a folder cannot be read, or holds no picture."""


class ArchiveTooLarge(ServiceError):
    """An archive, a folder or a manifest holds more than this deployment takes in at once."""


class UnreadablePicture(ServiceError):
    """One picture of many cannot be read, and fails alone."""


class UnknownLabel(ServiceError):
    """The provider knows no such label.

    Attributes:
        field: where it was given.
    """

    def __init__(self, message: str, field: str = "label") -> None:
        super().__init__(message)
        self.field = field


class NotFound(ServiceError):
    """Nothing of this id."""


class JobConflict(ServiceError):
    """The job is not in a state for this."""


class KeyNameTaken(ServiceError):
    """Another API key that counts has this name."""


class AccessDenied(ServiceError):
    """The caller may not do this.

    Attributes:
        headers: of the answer.
    """

    headers: Mapping[str, str] = {}


class Unauthenticated(AccessDenied):
    """No API key was shown, or one that does not count: nobody is told why.

    Args:
        shown: whether there was something that should have been a key.
    """

    def __init__(self, *, shown: bool) -> None:
        none = "show an API key: Authorization: Bearer surety_…"
        wrong = f"the API key is not known here, was revoked or has expired; {none}"
        super().__init__(wrong if shown else none)
        told = ', error="invalid_token"' if shown else ""
        self.headers = {"WWW-Authenticate": f'Bearer realm="surety"{told}'}


class MissingScope(AccessDenied):
    """The API key may do other things, but not this.

    Args:
        scopes: one of them is needed.
        why: more words.
    """

    def __init__(self, scopes: Sequence[str], why: str | None = None) -> None:
        needed = f"this needs an API key with the scope {' or '.join(scopes)}"
        super().__init__(needed if why is None else f"{why}: {needed}")
        told = f'error="insufficient_scope", scope="{" ".join(scopes)}"'
        self.headers = {"WWW-Authenticate": f'Bearer realm="surety", {told}'}


class LocalOnly(AccessDenied):
    """There are no API keys, and the caller is on another machine."""


class BudgetSpent(ServiceError):
    """The budget of an API key does not pay for the next call.

    Attributes:
        renewed: when it is renewed; None if it never is.
    """

    def __init__(self, message: str, renewed: datetime | None = None) -> None:
        super().__init__(message)
        self.renewed = renewed

    @property
    def retry_after(self) -> int | None:
        """Seconds until it is renewed, at least 1; None if it never is."""
        if self.renewed is None:
            return None
        return max(1, math.ceil((self.renewed - datetime.now(UTC)).total_seconds()))


class TooManyRequests(ServiceError):
    """An API key asks faster than it may.

    Attributes:
        retry_after: seconds.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class MissingFormat(ServiceError):
    """A package is missing that writes results in this format; the message names the extra."""


class ShuttingDown(ServiceError):
    """The service ends before the run had an answer."""

    retry_after = 5


class StoreError(ServiceError):
    """The store of ledgers and certificates does not do its part."""


class StoreUnavailable(StoreError):
    """The store is away, slow, full or takes no writes: nothing is lost, try again later."""

    retry_after = 5


class StoreDenied(StoreError):
    """The store refuses the password or the permission."""


class StoreDamaged(StoreError):
    """The store holds something that was not written by this deployment."""


class NoRoom(ServiceError):
    """The disk is too full for an upload."""

    retry_after = 60


class StoredTooMuch(ServiceError):
    """The store holds as many pictures of jobs as it may, of all or of one API key."""

    retry_after = 3600  # past their time they go every hour


class BadIdempotencyKey(ServiceError):
    """An Idempotency-Key that cannot be read."""


class KeyReused(ServiceError):
    """An Idempotency-Key that belongs to another request."""


class KeyInUse(ServiceError):
    """The first request of an Idempotency-Key is being answered.

    Attributes:
        run: path of the run that it has begun, None if it has begun none.
    """

    retry_after = 5

    def __init__(self, message: str, run: str | None = None) -> None:
        super().__init__(message)
        self.run = run


class Overloaded(ServiceError):
    """All places are taken: of runs, uploads, streams or connections.

    Attributes:
        retry_after: seconds.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
