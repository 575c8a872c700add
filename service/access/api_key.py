"""An API key, as far as anybody may know it: all but its secret."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self, get_args

from service.access.scopes import SCOPES, Scope
from service.errors import BadRequest

BudgetPeriod = Literal["day", "month", "total"]
"""Days and months are those of UTC."""

PERIOD_WORDS: Mapping[BudgetPeriod, str] = {"day": "a day", "month": "a month", "total": "in all"}

KeyState = Literal["active", "expired", "revoked"]

LEAST_RATE, MOST_RATE = 0.001, 1e6  # requests a second
MOST_BUDGET = 1e9  # US dollars
MOST_NAME = 100
LIMITS = ("name", "scopes", "expires", "rate", "budget", "budget_period")
"""What can be changed of a key."""

_DATES = ("created", "expires", "revoked", "overlap")


@dataclass(frozen=True)
class ApiKey:
    """See the module's text. Dates are kept to the millisecond.

    Attributes:
        id: stands in the key itself, in logs, in usage reports, and as `owner` of what it began.
        name: what people call it; no two that count have the same.
        scopes: what it may do.
        created: when.
        expires: from when on it counts no more; None for never.
        revoked: since when it counts no more; None while it may count.
        rate: requests a second; None for no limit.
        budget: US dollars in a period; None for no limit.
        budget_period: of the budget.
        overlap: until when the secret before the last rotation counts too; None for none.

    Raises:
        BadRequest: if one of them is out of its range; names the field.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    rate: float | None = None
    budget: float | None = None
    budget_period: BudgetPeriod = "month"
    overlap: datetime | None = None

    def __post_init__(self) -> None:
        for name in _DATES:
            if (date := getattr(self, name)) is not None:
                whole = date.replace(microsecond=date.microsecond // 1000 * 1000)
                object.__setattr__(self, name, whole)
        if not (0 < len(self.name.strip()) <= MOST_NAME and self.name.isprintable()):
            raise BadRequest(f"name must have 1 to {MOST_NAME} printable characters", "name")
        if not self.scopes or not self.scopes <= set(SCOPES):
            raise BadRequest(f"scopes must be some of {', '.join(SCOPES)}", "scopes")
        if self.rate is not None and not LEAST_RATE <= self.rate <= MOST_RATE:
            raise BadRequest("rate must be from 0.001 to 1,000,000 requests a second", "rate")
        if self.budget is not None and not 0 <= self.budget <= MOST_BUDGET:
            raise BadRequest("budget must be from 0 to 1,000,000,000 US dollars", "budget")
        if self.budget_period not in get_args(BudgetPeriod):
            raise BadRequest("budget_period is day, month or total", "budget_period")

    def state(self, now: datetime | None = None) -> KeyState:
        """Tell whether it counts.

        Args:
            now: at what time; None for now.
        """
        if self.revoked is not None:
            return "revoked"
        expired = self.expires is not None and self.expires <= (now or datetime.now(UTC))
        return "expired" if expired else "active"

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "id": self.id,
            "name": self.name,
            "scopes": [scope for scope in SCOPES if scope in self.scopes],
            "state": self.state(),
            "created": _text(self.created),
            "expires": _text(self.expires),
            "revoked": _text(self.revoked),
            "rate": self.rate,
            "budget": self.budget,
            "budget_period": self.budget_period,
            "overlap": _text(self.overlap),
        }

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return what `describe` described.

        Raises:
            KeyError, TypeError, ValueError, BadRequest: if it is something else.
        """
        dates = {
            name: None if told[name] is None else datetime.fromisoformat(told[name])
            for name in _DATES
        }
        plain = {name: told[name] for name in ("id", "name", "rate", "budget", "budget_period")}
        return cls(scopes=frozenset(told["scopes"]), **plain, **dates)  # type: ignore[arg-type]


def _text(date: datetime | None) -> str | None:
    return None if date is None else date.astimezone(UTC).isoformat(timespec="milliseconds")
