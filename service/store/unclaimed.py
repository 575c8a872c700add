"""Before keys are made for a store: that it is no other deployment's.

A store that was restored without its `keys.json` would else be given new keys beside it, which
look like its own and open nothing.
"""

from service.errors import ConfigurationError
from service.keys import FILE, SECRET, lacks_secret
from service.settings import Settings
from service.store import append_only
from service.store.connection import Store
from service.store.embedded import EmbeddedServer


def store_of(settings: Settings) -> Store:
    """Return the store of a deployment, not yet opened."""
    if settings.redis_url is not None:
        return Store(settings.redis_url.get_secret_value(), settings.redis_prefix)
    return Store(None, settings.redis_prefix, EmbeddedServer(settings.data_dir))


async def check_unclaimed(settings: Settings) -> None:
    """See that a deployment without a secret has a store that no secret is known of.

    Does nothing where there is a secret.

    Raises:
        ConfigurationError: if its store is another's, or its keys or its store cannot be used.
        StoreError: if the store does not answer.
    """
    if not lacks_secret(settings):
        return
    written = settings.data_dir / "store" / append_only.DIRECTORY
    if settings.redis_url is None and not written.exists():
        return
    store = store_of(settings)
    try:
        await store.open()
        name = store.key("deployment")
        found = await store.brisk(lambda redis: redis.hget(name, "secret_id"))
    finally:
        await store.close()
    if found is not None:
        raise ConfigurationError(
            f"the store belongs to a deployment with the secret {found.decode(errors='replace')}, "
            f"and there is no secret: put that deployment's {FILE} back into "
            f"{settings.data_dir.absolute()}, or set {SECRET} to its secret. No keys were made. "
            "For a deployment of its own set another SURETY_DATA_DIR or SURETY_REDIS_PREFIX"
        )
