"""What was used in some days, by day, API key and provider, and what is left of budgets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, get_args

from service.access.api_key import ApiKey
from service.billionths import NANO
from service.errors import BadRequest, NotFound
from service.state import State
from service.usage import periods
from service.usage.budget import Budget
from service.usage.counts import ALPHA_UNIT, Counts

Dimension = Literal["day", "key", "provider"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

MOST_DAYS = 400
MOST_LINES = 10_000


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Attributes:
        first: day of UTC.
        last: day of UTC, included.
        by: what a line is about; what is left out is added up.
        owners: ids of API keys, None for what was asked without one; no list for all.
        provider: who was asked; None for all.

    Raises:
        BadRequest: if the days are none or too many; names the field.
    """

    first: date
    last: date
    by: tuple[Dimension, ...] = DIMENSIONS
    owners: Sequence[str | None] | None = None
    provider: str | None = None

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise BadRequest("the last day must not come before the first", "to")
        if (self.last - self.first).days >= MOST_DAYS:
            raise BadRequest(f"ask for at most {MOST_DAYS} days at once", "from")


@dataclass(frozen=True)
class Line:
    """One line of a report; a member that the report is not by is None.

    Attributes:
        day: of UTC.
        key: id of the API key; None also for what was asked without one.
        provider: who was asked.
        counts: of all that falls into the line.
    """

    day: date | None
    key: str | None
    provider: str | None
    counts: Counts


@dataclass(frozen=True)
class Left:
    """A budget as it stands now.

    Attributes:
        key: the API key.
        budget: its budget.
        spent: billionths of a dollar in the present period, of calls in flight included.
    """

    key: ApiKey
    budget: Budget
    spent: int

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        renewed = periods.renewed(self.budget.period, periods.today())
        return {
            "key": self.key.id,
            "name": self.key.name,
            "budget": self.budget.dollars,
            "period": self.budget.period,
            "spent": self.spent / NANO,
            "left": max(0, self.budget.cap - self.spent) / NANO,
            "renewed": None if renewed is None else renewed.isoformat(),
        }


@dataclass(frozen=True)
class Report:
    """See the module's text.

    Attributes:
        asked: for what.
        lines: the days in order, in each the keys, in each the providers.
        total: of all lines.
        names: of API keys, by id.
        budgets: of the keys that were asked for and have one.
    """

    asked: Asked
    lines: Sequence[Line]
    total: Counts
    names: Mapping[str, str]
    budgets: Sequence[Left]

    @property
    def meaning(self) -> str:
        """What the certificates mean together, in a sentence."""
        return meaning(self.total)

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "from": self.asked.first.isoformat(),
            "to": self.asked.last.isoformat(),
            "by": list(self.asked.by),
            "usage": [self.line(line) for line in self.lines],
            "total": self.total.describe(),
            "currency": "USD",
            "meaning": self.meaning,
            "budgets": [left.describe() for left in self.budgets],
        }

    def line(self, line: Line) -> dict[str, Any]:
        """Return JSON values of a line."""
        return {
            "day": None if line.day is None else line.day.isoformat(),
            "key": line.key,
            "name": None if line.key is None else self.names.get(line.key),
            "provider": line.provider,
            **line.counts.describe(),
        }


def meaning(counts: Counts) -> str:
    """Say what certificates mean together: each holds with a confidence of its own."""
    if not counts.certificates:
        return "No certificate was issued."
    share = counts.alpha / ALPHA_UNIT
    many = "certificate" if counts.certificates == 1 else "certificates"
    return (
        f"Of {counts.certificates:,} {many} at most {share:.3g} are expected to be false: "
        "each is with probability alpha at most, where that was chosen before its votes, "
        "and that adds up over near-identical pictures."
    )


def parsed(by: str) -> tuple[Dimension, ...]:
    """Read what a report is by: some of day, key, provider, separated by commas.

    Raises:
        BadRequest: if it is something else.
    """
    names = [name.strip() for name in by.split(",")]
    if not all(names) or not {*names} <= {*DIMENSIONS} or len({*names}) < len(names):
        raise BadRequest("by takes some of day, key and provider, separated by commas", "by")
    return tuple(name for name in DIMENSIONS if name in names)


def days(first: date | None, last: date | None) -> tuple[date, date]:
    """Return the days that are meant where one or both are left out: this month up to today.

    Raises:
        BadRequest: if they would begin after today and end with it.
    """
    if first is not None and last is None and first > (today := periods.today()):
        raise BadRequest(f"from is in the future: today is {today} in UTC", "from")
    last = last or periods.today()
    if first is None:
        first = last.replace(day=1)
    return first, last


async def report(state: State, asked: Asked) -> Report:
    """Add up what was used.

    Raises:
        BadRequest: if there would be too many lines.
        StoreError: if the store does not answer.
    """
    lines: dict[tuple[date | None, str | None, str | None], Counts] = {}
    total = Counts()
    async for entry in state.usage.entries(asked.first, asked.last, asked.owners):
        if asked.provider not in (None, entry.provider):
            continue
        at = (
            entry.day if "day" in asked.by else None,
            entry.owner if "key" in asked.by else None,
            entry.provider if "provider" in asked.by else None,
        )
        lines[at] = lines.get(at, Counts()) + entry.counts
        total += entry.counts
        if len(lines) > MOST_LINES:
            raise BadRequest(
                f"that are more than {MOST_LINES:,} lines: ask for fewer days, or by less", "by"
            )
    keys = await _keys(state, asked.owners)
    budgets = [
        Left(key, budget, await state.usage.spent(key.id, budget.period))
        for key in keys
        if (budget := Budget.of(key)) is not None
    ]
    return Report(
        asked=asked,
        lines=[Line(*at, lines[at]) for at in sorted(lines, key=_order)],
        total=total,
        names={key.id: key.name for key in keys},
        budgets=budgets,
    )


async def _keys(state: State, owners: Sequence[str | None] | None) -> list[ApiKey]:
    if owners is None:
        return await state.api_keys.list()
    found = []
    for owner in owners:
        if owner is not None:
            try:
                found.append(await state.api_keys.get(owner))
            except NotFound:  # forgotten since
                continue
    return found


def _order(at: tuple[date | None, str | None, str | None]) -> tuple[str, str, str]:
    day, key, provider = at
    return ("" if day is None else day.isoformat(), key or "", provider or "")
