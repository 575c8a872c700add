"""What API keys use, in the store.

    usage:DAY:KEY           counts of one key on one day of UTC: "votes/PROVIDER" and so on
    usage:DAY:KEY:open      calls that no answer has confirmed: token → billionths of a dollar
    usage:money:KEY         billionths of a dollar by day, month and in total: for the budgets
    usage:index             DAY/KEY by the number of the day
    usage:rate:KEY          when the key would be as if it had never asked
    usage:once:TOKEN        counts that were added of late

KEY is "-" where no API key was shown. A call that costs money is counted before it is made, in the
same step in which its money is taken from the budget, and settled afterwards by a token, so that
nothing is counted or given back twice. What a process that died had reserved stays spent.
"""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from service.access.api_key import BudgetPeriod
from service.store.connection import Store
from service.usage import periods
from service.usage.counts import NAMES, Counts

NO_KEY = "-"
ONCE_MILLISECONDS = 3_600_000  # so late no command is sent again
CHUNK = 500  # days of keys read at a time


@dataclass(frozen=True)
class Booking:
    """Counts as a script takes them.

    Attributes:
        keys: the counts of the day, and the index.
        args: entry of the index, its score, field, number, ….
    """

    keys: list[str]
    args: list[Any]


@dataclass(frozen=True)
class Call:
    """A call that is counted before it is made.

    Attributes:
        token: names it.
        owner: id of the API key, None for none.
        provider: who is asked.
        day: of UTC, on which it is counted.
        images: pictures sent.
        amount: billionths of a dollar that it may be billed.
    """

    token: str
    owner: str | None
    provider: str
    day: date
    images: int
    amount: int

    @classmethod
    def of(cls, owner: str | None, provider: str, images: int, amount: int) -> "Call":
        """Return a new one of today."""
        return cls(secrets.token_hex(8), owner, provider, periods.today(), images, amount)

    @property
    def counts(self) -> Counts:
        """As which it is counted before it is made."""
        return Counts(calls=1, images=self.images, spent=self.amount, reserved=self.amount)

    def ended(self, billed: int, retries: int, throttled: int) -> Counts:
        """Return how the counts change once it has ended.

        Args:
            billed: billionths of a dollar.
            retries: pictures without an answer.
            throttled: 1 if the provider had no capacity for it.
        """
        given_back = billed - self.amount
        return Counts(spent=given_back, reserved=-self.amount, retries=retries, throttled=throttled)


@dataclass(frozen=True)
class Entry:
    """What one API key used of one provider on one day.

    Attributes:
        day: of UTC.
        owner: id of the API key, None for none.
        provider: who was asked.
        counts: how much.
    """

    day: date
    owner: str | None
    provider: str
    counts: Counts


class RedisUsage:
    """See the module's text.

    Args:
        store: the connection.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def reserve(
        self, call: Call, cap: int | None = None, period: BudgetPeriod = "total"
    ) -> bool:
        """Count a call before it is made; tells whether the budget allows it.

        Args:
            call: a new one; the same once more changes nothing.
            cap: billionths of a dollar that the key may spend in a period; None for no limit.
            period: which.

        Raises:
            StoreError: if the store is there and refuses; while it is away this waits.
        """
        counts = self._counts(call.owner, call.day)
        keys = [counts, f"{counts}:open", self._money(call.owner), self._index]
        args = [call.token, *self._entry(call.owner, call.day), "" if cap is None else cap]
        args += [periods.name(period, call.day), call.amount, *periods.names(call.day)]
        args += _fields(call.provider, call.counts)
        return bool(await self._store.script("usage_reserve", keys, args))

    async def settle(self, call: Call, billed: int, retries: int = 0, throttled: int = 0) -> None:
        """Settle a call that has ended: what it was not billed is free again.

        Args:
            call: that was reserved; one that was settled stays as it is.
            billed: billionths of a dollar.
            retries: pictures without an answer.
            throttled: 1 if the provider had no capacity for it.
        """
        await self._change(call, call.ended(billed, retries, throttled))

    async def take_back(self, call: Call) -> None:
        """Have a call that was reserved and not made count as nothing."""
        await self._change(call, -call.counts)

    async def count(self, owner: str | None, provider: str, counts: Counts) -> None:
        """Add to the counts of today, once, even if the command is sent twice."""
        booking = self.booking(owner, provider, counts)
        keys = [*booking.keys, self._store.key("usage:once", secrets.token_hex(8))]
        args = [*booking.args[:2], ONCE_MILLISECONDS, *booking.args[2:]]
        await self._store.script("usage_count", keys, args)

    def booking(self, owner: str | None, provider: str, counts: Counts) -> Booking:
        """Return counts of today for a script that adds them in a step of its own."""
        day = periods.today()
        args = [*self._entry(owner, day), *_fields(provider, counts)]
        return Booking([self._counts(owner, day), self._index], args)

    async def entries(
        self, first: date, last: date, owners: Sequence[str | None] | None = None
    ) -> AsyncIterator[Entry]:
        """Yield what was used, by day.

        Args:
            first: day.
            last: day, included.
            owners: ids of API keys, None for none; all if there is no list.
        """
        index = self._index
        low, high = first.toordinal(), last.toordinal()
        found = await self._store.brisk(lambda redis: redis.zrangebyscore(index, low, high))
        names = [name.decode().partition("/") for name in found]
        wanted = [
            (date.fromisoformat(day), None if owner == NO_KEY else owner)
            for day, _, owner in names
            if owners is None or (None if owner == NO_KEY else owner) in owners
        ]
        for start in range(0, len(wanted), CHUNK):
            for entry in await self._read(wanted[start : start + CHUNK]):
                yield entry

    async def spent(self, owner: str | None, period: BudgetPeriod, day: date | None = None) -> int:
        """Return billionths of a dollar that count against a budget now.

        Args:
            owner: id of the API key.
            period: of the budget.
            day: in the period; None for today.
        """
        name = periods.name(period, day or periods.today())
        key = self._money(owner)
        return int(await self._store.brisk(lambda redis: redis.hget(key, name)) or 0)

    async def admit(self, name: str, rate: float, burst: int) -> float:
        """Let a request through at a rate over all processes, or tell how long to wait.

        Args:
            name: of what has the rate.
            rate: requests a second.
            burst: requests that may come at once.

        Returns:
            Seconds, 0 if it may go on.

        Raises:
            StoreError: if the store does not answer.
        """
        keys = [self._store.key("usage:rate", name)]
        told = await self._store.brisk_script("usage_rate", keys, [1e6 / rate, burst])
        return int(told) / 1e6

    async def count_before(self, day: date) -> int:
        """Return how many days of keys before one are kept."""
        return len(await self._before(day))

    async def drop(self, before: date) -> int:
        """Drop the counts of days before one; returns how many. The money of budgets stays."""
        index, found = self._index, await self._before(before)

        async def forget(redis: Any) -> None:  # noqa: ANN401
            async with redis.pipeline(transaction=True) as both:
                for name in found:
                    day, _, owner = name.decode().partition("/")
                    key = self._store.key("usage", day, owner)
                    both.delete(key, f"{key}:open")
                    both.zrem(index, name)
                await both.execute()

        if found:
            await self._store.brisk(forget)
        return len(found)

    async def _before(self, day: date) -> list[bytes]:
        index, high = self._index, f"({day.toordinal()}"
        found: list[bytes] = await self._store.brisk(
            lambda redis: redis.zrangebyscore(index, "-inf", high)
        )
        return found

    async def _change(self, call: Call, counts: Counts) -> None:
        key = self._counts(call.owner, call.day)
        keys = [key, f"{key}:open", self._money(call.owner)]
        args = [call.token, counts.spent, *periods.names(call.day)]
        await self._store.script("usage_settle", keys, args + _fields(call.provider, counts))

    async def _read(self, wanted: Sequence[tuple[date, str | None]]) -> list[Entry]:
        async def read(redis: Any) -> list[dict[bytes, bytes]]:  # noqa: ANN401
            async with redis.pipeline(transaction=False) as all_of_them:
                for day, owner in wanted:
                    all_of_them.hgetall(self._counts(owner, day))
                found: list[dict[bytes, bytes]] = await all_of_them.execute()
                return found

        entries = []
        for (day, owner), fields in zip(wanted, await self._store.brisk(read), strict=True):
            for provider, counts in _by_provider(fields).items():
                entries.append(Entry(day, owner, provider, counts))
        return entries

    def _entry(self, owner: str | None, day: date) -> list[Any]:
        return [f"{day.isoformat()}/{owner or NO_KEY}", day.toordinal()]

    def _counts(self, owner: str | None, day: date) -> str:
        return self._store.key("usage", day.isoformat(), owner or NO_KEY)

    def _money(self, owner: str | None) -> str:
        return self._store.key("usage:money", owner or NO_KEY)

    @property
    def _index(self) -> str:
        return self._store.key("usage:index")


def _fields(provider: str, counts: Counts) -> list[Any]:
    return [x for name, n in counts.changes().items() for x in (f"{name}/{provider}", n)]


def _by_provider(fields: Mapping[bytes, bytes]) -> dict[str, Counts]:
    """Sort the fields of a day; what another version may have written is left aside."""
    found: dict[str, Counts] = {}
    for field, number in sorted(fields.items()):
        name, _, provider = field.decode("utf-8", "replace").partition("/")
        if name in NAMES:
            found[provider] = replace(found.get(provider, Counts()), **{name: int(number)})
    return found
