"""The connection to the store: every answer or every error of it comes through here.

Two manners: `brisk` for requests, which are told at once that the store is away, and `patient`
for runs, whose votes are paid for, and which wait until it is back.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

import structlog
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from service.errors import (
    ConfigurationError,
    StoreDamaged,
    StoreDenied,
    StoreError,
    StoreUnavailable,
)
from service.store.scripts import SCRIPTS

T = TypeVar("T")

Command = Callable[[Any], Awaitable[T]]
"""Is given the client of redis-py, whose annotations leave open whether it answers in bytes."""

CONNECT_SECONDS, ANSWER_SECONDS = 2.0, 5.0
FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0

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
    "WRONGTYPE": StoreDamaged,
}
"""By the word that a server's own error begins with, which redis-py hands on as it is."""

WORDS: Mapping[type[StoreError], str] = {
    StoreUnavailable: "the store of ledgers and certificates is away, full or takes no writes",
    StoreDenied: "the store refuses the password or the permission of SURETY_REDIS_URL",
    StoreDamaged: "the store holds something else than this deployment has written",
    StoreError: "the store answers with an error that nobody expected",
}

log = structlog.get_logger("surety.store")


class Server(Protocol):
    """A server of our own, which is started again when it has died."""

    def start(self) -> str:
        """Start or adopt it; return the path of its socket."""
        ...

    def stop(self) -> None:
        """Stop it, if nobody else uses it."""
        ...


def mapped(error: Exception) -> StoreError:
    """Return what an error of the client or of the server is to us."""
    # In a transaction redis-py puts "Command # 1 (…) of pipeline caused error: " before it.
    found = re.match(r"\W*([A-Z]+)\b", str(error).rpartition(" caused error: ")[2])
    word = found[1] if found else ""
    kind = PREFIXES.get(word) if isinstance(error, exceptions.ResponseError) else None
    if kind is None:
        kind = next((TABLE[c] for c in type(error).__mro__ if c in TABLE), StoreError)
    # The server's own word is told, and no more: its text may hold an address or a user.
    told = word or type(error).__name__
    return kind(f"{WORDS[kind]} ({told}). Try again in a moment")


class Store:
    """One process's connection. Used from one event loop.

    Args:
        url: of a server, None for the one of our own.
        prefix: before every key.
        server: our own, where there is no url.
    """

    def __init__(self, url: str | None, prefix: str, server: Server | None = None) -> None:
        self._url, self.prefix, self._server = url, prefix, server
        self._client: Redis | None = None
        self._scripts: dict[str, Any] = {}
        self._reviving = asyncio.Lock()
        self._away = False

    async def open(self) -> None:
        """Connect.

        Raises:
            ConfigurationError: if the address is none, or a server of our own cannot start.
            StoreError: if the server does not answer.
        """
        url = self._url or ""
        if self._server is not None:
            url = "unix://" + await asyncio.to_thread(self._server.start)
        try:
            self._client = Redis.from_url(
                url,
                socket_connect_timeout=CONNECT_SECONDS,
                socket_timeout=ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 1),  # a connection that went stale unused
            )
        except ValueError as error:
            # The address may hold a password: only the reason is told.
            raise ConfigurationError(f"SURETY_REDIS_URL is no address: {error}") from None
        register = self._client.register_script
        self._scripts = {name: register(text) for name, text in SCRIPTS.items()}
        await self.brisk(lambda redis: redis.ping())

    async def close(self) -> None:
        """Disconnect; a server of our own ends with its last user."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)

    def key(self, *parts: str) -> str:
        """Return a key of this deployment."""
        return self.prefix + ":".join(parts)

    async def brisk(self, work: Command[T]) -> T:
        """Do something now, or say at once that the store is away.

        Raises:
            StoreError: see its tree.
        """
        try:
            return await self._once(work)
        except StoreUnavailable:
            if self._server is None:
                raise
        await self._revive()
        return await self._once(work)

    async def patient(self, work: Command[T]) -> T:
        """Do something as soon as the store is there; `work` may be begun several times.

        Raises:
            StoreError: if it is there and refuses.
        """
        wait = FIRST_WAIT
        while True:
            try:
                return await self._once(work)
            except StoreUnavailable as error:
                if not self._away:
                    self._away = True
                    log.warning("the store is away: runs wait for it", error=str(error))
            if self._server is not None:
                await self._revive()
            await asyncio.sleep(wait)
            wait = min(LONGEST_WAIT, 2 * wait)

    async def script(self, name: str, keys: list[str], args: list[Any]) -> Any:  # noqa: ANN401
        """Run one of our scripts, patiently: all of it or nothing is done."""
        return await self.patient(lambda _: self._scripts[name](keys, args))

    async def brisk_script(self, name: str, keys: list[str], args: list[Any]) -> Any:  # noqa: ANN401
        """Run one of our scripts now."""
        return await self.brisk(lambda _: self._scripts[name](keys, args))

    async def _once(self, work: Command[T]) -> T:
        if self._client is None:
            raise StoreUnavailable("the store is closed")
        task = asyncio.current_task()
        asked_before = task.cancelling() if task else 0
        try:
            found = await work(self._client)
        except (exceptions.RedisError, OSError) as error:
            _not_cancelled_since(task, asked_before)
            raise mapped(error) from error
        _not_cancelled_since(task, asked_before)
        if self._away:
            self._away = False
            log.info("the store is back")
        return found

    async def _revive(self) -> None:
        """See that a server of our own runs; whoever killed it."""
        assert self._server is not None  # noqa: S101
        async with self._reviving:
            try:
                await asyncio.to_thread(self._server.start)
            except ConfigurationError as error:
                log.warning("the store does not start", error=str(error))


def _not_cancelled_since(task: asyncio.Task[Any] | None, asked_before: int) -> None:
    """Raise what redis-py may have swallowed: a task that was cancelled while it connected.

    Raises:
        CancelledError: if the task was asked to end in the meantime.
    """
    if task is not None and task.cancelling() > asked_before:
        raise asyncio.CancelledError
