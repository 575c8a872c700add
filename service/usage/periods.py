"""Days and months of UTC, in which budgets are renewed."""

from datetime import UTC, date, datetime, timedelta

from service.access.api_key import BudgetPeriod


def today(now: datetime | None = None) -> date:
    """Return the day of UTC.

    Args:
        now: at what time; None for now.
    """
    return (now or datetime.now(UTC)).astimezone(UTC).date()


def names(day: date) -> tuple[str, str, str]:
    """Return the names of the day, month and total that a day belongs to."""
    return day.isoformat(), day.isoformat()[:7], "total"


def name(period: BudgetPeriod, day: date) -> str:
    """Return the name of the period that a day belongs to."""
    return dict(zip(("day", "month", "total"), names(day), strict=True))[period]


def renewed(period: BudgetPeriod, day: date) -> datetime | None:
    """Return when the next period begins; None if there is none."""
    if period == "total":
        return None
    first = day + timedelta(days=1)
    if period == "month":
        first = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return datetime(first.year, first.month, first.day, tzinfo=UTC)
