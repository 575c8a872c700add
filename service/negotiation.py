"""Which answer a client wants: JSON, or server-sent events (RFC 9110, section 12.5.1)."""

import re
from collections.abc import Sequence
from typing import Literal

from starlette.exceptions import HTTPException

JSON, EVENTS = "application/json", "text/event-stream"
Answer = Literal["json", "events"]

_QVALUE = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\Z")


def choose(accept: str | None) -> Answer:
    """Choose by quality, then by which is named more exactly, then JSON.

    Args:
        accept: the Accept header, None if there is none.

    Raises:
        HTTPException: 406 if neither is acceptable.
    """
    ranges = _parse("*/*" if accept is None or not accept.strip() else accept)
    json, events = _rank(JSON, ranges), _rank(EVENTS, ranges)
    if max(json, events)[0] == 0.0:
        raise HTTPException(
            406, f"this answers with {JSON} or {EVENTS}: accept one of them, or leave Accept out"
        )
    return "events" if events > json else "json"


def best(accept: str | None, offered: Sequence[str]) -> str:
    """Choose one of several media types, of equal ones the first.

    Args:
        accept: the Accept header, None if there is none.
        offered: media types, without parameters.

    Raises:
        HTTPException: 406 if none is acceptable.
    """
    ranges = _parse("*/*" if accept is None or not accept.strip() else accept)
    chosen = max(offered, key=lambda media_type: _rank(media_type, ranges))
    if _rank(chosen, ranges)[0] == 0.0:
        raise HTTPException(
            406, f"this answers with {', '.join(offered)}: accept one of them, or leave Accept out"
        )
    return chosen


def _rank(media_type: str, ranges: dict[str, float]) -> tuple[float, int]:
    """Quality and exactness of the most specific range that covers a media type."""
    candidates = (media_type, media_type.split("/", 1)[0] + "/*", "*/*")
    for exactness, candidate in zip((2, 1, 0), candidates, strict=True):
        if candidate in ranges:
            return ranges[candidate], exactness
    return 0.0, 0


def _parse(accept: str) -> dict[str, float]:
    ranges: dict[str, float] = {}
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                # A weight that cannot be read is no wish.
                quality = float(value) if _QVALUE.match(value.strip()) else 0.0
        if name:
            ranges[name] = max(quality, ranges.get(name, 0.0))
    return ranges
