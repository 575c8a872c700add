"""The embedded server's append-only files: a loss that it would not notice."""

from pathlib import Path

from service.errors import ConfigurationError

DIRECTORY = "appendonlydir"
_FIRST = ".1."  # in the names of the files that a new server begins with


def check(folder: Path) -> None:
    """Refuse files whose manifest is gone: a server would start with nothing and overwrite them.

    One that was killed while it made its first files leaves some too, but nothing in them.

    Raises:
        ConfigurationError: if there is something in them.
    """
    files = folder / DIRECTORY
    if any(files.glob("*.manifest")):
        return
    written = [
        path.name
        for path in sorted([*files.glob("*.aof"), *files.glob("*.rdb")])
        if _FIRST not in path.name or (path.suffix == ".aof" and path.stat().st_size)
    ]
    if written:
        raise ConfigurationError(
            f"the manifest is missing in {files}, beside {', '.join(written)}: put it back, or "
            f"move {files} away to begin with an empty store"
        )
