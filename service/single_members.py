"""JSON whose objects name each member once: parsers take the last of two, and nobody is told."""

import json
from typing import Any

TWICE = "given more than once: send it once"


class NamedTwice(ValueError):
    """An object names a member more than once.

    Attributes:
        name: of the member.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name[:40]!r} is {TWICE}")
        self.name = name


def check_members(text: str | bytes) -> None:
    """See that no object names a member twice, at any depth.

    Args:
        text: JSON that was read before, so that it is some and not too deep.

    Raises:
        NamedTwice: naming the first that is.
    """
    json.loads(text, object_pairs_hook=_once, parse_int=str, parse_float=str)


def _once(pairs: list[tuple[str, Any]]) -> None:
    seen = set[str]()
    for name, _ in pairs:
        if name in seen:
            raise NamedTwice(name)
        seen.add(name)
