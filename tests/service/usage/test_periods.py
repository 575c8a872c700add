"""Days and months of UTC."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.usage import periods


def test_today_is_the_day_of_utc():
    east = timezone(timedelta(hours=9))
    assert periods.today(datetime(2026, 12, 1, 3, tzinfo=east)) == date(2026, 11, 30)


@pytest.mark.parametrize(
    ("period", "day", "name", "renewed"),
    [
        ("day", date(2026, 2, 28), "2026-02-28", datetime(2026, 3, 1, tzinfo=UTC)),
        ("month", date(2026, 12, 31), "2026-12", datetime(2027, 1, 1, tzinfo=UTC)),
        ("month", date(2024, 1, 1), "2024-01", datetime(2024, 2, 1, tzinfo=UTC)),
        ("total", date(2026, 12, 31), "total", None),
    ],
)
def test_names_and_renewals(period, day, name, renewed):
    assert periods.name(period, day) == name
    assert periods.renewed(period, day) == renewed


@given(st.dates(date(1970, 1, 1), date(2200, 1, 1)), st.sampled_from(["day", "month"]))
def test_a_period_ends_where_the_next_one_begins(day, period):
    renewed = periods.renewed(period, day)
    assert renewed is not None
    assert periods.name(period, renewed.date()) != periods.name(period, day)
    before = renewed.date() - timedelta(days=1)
    assert periods.name(period, before) == periods.name(period, day)
