"""What an error of the client or of the server is to us."""

import re
from collections.abc import Iterator, Mapping

from redis import exceptions

from service.errors import StoreDamaged, StoreDenied, StoreError, StoreUnavailable

TABLE: Mapping[type[Exception], type[StoreError]] = {
    exceptions.RedisError: StoreError,
    exceptions.ConnectionError: StoreUnavailable,
    exceptions.TimeoutError: StoreUnavailable,
    exceptions.BusyLoadingError: StoreUnavailable,
    exceptions.MaxConnectionsError: StoreUnavailable,
    exceptions.AuthenticationError: StoreDenied,
    exceptions.AuthenticationWrongNumberOfArgsError: StoreDenied,
    exceptions.AuthorizationError: StoreDenied,
    exceptions.ExternalAuthProviderError: StoreDenied,
    exceptions.NoPermissionError: StoreDenied,
    exceptions.ResponseError: StoreError,
    exceptions.ExecAbortError: StoreUnavailable,  # a command of it was refused, as when it is full
    exceptions.ReadOnlyError: StoreUnavailable,
    exceptions.OutOfMemoryError: StoreUnavailable,
    exceptions.ClusterError: StoreUnavailable,
    exceptions.ClusterDownError: StoreUnavailable,
    exceptions.MasterDownError: StoreUnavailable,
    exceptions.TryAgainError: StoreUnavailable,
    OSError: StoreUnavailable,
}
"""By the nearest class above an error in redis-py's tree."""

PREFIXES: Mapping[str, type[StoreError]] = {
    "READONLY": StoreUnavailable,
    "OOM": StoreUnavailable,
    "MISCONF": StoreUnavailable,
    "NOREPLICAS": StoreUnavailable,
    "LOADING": StoreUnavailable,
    "BUSY": StoreUnavailable,
    "MASTERDOWN": StoreUnavailable,
    "CLUSTERDOWN": StoreUnavailable,
    "TRYAGAIN": StoreUnavailable,
    "NOAUTH": StoreDenied,
    "WRONGPASS": StoreDenied,
    "NOPERM": StoreDenied,
    "ACL": StoreDenied,  # "ACL failure in script": what a script may not do
    "WRONGTYPE": StoreDamaged,
}
"""By the word that a server's own error begins with, which redis-py hands on as it is."""

WORDS: Mapping[type[StoreError], str] = {
    StoreUnavailable: "the store of ledgers and certificates is away, full or takes no writes "
    "({told}). Try again in a moment",
    StoreDenied: "the store refuses the user, the password or the permissions of "
    "SURETY_REDIS_URL ({told}). Nothing is done until they are mended, in that setting or on the "
    "server (ACL)",
    StoreDamaged: "the store holds something else than this deployment has written ({told})",
    StoreError: "the store answers with an error that nobody expected ({told})",
}


def mapped(error: Exception) -> StoreError:
    """Return what an error of the client or of the server is to us."""
    found = [_kind(one) for one in _chain(error)]
    # redis-py tells of a wrong password by an error of the connection that it caused.
    kind, told = next((one for one in found if one[0] is StoreDenied), found[0])
    return kind(WORDS[kind].format(told=told))


def _kind(error: BaseException) -> tuple[type[StoreError], str]:
    # In a transaction redis-py puts "Command # 1 (…) of pipeline caused error: " before it.
    found = re.match(r"\W*([A-Z]+)\b", str(error).rpartition(" caused error: ")[2])
    word = found[1] if found else ""
    kind = PREFIXES.get(word) if isinstance(error, exceptions.ResponseError) else None
    if kind is None:
        kind = next((TABLE[c] for c in type(error).__mro__ if c in TABLE), StoreError)
    # The server's own word is told, and no more: its text may hold an address or a user.
    return kind, word or type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
