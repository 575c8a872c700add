"""How the pages about jobs write numbers, times and texts from outside."""

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from service.picture_text import clean

if TYPE_CHECKING:
    from service.jobs.results.curve import Share  # slow to import

MOST = 300  # characters of one text from outside

STOPPED: Mapping[str, str] = {
    "target_reached": "target radius reached",
    "hopeless": "target out of reach",
    "good_enough": "more votes would add little",
    "votes_spent": "votes used up",
    "max_cost": "money used up",
    "deadline": "time up",
    "cancelled": "cancelled",
    "complete": "all votes counted",
}
"""Stop reason → in few words."""


def told(text: object) -> str:
    """Return any text as harmless HTML: no control characters, not too long, escaped."""
    short = clean(text)
    return escape(short if len(short) <= MOST else short[:MOST] + "…")


def stopped(reason: str) -> str:
    """Return why votes ended; what is not known as it is."""
    return STOPPED.get(reason, reason)


def money(dollars: float) -> str:
    """Write US dollars: cents from one dollar on, below it four digits, but no less than cents."""
    cents = f"{dollars:,.2f}"
    return f"${cents}" if dollars >= 1 else f"${max(cents, f'{dollars:.4g}', key=len)}"


def duration(seconds: float) -> str:
    """Write a time in its two largest units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days:,} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s"


def percent(part: float, whole: float) -> str:
    """Write a share in percent; of nothing it is a dash."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def share(of: "Share") -> str:
    """Write a share and its band in percent."""
    if not of.total:
        return "–"
    return f"{100 * of.value:.1f} % ({100 * of.low:.1f} – {100 * of.high:.1f})"


def moment(iso: str | None) -> datetime | None:
    """Read an ISO date, without a zone as UTC; None for what is none."""
    try:
        when = datetime.fromisoformat(iso or "")
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def date(when: datetime | None) -> str:
    """Write a moment."""
    return "–" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d, %H:%M UTC")


def counted(number: int, one: str, many: str = "") -> str:
    """Write a number of things: 1 picture, 2 pictures."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
