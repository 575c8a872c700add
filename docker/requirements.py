"""Prints what pyproject.toml requires, with some of its extras, one requirement a line.

    python requirements.py pyproject.toml aws,google

So the image's dependencies can be installed before the source is there, in a layer of their own.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def requirements(project: dict[str, Any], extras: list[str]) -> list[str]:
    """Return the requirements, those of extras of the project itself resolved.

    Args:
        project: the table `project` of pyproject.toml.
        extras: names of its extras.

    Raises:
        KeyError: if there is no such extra.
    """
    found = [*project["dependencies"]]
    for extra in extras:
        found += _of(project, extra)
    return sorted(dict.fromkeys(found))


def _of(project: dict[str, Any], extra: str) -> Iterator[str]:
    for one in project["optional-dependencies"][extra]:
        own = re.fullmatch(rf"{project['name']}\[([^\]]+)\]", one)
        if own is None:
            yield one
            continue
        for inner in own[1].split(","):
            yield from _of(project, inner.strip())


if __name__ == "__main__":
    table = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"]
    wanted = [name.strip() for name in sys.argv[2].split(",") if name.strip()]
    print("\n".join(requirements(table, wanted)))
