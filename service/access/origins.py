"""Web pages of other origins that may call the API: none, unless a setting names them."""

import re

_ORIGIN = re.compile(r"https?://[^\s/?#@\\*,]+")

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
REQUEST_HEADERS = (
    *("Authorization", "Content-Type", "Accept", "Idempotency-Key", "Prefer", "X-Request-ID"),
    "Last-Event-ID",
)
ANSWER_HEADERS = (
    *("Surety-Run", "Surety-Accounting", "Location", "Retry-After", "WWW-Authenticate"),
    *("Content-Disposition", "Preference-Applied", "X-Request-ID", "Link", "Allow"),
    "Idempotency-Replayed",
)
"""What pages may read beside what browsers always show them."""


def origins(text: str) -> tuple[str, ...]:
    """Read the setting `cors_origins`.

    Raises:
        ValueError: if an entry is no origin.
    """
    found = tuple(one.strip() for one in text.split(",") if one.strip())
    for one in found:
        if not _ORIGIN.fullmatch(one) or one != one.lower():
            raise ValueError(
                f"{one[:80]!r} is no origin: write it as browsers do, such as https://app.example "
                "or http://localhost:5173, in lower case and without a path; * is not allowed"
            )
    return found
