"""Everything of a deployment that must last: keys, ledgers, certificates, runs, pictures."""

from typing import Self

from service.keys import load_keyring
from service.settings import Settings
from service.store.certificates import RedisCertificates
from service.store.connection import Store
from service.store.deployment import Deployment
from service.store.embedded import EmbeddedServer
from service.store.images import RedisImages
from service.store.ledgers import RedisLedgers
from service.store.process import Process
from service.store.rate import RedisLimits
from service.store.runs import RedisRuns
from service.store.seals import Seals


class State:
    """See the module's text. Opened by `State.open`, and used from one event loop.

    Args:
        settings: the deployment's.

    Attributes:
        keyring: secrets and signing key.
        store: the connection.
        process: this one.
        deployment: what all processes agree on.
        ledgers: all votes.
        certificates: those that were issued.
        runs: those that are worked on, and those that have ended.
        images: those that somebody asked to keep.
        limits: the rate limits that all processes share.
    """

    def __init__(self, settings: Settings) -> None:
        self.keyring = load_keyring(settings)
        url = None if settings.redis_url is None else settings.redis_url.get_secret_value()
        server = EmbeddedServer(settings.data_dir) if url is None else None
        self.store = Store(url, settings.redis_prefix, server)
        seals = Seals(self.keyring.current_secret, self.keyring.secrets)
        self.process = Process(self.store, settings.lease_seconds)
        self.deployment = Deployment(self.store, seals)
        self.ledgers = RedisLedgers(self.store, seals, self.process)
        self.certificates = RedisCertificates(self.store)
        self.runs = RedisRuns(self.store, seals, self.process)
        self.images = RedisImages(self.store)
        self.limits = RedisLimits(self.store, self.keyring.current_secret)

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Connect, and join the deployment.

        Raises:
            ConfigurationError: if the keys or the data directory cannot be used, or the store
                belongs to another deployment.
            StoreError: if the store does not answer.
        """
        state = cls(settings)
        try:
            await state.store.open()
            await state.deployment.join()
            await state.deployment.register(state.keyring.public_keys)
            await state.process.begin()
        except BaseException:
            await state.store.close()
            raise
        return state

    async def close(self) -> None:
        """Give up all claims, and disconnect."""
        await self.process.end()
        await self.limits.close()
        await self.store.close()
