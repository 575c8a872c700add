"""An API key's limits as people read them."""

from datetime import UTC, datetime

from service.access.api_key import PERIOD_WORDS, ApiKey
from service.access.scopes import SCOPES
from service.jobs.rate_text import written_rate
from service.usage.counts import written


def scope_words(key: ApiKey) -> str:
    """Return its scopes, such as "certify, jobs"."""
    return ", ".join(scope for scope in SCOPES if scope in key.scopes)


def rate_words(key: ApiKey) -> str:
    """Return its rate, such as "5/s"."""
    return "no limit" if key.rate is None else written_rate(key.rate)


def budget_words(key: ApiKey) -> str:
    """Return its budget, such as "$40 a month"."""
    if key.budget is None:
        return "no limit"
    return f"${written(key.budget).removesuffix('.00')} {PERIOD_WORDS[key.budget_period]}"


def when_words(date: datetime | None) -> str:
    """Return a date to the minute, in UTC; "never" for none."""
    return "never" if date is None else f"{date.astimezone(UTC):%Y-%m-%d %H:%M}"


def access_words(*, near: bool, keys: bool, needed: bool, any_name: bool) -> tuple[str, str]:
    """Say who may use the service, in one line, and in which style.

    Args:
        near: whether this machine alone can connect.
        keys: whether there is an API key.
        needed: whether one is needed.
        any_name: whether it answers under whatever name it is called by.
    """
    if keys:
        return "API keys are needed: surety apikeys list shows them.", "dim"
    if needed:
        return (
            "API keys are required, and there is none: surety apikeys create makes one.",
            "yellow",
        )
    if near:
        return "No API keys: only this machine can connect.", "dim"
    told = "No API keys: whoever can connect may spend your providers' money"
    if any_name:  # a web page can have a name of its own point here, and then read the answers
        told += (
            ", and so may every web page that they open, under a name of its own: make a key, or "
            "have SURETY_ALLOWED_HOSTS name the service"
        )
    return f"{told}.", "bold red"
