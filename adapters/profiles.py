"""An operator's profiles: TOML tables by the names that requests give.

Written for the operator alone: no request adds or changes one.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapters.errors import NotConfigured


class Profiles(Mapping[str, Mapping[str, Any]]):
    """Tables by name, as written.

    Args:
        tables: from a file.
        folder: what relative paths in them count from.
    """

    def __init__(
        self, tables: Mapping[str, Mapping[str, Any]] | None = None, folder: Path | None = None
    ) -> None:
        self._tables, self.folder = dict(tables or {}), folder

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


def read_profiles(path: Path) -> Profiles:
    """Read a file of profiles.

    Raises:
        NotConfigured: if it cannot be read, or holds something beside tables.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotConfigured(f"the file of profiles cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise NotConfigured(f"the file of profiles is no TOML: {error}") from None
    stray = [name for name, table in tables.items() if not isinstance(table, dict)]
    if stray:
        raise NotConfigured(
            f"the file of profiles: {stray[0]!r} stands outside a table; write [name] above it"
        )
    return Profiles(tables, path.resolve().parent)
