"""How people name an API key: by its id, by the first digits of it, or by its name."""

from collections.abc import Sequence

from service.access.api_key import ApiKey
from service.errors import BadRequest, NotFound

LEAST = 4  # digits of an id


def key_called(keys: Sequence[ApiKey], name: str) -> ApiKey:
    """Find a key.

    Args:
        keys: of the deployment.
        name: its id, as many of its first digits as no other one has, or its name; of several
            keys with a name the one that counts.

    Raises:
        NotFound: if there is none.
        BadRequest: if there are several.
    """
    asked = name.strip()
    called = [key for key in keys if key.name == asked]
    exact = [key for key in keys if key.id == asked.lower()]
    active = [key for key in called if key.state() == "active"]
    begun = [key for key in keys if len(asked) >= LEAST and key.id.startswith(asked.lower())]
    for found in (exact, active, called, begun):
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(key.id for key in found)
            raise BadRequest(f"{asked[:40]!r} may mean several API keys: {ids}", "id")
    why = "`surety apikeys list` tells which are"
    if len(asked) < LEAST and any(key.id.startswith(asked.lower()) for key in keys):
        why = f"give at least {LEAST} digits of an id"
    raise NotFound(f"there is no API key {asked[:40]!r}: {why}")
