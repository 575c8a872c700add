"""The header Prefer (RFC 7240): whether a client waits for a run's end, and for how long.

`respond-async` and `wait` are honoured, others are ignored, and so is what cannot be read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

HEADER, APPLIED = "Prefer", "Preference-Applied"
LONGEST_WAIT = 3600.0  # seconds

_PREFERENCE = re.compile(
    r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*(\"[^\"\\]*\"|[^\s;,\"]*))?\s*"
)
_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Preference:
    """How a client wants to wait.

    Attributes:
        asynchronous: whether it takes 202 in the place of the answer.
        wait_seconds: how long it waits before; None for not at all, if it is `asynchronous`, and
            for as long as it takes otherwise.
        applied: what it is told about that where it got 202, or the answer.
    """

    asynchronous: bool = False
    wait_seconds: float | None = None

    @property
    def applied(self) -> str:
        """The value of Preference-Applied."""
        words = [] if self.wait_seconds is None else [f"wait={self.wait_seconds:g}"]
        return ", ".join(["respond-async", *words])


def read(values: Sequence[str]) -> Preference:
    """Read the header; of a preference that comes again, the first counts.

    Args:
        values: one for each time that the header was sent.
    """
    found: dict[str, str] = {}
    for item in ",".join(values).split(","):
        matched = _PREFERENCE.match(item)
        if matched is not None:
            found.setdefault(matched[1].lower(), (matched[2] or "").strip('"'))
    seconds = found.get("wait", "")
    wait = min(LONGEST_WAIT, float(seconds)) if _SECONDS.fullmatch(seconds) else None
    return Preference("respond-async" in found or wait is not None, wait)
