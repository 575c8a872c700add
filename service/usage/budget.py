"""The budget of an API key: US dollars in a day, a month or altogether, over all processes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date

from service.access.api_key import PERIOD_WORDS, ApiKey, BudgetPeriod
from service.billionths import nano
from service.errors import BudgetSpent, NotFound, StoreUnavailable
from service.usage import periods
from service.usage.counts import written

FRESH_SECONDS = 2.0  # so late a budget that was changed counts
AGAIN_SECONDS = 0.5  # while the store is away
MOST_KNOWN = 1000


@dataclass(frozen=True)
class Budget:
    """See the module's text.

    Attributes:
        key: the API key's id.
        dollars: that it may spend in a period; those of calls in flight count.
        period: days and months are those of UTC.
    """

    key: str
    dollars: float
    period: BudgetPeriod

    @property
    def cap(self) -> int:
        """Billionths of a dollar."""
        return nano(self.dollars)

    def spent(self, day: date) -> BudgetSpent:
        """Return the error that says that it does not pay for the next call."""
        renewed = periods.renewed(self.period, day)
        what = f"the budget of the API key {self.key}, {written(self.dollars)} US dollars "
        what += f"{PERIOD_WORDS[self.period]}, does not pay for the next call"
        if renewed is None:
            return BudgetSpent(f"{what}: have it raised")
        when = f"{renewed:%Y-%m-%d %H:%M} UTC"
        return BudgetSpent(f"{what}: it is renewed at {when}", renewed)

    @classmethod
    def of(cls, key: ApiKey) -> "Budget | None":
        """Return that of a key; None if it may spend what it likes."""
        return None if key.budget is None else cls(key.id, key.budget, key.budget_period)


class Budgets:
    """The budgets of all keys, as far as this process has looked them up of late.

    Args:
        look_up: returns a key by its id, or raises NotFound.
    """

    def __init__(self, look_up: Callable[[str], Awaitable[ApiKey]]) -> None:
        self._look_up = look_up
        self._known: dict[str, tuple[float, Budget | None]] = {}

    async def of(self, owner: str | None) -> Budget | None:
        """Return the budget of a key; None for no limit. While the store is away this waits.

        Raises:
            StoreError: if the store is there and refuses.
            LedgerDamaged: if this deployment did not write the key.
        """
        if owner is None:
            return None
        until, budget = self._known.get(owner, (0.0, None))
        if time.monotonic() < until:
            return budget
        budget = await self._found(owner)
        self._known[owner] = (time.monotonic() + FRESH_SECONDS, budget)
        while len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return budget

    async def _found(self, owner: str) -> Budget | None:
        while True:
            try:
                return Budget.of(await self._look_up(owner))
            except NotFound:  # all keys were forgotten, as if there had never been one
                return None
            except StoreUnavailable:
                await asyncio.sleep(AGAIN_SECONDS)
