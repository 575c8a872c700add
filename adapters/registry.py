"""Finds adapters by entry point; the built-in ones enter by the same door as a stranger's."""

from importlib.metadata import EntryPoint, entry_points

from adapters.errors import AdapterError, UnknownAdapter
from adapters.interface import Adapter

GROUP = "surety.adapters"


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def names() -> list[str]:
    """Return the names of all installed adapters, sorted. Imports none of them."""
    return sorted(_entries())


def adapter_class(name: str) -> type[Adapter]:
    """Import an adapter without building it.

    Raises:
        UnknownAdapter: if no adapter of this name is installed.
        AdapterError: if its package is broken.
    """
    entry = _entries().get(name)
    if entry is None:
        raise UnknownAdapter(
            f"unknown provider {name[:60]!r}: installed are {', '.join(names()) or 'none'}"
        )
    try:
        loaded = entry.load()
    except Exception as error:  # a stranger's package may raise anything, paths included
        raise AdapterError(
            f"the adapter {name!r} cannot be imported ({type(error).__name__})"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Adapter)):
        raise AdapterError(f"the entry point {name!r} names no adapters.interface.Adapter")
    if loaded.name != name:
        # The name stands in the subject: two adapters of one name would share their votes.
        raise AdapterError(f"the adapter of the entry point {name!r} calls itself {loaded.name!r}")
    return loaded


def load(name: str) -> Adapter:
    """Build an adapter.

    Raises:
        UnknownAdapter: if no adapter of this name is installed.
        MissingExtra: if its SDK is not installed.
        NotConfigured: if a credential or an address is missing.
        AdapterError: if its package is broken.
    """
    kind = adapter_class(name)
    try:
        return kind()
    except AdapterError:
        raise
    except Exception as error:
        raise AdapterError(
            f"the adapter {name!r} cannot be built ({type(error).__name__})"
        ) from error
