"""Ends with 0 if a worker on this machine gives signs of life in the store.

python -I worker_health.py
"""

import asyncio
import socket
import sys

from service.errors import ServiceError
from service.load_settings import load_settings
from service.store.connection import Store
from service.store.workers import RedisWorkers


async def workers_here() -> int:
    """Return how many workers of this machine, or container, live.

    Raises:
        ServiceError: if the settings are wrong or the store is away.
    """
    settings = load_settings()
    url = None if settings.redis_url is None else settings.redis_url.get_secret_value()
    store = Store(url or "", settings.redis_prefix)
    await store.open()
    try:
        workers = await RedisWorkers(store, settings.lease_seconds).list()
    finally:
        await store.close()
    here = socket.gethostname()
    return sum(not w.inside and w.host.rpartition(":")[0] == here for w in workers)


if __name__ == "__main__":
    try:
        found = asyncio.run(workers_here())
    except ServiceError as error:
        sys.exit(f"no sign of life can be looked for: {error}")
    sys.exit(0 if found else "no worker of this machine gives signs of life")
