"""How people write a key's limits: 90d, 40/month, 5/s, certify,jobs."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any, get_args

from service.access.api_key import BudgetPeriod
from service.access.scopes import SCOPES, Scope
from service.billionths import NANO
from service.errors import BadRequest
from service.jobs.rate_text import parse_rate

NONE = ("none", "never", "no")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_SPAN = re.compile(r"(\d{1,40})\s*(s|min|m|h|d|w|y)", re.ASCII)
_NUMBER = r"\d{1,40}(?:\.\d{1,40})?(?:e[+-]?\d{1,3})?"
_BUDGET = re.compile(rf"\$?\s*({_NUMBER})\s*(?:/\s*([a-z]+))?", re.ASCII)
LONGEST = timedelta(days=100 * 365)


def parse_scopes(text: str) -> frozenset[Scope]:
    """Read scopes, separated by commas.

    Raises:
        BadRequest: if there are none, or others; names the field `scopes`.
    """
    names = {part.strip().lower() for part in text.split(",")}
    found = frozenset(scope for scope in SCOPES if scope in names)
    if not found or len(found) != len(names):
        raise BadRequest(f"write scopes as certify,jobs: there are {', '.join(SCOPES)}", "scopes")
    return found


def parse_span(text: str, field: str) -> timedelta:
    """Read a span of time, such as 90d, 12h or 30min.

    Raises:
        BadRequest: if it is none; names the field.
    """
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise BadRequest("write a span as 30min, 12h, 90d, 2w or 1y", field)
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > LONGEST.total_seconds():
        raise BadRequest(f"{field} can be at most 100 years ahead", field)
    return timedelta(seconds=seconds)


def parse_expiry(text: str, now: datetime | None = None) -> datetime | None:
    """Read when a key expires: a span from now, a date, a date with its time, or never.

    Args:
        text: a date without a time means the end of that day in UTC.
        now: in place of the present.

    Raises:
        BadRequest: if it is none of that, or past; names the field `expires`.
    """
    said, now = text.strip(), now or datetime.now(UTC)
    if said.lower() in NONE:
        return None
    if _SPAN.fullmatch(said.lower()):
        return future(now + parse_span(said, "expires"), now)
    try:
        date = datetime.fromisoformat(said)
    except ValueError:
        raise BadRequest(
            "write when it expires as 90d, 2027-12-31, 2027-12-31T18:00+01:00 or never", "expires"
        ) from None
    if len(said) <= len("2027-12-31"):
        date = datetime.combine(date, time.max, UTC)
    return future(date if date.tzinfo else date.replace(tzinfo=UTC), now)


def future(date: datetime, now: datetime | None = None) -> datetime:
    """Return a date that is still to come, in UTC.

    Raises:
        BadRequest: if it is past, or of no year that has four digits; names the field `expires`.
    """
    try:
        there = date.astimezone(UTC)
    except OverflowError:
        raise BadRequest("expires must be in the years 1 to 9999 of UTC", "expires") from None
    if there <= (now or datetime.now(UTC)):
        raise BadRequest("expires must be in the future", "expires")
    return there


def parse_budget(text: str) -> dict[str, Any]:
    """Read a budget of US dollars: 40/month, 5/day, 100/total, or none; 40 is a month's.

    Returns:
        `budget` and `budget_period` of :class:`service.access.api_key.ApiKey`.

    Raises:
        BadRequest: if it is none, or below what is counted; names the field `budget`.
    """
    said = text.strip().lower()
    if said in NONE:
        return {"budget": None}
    found = _BUDGET.fullmatch(said)
    period = None if found is None else found[2] or "month"
    if found is None or period not in get_args(BudgetPeriod):
        raise BadRequest("write a budget as 40/month, 5/day, 100/total or none", "budget")
    try:
        budget = whole_billionths(float(found[1]))
    except ValueError as error:
        raise BadRequest(str(error), "budget") from None
    return {"budget": budget, "budget_period": period}


def whole_billionths(budget: float) -> float:
    """Return a budget of US dollars as it is.

    Raises:
        ValueError: if it is more than nothing, and less than what is counted.
    """
    if 0 < budget < 1 / NANO:
        raise ValueError("budget must be 0 or at least a billionth of a US dollar")
    return budget


def parse_key_rate(text: str) -> float | None:
    """Read a rate of requests: 5/s, 600/min, 20/h, or none.

    Raises:
        BadRequest: if it is none; names the field `rate`.
    """
    return None if text.strip().lower() in NONE else parse_rate(text)
