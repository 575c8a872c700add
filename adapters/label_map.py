"""Label maps from files: which label counts as which other ("Human" as "Person").

A JSON object, a TOML table, or CSV with two columns and no heading:

    Human,Person
    Kitten,Cat
"""

import csv
import io
import json
import tomllib
from pathlib import Path

from adapters.errors import NotConfigured
from certification.decision import LabelMap

LARGEST = 2**20  # bytes


def read_label_map(path: Path) -> dict[str, str]:
    """Read a label map.

    Args:
        path: .json, .toml, or anything else for CSV.

    Returns:
        Label → label that it counts as, as written in the file.

    Raises:
        NotConfigured: if it cannot be read, or is something else; says where.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError(f"more than {LARGEST:,} bytes")
        found = _parse(path.suffix.lower(), data.decode("utf-8-sig"))
        LabelMap.of(found)  # else each request would be told that it is wrong
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NotConfigured(f"the label map {path.name!r} cannot be read: {reason}") from None
    return found


def _parse(suffix: str, text: str) -> dict[str, str]:
    if suffix in (".json", ".toml"):
        found = (
            json.loads(text, object_pairs_hook=_once) if suffix == ".json" else tomllib.loads(text)
        )
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise ValueError('an object of names is needed, such as {"Human": "Person"}')
        return found
    rows = csv.reader(io.StringIO(text, newline=""))
    pairs: list[list[str]] = []
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) == 2:
            pairs.append(row)
        else:
            raise ValueError(f"line {rows.line_num} has {len(row)} columns in place of two")
    return _once(pairs)


def _once(pairs: list[tuple[str, str]] | list[list[str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for label, target in pairs:
        if found.setdefault(label, target) != target:
            raise ValueError(f"{label!r} is mapped to {found[label]!r} and to {target!r}")
    return found
