"""What commands share that look into a deployment's store."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from service.commands.opening import waiting

if TYPE_CHECKING:
    from service.settings import Settings
    from service.state import State

T = TypeVar("T")


async def with_state(settings: "Settings", work: "Callable[[State], Awaitable[T]]") -> T:
    """Open the store, do something with it, and close it."""
    with waiting():
        from service.state import State

        state = await State.open(settings)
    try:
        return await work(state)
    finally:
        await state.close()


def with_store(work: "Callable[[State], Awaitable[T]]") -> T:
    """Do something with the store of the deployment that the environment names."""
    from service.load_settings import load_settings

    return asyncio.run(with_state(load_settings(), work))


def trusted_keys(settings: "Settings") -> dict[str, bytes]:
    """Return the public keys of the data directory or the environment; none are made here."""
    from service.keys import FILE, load_keyring

    if settings.signing_key is None and not (settings.data_dir / FILE).exists():
        return {}
    return {key.id: key.public for key in load_keyring(settings).public_keys}
