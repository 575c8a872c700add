"""The connection to the store: every answer or every error of it comes through here.

Two manners: `brisk` for requests, which are told at once that the store is away, and `patient`
for runs, whose votes are paid for, and which wait until it is back.
"""

import asyncio
import contextlib
import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

import structlog
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from service.errors import ConfigurationError, StoreDenied, StoreUnavailable
from service.store.refusals import mapped
from service.store.scripts import SCRIPTS

T = TypeVar("T")

Command = Callable[[Any], Awaitable[T]]
"""Is given the client of redis-py, whose annotations leave open whether it answers in bytes."""

CONNECT_SECONDS, ANSWER_SECONDS = 2.0, 5.0
BRISK_SECONDS = 10.0  # for one thing in all, the wait for a connection included
CONNECTIONS = 64  # so many commands are on their way at a time; the others wait
PING_MILLISECONDS = 1_000  # that what a ping writes stays
MOST_WAITING = 5_000  # brisk ones
FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0
_UNBOUNDED = 1 << 30  # `CONNECTIONS` is the bound; redis-py's would fail where ours waits

log = structlog.get_logger("surety.store")


class Server(Protocol):
    """A server of our own, which is started again when it has died."""

    def start(self) -> str:
        """Start or adopt it; return the path of its socket."""
        ...

    def stop(self) -> None:
        """Stop it, if nobody else uses it."""
        ...

    def check(self) -> None:
        """See that it has room for what is written now, or raise StoreUnavailable."""
        ...


class Store:
    """One process's connection. Used from one event loop.

    Args:
        url: of a server, None for the one of our own.
        prefix: before every key.
        server: our own, where there is no url.

    Attributes:
        answered: when it last did what this process asked for, on the monotonic clock.
    """

    def __init__(self, url: str | None, prefix: str, server: Server | None = None) -> None:
        self._url, self.prefix, self._server = url, prefix, server
        self._client: Redis | None = None
        self._scripts: dict[str, Any] = {}
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._tells_nothing = False  # of its memory
        self._waiting = 0  # brisk ones
        self._reviving: asyncio.Task[None] | None = None
        self._away = self._denied = False
        self.answered = -math.inf

    async def open(self) -> None:
        """Connect, and see that all is permitted that will be needed.

        Raises:
            ConfigurationError: if the address is none, a server of our own cannot start, or the
                server refuses the user, the password or a command.
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
                max_connections=_UNBOUNDED,
            )
        except ValueError:
            # What the client says of it may hold the password, or a part of it.
            raise ConfigurationError(
                # pragma: allowlist nextline secret
                "SURETY_REDIS_URL is no address of a server: write redis://USER:PASSWORD@HOST:PORT"
                ", rediss://… or unix://…, and in a password %2F for /, %40 for @ and so on"
            ) from None
        own = self._client.connection_pool.max_connections  # the address may have one
        self._turns = asyncio.Semaphore(min(CONNECTIONS, own))
        register = self._client.register_script
        self._scripts = {name: register(text) for name, text in SCRIPTS.items()}
        try:
            await self.brisk_script("probe", [self.key("probe", secrets.token_hex(8))], [])
        except StoreDenied as error:
            raise ConfigurationError(str(error)) from None

    async def close(self) -> None:
        """Disconnect; a server of our own ends with its last user."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)

    async def ping(self) -> None:
        """See that it takes what is written, now.

        Raises:
            StoreError: if it is away, or does not.
        """
        if self._server is not None:  # asked first: a write that finds no room ends it
            await asyncio.to_thread(self._server.check)
        name = self.key("ping", secrets.token_hex(8))
        await self.brisk(lambda redis: redis.set(name, b"", px=PING_MILLISECONDS))

    async def now(self) -> float:
        """Return the time of the store's own clock, seconds since 1970.

        Raises:
            StoreError: if the store is away.
        """
        seconds, microseconds = await self.brisk(lambda redis: redis.time())
        return float(seconds) + float(microseconds) / 1e6

    async def memory(self) -> dict[str, int]:
        """Return the bytes of memory that the server has `used`, and the `most` it may, if bounded.

        Empty where it does not tell this user, or is away: nothing hangs on it, so it is no sign
        of the store's state.
        """
        if self._client is None or self._tells_nothing:
            return {}
        try:
            async with asyncio.timeout(BRISK_SECONDS):
                told = await self._client.info("memory")
        except exceptions.ResponseError:  # that of a missing permission is one too
            self._tells_nothing = True
            return {}
        except (exceptions.RedisError, OSError, TimeoutError):
            return {}
        found = {"used": told.get("used_memory"), "most": told.get("maxmemory")}
        return {name: count for name, count in found.items() if isinstance(count, int) and count}

    def key(self, *parts: str) -> str:
        """Return a key of this deployment."""
        return self.prefix + ":".join(parts)

    async def brisk(self, work: Command[T]) -> T:
        """Do something now, or say soon that the store is away.

        Raises:
            StoreError: see its tree.
        """
        try:
            async with self._counted(), asyncio.timeout(BRISK_SECONDS):
                try:
                    return await self._once(work)
                except StoreUnavailable:
                    if self._server is None:
                        raise
                await self._revive()
                return await self._once(work)
        except TimeoutError:
            raise StoreUnavailable(
                f"the store did not answer within {BRISK_SECONDS:g} s. Try again in a moment"
            ) from None

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

    async def swap(self, name: str, field: str, before: bytes | None, after: bytes) -> bool:
        """Change a field of a hash if it is still as it was read; tells whether it is so now.

        Args:
            name: the hash's key.
            field: of it.
            before: what was read; None for no such field.
            after: what shall be there.
        """
        return bool(await self.script("swap", [name], [field, before or b"", after]))

    @contextlib.asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        if self._waiting >= MOST_WAITING:
            raise StoreUnavailable("too many requests wait for the store. Try again in a moment")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _once(self, work: Command[T]) -> T:
        async with self._turns:
            if self._client is None:
                raise StoreUnavailable("the store is closed")
            task = asyncio.current_task()
            asked_before = task.cancelling() if task else 0
            try:
                found = await work(self._client)
            except (exceptions.RedisError, OSError) as error:
                _not_cancelled_since(task, asked_before)
                refused = mapped(error)
                if isinstance(refused, StoreDenied) and not self._denied:
                    self._denied = True
                    log.error("the store refuses this deployment", error=str(refused))
                raise refused from error
            _not_cancelled_since(task, asked_before)
        self.answered = time.monotonic()
        if self._away or self._denied:
            self._away = self._denied = False
            log.info("the store is back")
        return found

    async def _revive(self) -> None:
        """See that a server of our own runs; whoever killed it."""
        if self._reviving is None or self._reviving.done():
            self._reviving = asyncio.create_task(self._start_again())
        await asyncio.shield(self._reviving)  # others may wait for it too

    async def _start_again(self) -> None:
        assert self._server is not None  # noqa: S101
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
