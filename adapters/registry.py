"""Finds adapters by entry point; the built-in ones enter by the same door as a stranger's.

What a request calls a provider is the name of an adapter, or of an operator's profile.
"""

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from adapters.errors import AdapterError, NotConfigured, UnknownAdapter
from adapters.interface import Adapter
from adapters.label_map import read_label_map
from adapters.policy.window import fitting_batch
from adapters.profile import Profile
from adapters.profiles import Profiles

GROUP = "surety.adapters"
OWN = "adapters."  # how the modules begin that come with Surety
NO_PROFILES = Profiles()
OF_TRAITS = ("price", "rate", "rate_unit", "concurrency", "timeout")


def _entries() -> dict[str, EntryPoint]:
    """Return what stands behind each name; one of Surety's is Surety's, whoever else claims it."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.module.startswith(OWN))
    return {entry.name: entry for entry in found}


def names(profiles: Profiles = NO_PROFILES) -> list[str]:
    """Return the names of all installed adapters and profiles, sorted. Imports none of them."""
    return sorted({*_entries(), *profiles})


def adapter_of(name: str, profiles: Profiles = NO_PROFILES) -> str:
    """Return the adapter that a name stands for: its profile's, else itself."""
    found: object = profiles.get(name, {}).get("adapter", name)
    if not isinstance(found, str):
        raise NotConfigured(f"profile {name!r}: adapter must be the name of an adapter")
    return found


def adapter_class(name: str) -> type[Adapter]:
    """Import an adapter without building it.

    Raises:
        UnknownAdapter: if no adapter of this name is installed.
        AdapterError: if its package is broken, or two packages claim the name.
    """
    entry = _entries().get(name)
    if entry is None:
        raise UnknownAdapter(
            f"unknown provider {name[:60]!r}: installed are {', '.join(names()) or 'none'}"
        )
    claims = {other.value for other in entry_points(group=GROUP, name=name)}
    if len(claims) > 1 and not entry.module.startswith(OWN):
        both = " and ".join(sorted(claims))
        raise AdapterError(f"the adapter {name!r} is both {both}: uninstall one of them")
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


def load(name: str, profiles: Profiles = NO_PROFILES) -> Adapter:
    """Build an adapter.

    Args:
        name: of an adapter or of a profile.
        profiles: the operator's.

    Raises:
        UnknownAdapter: if neither is known.
        MissingExtra: if its SDK is not installed.
        NotConfigured: if a credential or an address is missing, or the profile is wrong.
        AdapterError: if its package is broken.
    """
    if name not in profiles and name not in _entries():
        known = ", ".join(names(profiles)) or "none"
        raise UnknownAdapter(f"unknown provider {name[:60]!r}: installed are {known}")
    kind = _class_of(name, profiles)
    profile = _profile(name, kind, profiles)
    try:
        takes_one = profile is not None and kind.profile_type is not None
        made: Callable[..., Adapter] = kind
        adapter = made(profile) if takes_one else made()
        adapter.name, adapter.adapter = name, adapter_of(name, profiles)
        _apply(adapter, profile)
    except AdapterError:
        raise
    except Exception as error:
        raise AdapterError(
            f"the adapter {name!r} cannot be built ({type(error).__name__})"
        ) from error
    return adapter


def _class_of(name: str, profiles: Profiles) -> type[Adapter]:
    adapter = adapter_of(name, profiles)
    try:
        return adapter_class(adapter)
    except UnknownAdapter as error:
        if name in profiles:  # a fault of the operator's file, not of a request
            raise NotConfigured(f"profile {name!r}: {error}") from None
        raise


def _profile(name: str, kind: type[Adapter], profiles: Profiles) -> Profile | None:
    if name not in profiles:
        return None
    table: dict[str, Any] = {k: v for k, v in profiles[name].items() if k != "adapter"}
    model = kind.profile_type or Profile
    try:
        return model.model_validate(table, context={"folder": profiles.folder})
    except ValidationError as error:
        # Without the value, which may be a secret in the wrong place.
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'table'}: {e['msg']}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise NotConfigured(f"profile {name!r}: {wrong}") from None


def _apply(adapter: Adapter, profile: Profile | None) -> None:
    """Set what every profile may set, and batches that a rate limit can be filled with."""
    chosen = {
        field: value
        for field in OF_TRAITS
        if profile is not None and (value := getattr(profile, field)) is not None
    }
    traits = replace(adapter.traits, **chosen)
    if traits.rate is not None and traits.rate_unit == "image":
        traits = replace(traits, max_batch=fitting_batch(traits.rate, traits.max_batch))
    adapter.traits = traits
    if profile is not None and profile.label_map is not None:
        adapter.synonyms = read_label_map(profile.label_map)
