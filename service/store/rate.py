"""Rate limits that all processes of a deployment keep to together.

    rate:NAME       the window of one account, or of one job: see scripts/rate.lua

The store decides, by its own clock; how long to wait it says in seconds, which this process then
counts by its own. A call needs one command while the limit is not reached, and a second one to
start when it had to wait for its place. While the store is away calls wait: none is made without a
place.
"""

import asyncio
import contextlib
import hmac
import itertools
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from adapters.policy.limit import largest_call
from adapters.policy.window import SAFETY
from certification.protocols import Traits
from service.errors import StoreError
from service.store.connection import Store

MICROSECOND = 1e-6


class RedisLimits:
    """The shared limits of a deployment.

    Args:
        store: the connection.
        secret: the deployment's. An account's name is made of its credential, so the store is
            told a name that cannot be guessed at without the secret.
    """

    def __init__(self, store: Store, secret: bytes) -> None:
        self._store, self._secret = store, secret
        self._tasks: set[asyncio.Task[None]] = set()

    def of_account(self, account: str, traits: Traits) -> "SharedLimit | None":
        """Return the limit of an account; None if its rate is not known.

        Args:
            account: as `adapters.interface.Adapter.account` tells it.
            traits: what this process knows of its rate.
        """
        if traits.rate is None:
            return None
        return self._limit(traits.rate, largest_call(traits), "account", account, traits.rate_unit)

    def of_job(self, job: str, rate: float, traits: Traits) -> "SharedLimit":
        """Return the limit of one job, beside that of its account.

        Args:
            job: its id.
            rate: units a second, of `traits.rate_unit`.
            traits: of its provider.
        """
        return self._limit(rate, largest_call(traits), "job", job)

    async def close(self) -> None:
        """Wait until the places of calls that were not made have been given back."""
        while self._tasks:
            await asyncio.wait([*self._tasks])

    def _limit(self, rate: float, largest: int, *about: str) -> "SharedLimit":
        said = "\0".join(("surety rate limit", *about)).encode()
        name = hmac.digest(self._secret, said, "sha256").hex()[:32]
        return SharedLimit(self._store, name, rate, largest, self._tasks)


class SharedLimit:
    """See :class:`adapters.policy.limit.Limit`. Used from one event loop.

    Args:
        store: the connection.
        name: the same in all processes that share the limit.
        rate: units a second.
        largest: units of the largest call.
        tasks: what goes on in the background; whoever closes the store waits for it before.
        clock: microseconds, in place of the store's clock: for tests.

    Attributes:
        closed_until: until then the provider wants to be left alone, as another process has heard.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        rate: float,
        largest: int,
        tasks: set[asyncio.Task[None]] | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self._store, self._key = store, store.key("rate", name)
        self._rate, self._largest = rate, largest
        self._tasks = set() if tasks is None else tasks
        self._clock = clock
        self._tokens = (f"{secrets.token_hex(4)}{number:x}" for number in itertools.count())
        self._to_tell: deque[tuple[Any, ...]] = deque()
        self._telling = False
        self.closed_until = 0.0

    def heed(self, rate: float, largest: int) -> None:
        """See :class:`adapters.policy.limit.Limit`; what other processes know holds as well."""
        self._rate, self._largest = min(rate, self._rate), max(largest, self._largest)

    async def reserve(self, units: int) -> "SharedReservation":
        """See :class:`adapters.policy.limit.Limit`; waits as long as the store is away.

        Raises:
            StoreError: if the store is there and refuses.
        """
        reservation = SharedReservation(self, next(self._tokens), units)
        try:
            await reservation.ask()
        except BaseException:
            reservation.give_back()  # it may have been given, and the answer not awaited
            raise
        return reservation

    def leave_alone(self, seconds: float) -> None:
        """See :class:`adapters.policy.limit.Limit`."""
        self._later("pause", round(seconds / MICROSECOND))

    async def take(self, token: str, units: int) -> tuple[float, bool]:
        """Ask for a place, or for leave to start at the one that was given.

        Args:
            token: of the place; asking twice gives no second one.
            units: what it takes.

        Returns:
            Seconds to wait before asking again, 0 if the call may start now; and whether that is
            because the provider wants to be left alone: then no place was given.
        """
        figures = [token, units, repr(self._rate), self._largest, SAFETY]
        wait, pause = await self._store.script("rate", [self._key], ["take", *figures, self._now()])
        if pause:
            self.closed_until = time.monotonic() + pause * MICROSECOND
        return wait * MICROSECOND, pause > 0

    def give_back(self, token: str) -> None:
        """Free a place, in the background. If the store is away it passes by itself."""
        self._later("back", token)

    def _now(self) -> int | str:
        return "" if self._clock is None else self._clock()

    def _later(self, *arguments: Any) -> None:  # noqa: ANN401  of a script
        self._to_tell.append(arguments)
        if not self._telling:
            self._telling = True
            task = asyncio.get_running_loop().create_task(self._tell())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        """Tell the store one thing after the other: many at once would need as many connections."""
        try:
            while self._to_tell:
                arguments = [*self._to_tell.popleft(), self._now()]
                with contextlib.suppress(StoreError):
                    await self._store.brisk_script("rate", [self._key], arguments)
        finally:
            self._telling = False


class SharedReservation:
    """See :class:`adapters.policy.limit.Reservation`.

    Args:
        limit: gives the place.
        token: names it.
        units: what it takes.
    """

    def __init__(self, limit: SharedLimit, token: str, units: int) -> None:
        self._limit, self._token, self._units = limit, token, units
        self._due = 0.0
        self._comes = self._closed = False

    async def ask(self) -> None:
        """Ask the store how long to wait."""
        seconds, self._closed = await self._limit.take(self._token, self._units)
        self._due = time.monotonic() + seconds
        self._comes = not seconds

    async def wait(self) -> bool:
        """See :class:`adapters.policy.limit.Reservation`.

        Raises:
            StoreError: if the store is there and refuses.
        """
        while not self._comes and not self._closed:
            await asyncio.sleep(max(0.0, self._due - time.monotonic()))
            await self.ask()
        return self._comes

    def give_back(self) -> None:
        """See :class:`adapters.policy.limit.Reservation`."""
        self._limit.give_back(self._token)
