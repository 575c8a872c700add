"""A rate as people write it: "20", "20/s", "600/min", "5000/h"; always units a second inside."""

import re

from service.errors import BadRequest

_SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0}
_SECONDS |= {"h": 3600.0, "hour": 3600.0}
_RATE = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(?:/\s*([a-z]+)\s*)?", re.ASCII)


def parse_rate(text: str) -> float:
    """Return units a second.

    Raises:
        BadRequest: if it is no rate; names the field `rate`.
    """
    found = _RATE.fullmatch(text.lower())
    if found is None or (found[2] or "s") not in _SECONDS:
        raise BadRequest("write a rate as 20, 20/s, 600/min or 5000/h", "rate")
    return float(found[1]) / _SECONDS[found[2] or "s"]
