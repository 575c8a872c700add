"""Kinds of JSON values, put together to the form that a document must have.

A kind takes a value and where it stands, and yields what is wrong with it, in words.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Kind = Callable[[Any, str], Iterator[str]]

MOST_TEXT = 65_536
_SHOWN = 60


def shown(value: object) -> str:
    """Write a value for a message, cut short and as JSON would write the plain ones."""
    plain = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return plain[value]
    if isinstance(value, Mapping | list):
        return f"an object of {len(value)}" if isinstance(value, Mapping) else "a list"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def anything(value: object, where: str) -> Iterator[str]:
    """Take any value."""
    yield from ()


def text(value: object, where: str) -> Iterator[str]:
    """Take a string."""
    if not isinstance(value, str):
        yield f"{where} must be a text, not {shown(value)}"
    elif len(value) > MOST_TEXT:
        yield f"{where} has {len(value):,} characters"


def flag(value: object, where: str) -> Iterator[str]:
    """Take true or false."""
    if not isinstance(value, bool):
        yield f"{where} must be true or false, not {shown(value)}"


def exactly(*allowed: object) -> Kind:
    """Take one of these values."""

    def check(value: object, where: str) -> Iterator[str]:
        if not any(type(value) is type(one) and value == one for one in allowed):
            wanted = " or ".join(shown(one) for one in allowed)
            yield f"{where} must be {wanted}, not {shown(value)}"

    return check


def digits(count: int) -> Kind:
    """Take so many lower-case hexadecimal digits."""

    def check(value: object, where: str) -> Iterator[str]:
        if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{count}}}", value):
            yield f"{where} must be {count} hexadecimal digits, not {shown(value)}"

    return check


def whole(least: int = 0, most: int = 2**53 - 1) -> Kind:
    """Take a whole number within bounds."""

    def check(value: object, where: str) -> Iterator[str]:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            yield f"{where} must be a whole number from {least} to {most}, not {shown(value)}"

    return check


def number(least: float = 0.0, most: float = math.inf, *, above: bool = False) -> Kind:
    """Take a number within bounds; `above` leaves out the lower one."""

    def check(value: object, where: str) -> Iterator[str]:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not (good and least <= value <= most and not (above and value == least)):  # type: ignore[operator]
            low = f"above {least:g}" if above else f"at least {least:g}"
            high = "" if math.isinf(most) else f" and at most {most:g}"
            yield f"{where} must be a number {low}{high}, not {shown(value)}"

    return check


def maybe(kind: Kind) -> Kind:
    """Take null too."""

    def check(value: object, where: str) -> Iterator[str]:
        if value is not None:
            yield from kind(value, where)

    return check


def list_of(kind: Kind) -> Kind:
    """Take a list of one kind."""

    def check(value: object, where: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{where} must be a list, not {shown(value)}"
            return
        for place, one in enumerate(value):
            yield from kind(one, f"{where}[{place}]")

    return check


def map_of(kind: Kind) -> Kind:
    """Take an object with any names."""

    def check(value: object, where: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{where} must be an object, not {shown(value)}"
            return
        for name, one in value.items():
            yield from kind(one, f"{where}[{shown(name)}]")

    return check


def record(members: Mapping[str, Kind], optional: Mapping[str, Kind] | None = None) -> Kind:
    """Take an object with exactly these members; the optional ones may be absent."""
    known = {**members, **(optional or {})}

    def check(value: object, where: str) -> Iterator[str]:
        here = where or "the document"
        if not isinstance(value, dict):
            yield f"{here} must be an object, not {shown(value)}"
            return
        for name in members:
            if name not in value:
                yield f"{here} lacks the member {name!r}"
        for name in value:
            if name not in known:
                yield f"{here} has a member that does not belong there: {shown(name)}"
        for name, kind in known.items():
            if name in value:
                yield from kind(value[name], f"{where}.{name}" if where else name)

    return check
