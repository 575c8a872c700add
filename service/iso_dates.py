"""Dates in requests, as ISO 8601 writes them: a bare number is none, though pydantic takes it."""

import re
from datetime import date, datetime
from typing import Annotated

from pydantic import BeforeValidator

_DATE = re.compile(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _iso(value: object) -> object:
    if isinstance(value, str) and not _DATE.match(value):
        raise ValueError("a date begins with year, month and day, such as 2026-11-30")
    return value


def _last_of_day(value: object) -> object:
    alone = isinstance(value, str) and _DATE.fullmatch(value.rstrip())
    return f"{str(value).strip()}T23:59:59.999999" if alone else _iso(value)


Moment = Annotated[datetime, BeforeValidator(_iso)]
LastMoment = Annotated[datetime, BeforeValidator(_last_of_day)]
"""A date alone is the whole day, as on the command line."""
Day = Annotated[date, BeforeValidator(_iso)]
