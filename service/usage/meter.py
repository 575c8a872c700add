"""Counts what one run uses for its API key, and asks the key's budget before each call."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from typing import Any

import structlog

from certification.watching import NO_SPAN, Attribute, Event, Note, Voted
from service.errors import BudgetSpent, StoreError
from service.store.usage import Call, RedisUsage
from service.usage.budget import Budgets
from service.usage.counts import Counts

TELL_SECONDS = 1.0  # what a process that dies has counted and not told is no older than this
END_SECONDS = 1.0  # that a run waits at its end until all is told

log = structlog.get_logger("surety.usage")


class Meters:
    """Makes the meters of one process, and sees at its end that all is told.

    Args:
        usage: of the deployment.
        budgets: of its API keys.
    """

    def __init__(self, usage: RedisUsage, budgets: Budgets) -> None:
        self._usage, self._budgets = usage, budgets
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, owner: str | None, provider: str) -> "Meter":
        """Return the meter of a new run.

        Args:
            owner: id of the API key that it runs for; None for none.
            provider: who is asked.
        """
        return Meter(self._usage, self._budgets, self._tasks, owner, provider)

    async def close(self) -> None:
        """Wait a while until all is told; what is not is as if the process had died."""
        if self._tasks:
            _, late = await asyncio.wait([*self._tasks], timeout=END_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


class Meter:
    """See the module's text. Made by :meth:`Meters.of`; a watcher of the run's votes.

    Attributes:
        owner: id of the API key that the run is for; None for none.
        refused: what the run ended with if the key's budget did not pay for a call.
        kept: a call whose money is kept for the end of the run.
        votes: new ones of the run.
    """

    def __init__(
        self,
        usage: RedisUsage,
        budgets: Budgets,
        tasks: set[asyncio.Task[None]],
        owner: str | None,
        provider: str,
    ) -> None:
        self._usage, self._budgets = usage, budgets
        self.owner, self._provider = owner, provider
        self._all, self._tasks = tasks, set[asyncio.Task[None]]()
        self._untold = Counts()
        self._timer: asyncio.TimerHandle | None = None
        self.refused: BudgetSpent | None = None
        self.kept: Call | None = None
        self._taken: Call | None = None
        self.votes = 0

    def span(self, name: str, **attributes: Attribute) -> AbstractContextManager[Note]:
        """See :class:`certification.watching.Watcher`; nothing here counts spans."""
        return NO_SPAN

    def tell(self, event: Event) -> None:
        """See :class:`certification.watching.Watcher`: counts the votes that the run adds."""
        if isinstance(event, Voted):
            self.votes += event.votes
            self.add(Counts(votes=event.votes, abstentions=event.abstentions))

    def add(self, counts: Counts) -> None:
        """Count something soon."""
        self._untold += counts
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(TELL_SECONDS, self._tell)

    async def reserve(self, images: int, amount: int) -> Call | None:
        """Count a call before it is made, and take its money from the budget.

        Args:
            images: pictures of the call.
            amount: billionths of a dollar that it may be billed.

        Returns:
            The call; None if the budget does not pay for it, as `refused` tells from then on.

        Raises:
            StoreError: if the store is there and refuses; while it is away this waits.
        """
        budget = await self._budgets.of(self.owner)
        call = Call.of(self.owner, self._provider, images, amount)
        if budget is None:
            reserving = asyncio.ensure_future(self._usage.reserve(call))
        else:
            reserving = asyncio.ensure_future(self._usage.reserve(call, budget.cap, budget.period))
        try:
            paid = await asyncio.shield(reserving)
        except asyncio.CancelledError:
            self._later(self._repaid(call, reserving))
            raise
        if paid:
            return call
        assert budget is not None  # noqa: S101  nothing else refuses
        self.refused = budget.spent(call.day)
        return None

    async def keep(self, amount: int) -> None:
        """Keep the money of one call about one picture, if the key has a budget.

        Args:
            amount: billionths of a dollar that it may be billed.

        Raises:
            StoreError: see :meth:`reserve`.
        """
        if self.kept is None and await self._budgets.of(self.owner) is not None:
            self.kept = await self.reserve(1, amount)

    def take_kept(self) -> Call | None:
        """Return the call whose money was kept; again once it has ended and cost nothing."""
        self._taken, self.kept = self.kept, None
        return self._taken

    def settle(self, call: Call, billed: int, retries: int, throttled: int) -> None:
        """Settle a call that has ended, in the background; see :meth:`RedisUsage.settle`."""
        if call is self._taken and not billed:  # throttled, say: the provider is asked again
            self.kept, self._taken = call, None
            self.add(Counts(calls=1, images=call.images, retries=retries, throttled=throttled))
            return
        self._later(self._usage.settle(call, billed, retries, throttled))

    def take_back(self, call: Call) -> None:
        """Take a call back that was not made, in the background."""
        self._later(self._usage.take_back(call))

    async def close(self) -> None:
        """Give back what was kept, and wait a little until all that was counted is told."""
        if (call := self.take_kept()) is not None:
            self.take_back(call)
        self._tell()
        if self._tasks:
            await asyncio.wait([*self._tasks], timeout=END_SECONDS)

    def _tell(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._untold:
            told, self._untold = self._untold, Counts()
            self._later(self._usage.count(self.owner, self._provider, told))

    async def _repaid(self, call: Call, reserving: asyncio.Future[bool]) -> None:
        """Give back what was set aside for a call that was cancelled meanwhile."""
        if await reserving:
            await self._usage.take_back(call)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._all.add(task)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._all.discard(task)
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            # Money stays set aside, so that the key spends less than it might, never more.
            kind = type(error).__name__
            said = str(error) if isinstance(error, StoreError) else kind
            log.error("something was not counted", key=self.owner, error=said)
