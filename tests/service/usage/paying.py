"""API keys, runs of theirs, and what was counted for them, for tests."""

import dataclasses
from datetime import date

from service.billionths import NANO
from service.core import Surety
from service.issued import Issued
from service.store.usage import RedisUsage
from service.usage.counts import Counts
from tests.service.pictures import png

UNITS = 10**6  # billionths of a dollar that the provider "half" takes for a picture
FORM = {"sigma": 0.5, "max_votes": 100, "good_enough": None}


async def a_key(surety: Surety, **limits) -> str:
    """Make a key; return its id."""
    key, _ = await surety.state.api_keys.create("tester", frozenset({"certify", "jobs"}), **limits)
    return key.id


async def run(surety: Surety, owner: str | None, size: int = 8, **options) -> Issued:
    """Certify a picture of some size for a key."""
    prepared = await surety.prepare(png(size, size), **(FORM | options))
    return await surety.certify(dataclasses.replace(prepared, owner=owner))


async def summed(usage: RedisUsage, owner: str | None, provider: str | None = None) -> Counts:
    """Return all that was counted for a key by now."""
    total = Counts()
    async for entry in usage.entries(date(2000, 1, 1), date(2100, 1, 1), [owner]):
        if provider in (None, entry.provider):
            total += entry.counts
    return total


async def counted(usage: RedisUsage, owner: str | None) -> Counts:
    """Return all that was counted for a key that does nothing now: its budget says the same."""
    total = await summed(usage, owner)
    for period in ("day", "month", "total"):
        assert await usage.spent(owner, period) == total.spent
    return total


def dollars(counts: Counts) -> float:
    """Return what answered calls have cost."""
    return (counts.spent - counts.reserved) / NANO
