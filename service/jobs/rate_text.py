"""A rate as people write it: "20", "20/s", "600/min", "5000/h"; always units a second inside."""

import math
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


def written_rate(rate: float) -> str:
    """Return units a second as people write them, in the first unit of time that needs no rounding.

    Args:
        rate: above 0.
    """
    told = [(rate * _SECONDS[unit], unit) for unit in ("s", "min", "h")]
    short = [one for one in told if math.isclose(one[0], round(one[0], 3), rel_tol=1e-9)]
    number, unit = next(iter(short or [one for one in told if one[0] >= 1]), told[-1])
    return f"{number:.6g}/{unit}"
