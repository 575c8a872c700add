"""Paths tell where something stands in a JSON document.

They are made of names and numbers:

    predictions[*].label      of each entry of the list `predictions`, its `label`
    result.scores[0]          the first of a list; [-1] is the last
    ["model version"].name    names with other characters in quotes
    [*]                       each entry of a reply that is a list itself

A path holds `[*]` at most once.
"""

import re
from typing import Any, NoReturn

STEP = re.compile(
    r'(?P<dot>\.?)(?P<name>[^.\[\]"\s][^.\[\]"]*)'
    r'|\[(?P<index>-?\d{1,9})\]|\[(?P<every>\*)\]|\["(?P<quoted>[^"]+)"\]'
)


class Mismatch(ValueError):
    """A reply is not as the profile says."""


class ReplyPath:
    """Where something stands in a JSON document.

    Args:
        text: as described above.

    Raises:
        ValueError: if it is no path.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps: list[str | int | None] = []  # a name, a number, or None for every entry
        at = 0
        while at < len(text):
            step = STEP.match(text, at)
            if step is None or (step["name"] and bool(step["dot"]) != (at > 0)):
                raise ValueError(f"{text!r} is no path; write name.name[0].name or list[*].name")
            name = step["name"] or step["quoted"]
            index = None if step["index"] is None else int(step["index"])
            self._steps.append(name if name is not None else index)
            at = step.end()
        if not self._steps or self._steps.count(None) > 1:
            raise ValueError(f"{text!r} must name something, with [*] at most once")

    @property
    def many(self) -> bool:
        """Whether it holds `[*]`."""
        return None in self._steps

    def find(self, document: Any) -> Any:  # noqa: ANN401  JSON
        """Return what stands there: a list if the path holds `[*]`.

        Raises:
            Mismatch: if there is no such place.
        """
        return self._walk(document, 0)

    def _walk(self, value: Any, start: int) -> Any:  # noqa: ANN401
        for number, step in enumerate(self._steps[start:], start):
            if step is None:
                if not isinstance(value, list):
                    self._lost(number)
                return [self._walk(entry, number + 1) for entry in value]
            try:
                fits = isinstance(value, dict if isinstance(step, str) else list)
                value = value[step] if fits else self._lost(number)
            except (KeyError, IndexError):
                self._lost(number)
        return value

    def _lost(self, number: int) -> NoReturn:
        step = self._steps[number]
        missing = "no list" if step is None else f"no {step!r}"
        raise Mismatch(f"the reply has {missing} where {self.text!r} looks for it")
