"""Everything of a deployment that must last: keys, ledgers, certificates, runs, pictures."""

from typing import Self
from urllib.parse import urlsplit

from service.keys import load_keyring
from service.settings import Settings
from service.store import unix_socket
from service.store.api_keys import RedisApiKeys
from service.store.certificates import RedisCertificates
from service.store.deployment import Deployment
from service.store.images import RedisImages
from service.store.job_pictures import RedisJobPictures
from service.store.jobs import RedisJobs
from service.store.ledgers import RedisLedgers
from service.store.once import RedisOnce
from service.store.process import Process
from service.store.rate import RedisLimits
from service.store.runs import RedisRuns
from service.store.seals import Seals
from service.store.stored import Stored
from service.store.unclaimed import check_unclaimed, store_of
from service.store.uploads import RedisUploads
from service.store.usage import RedisUsage
from service.store.workers import RedisWorkers


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
        stored: how much pictures of jobs take.
        uploads: pictures of jobs, as they came.
        jobs: batch jobs.
        pictures: theirs, and what came of each.
        workers: who works on them.
        limits: the rate limits that all processes share.
        once: what requests with an Idempotency-Key are about.
        api_keys: who may use the deployment through HTTP.
        usage: what they use.
    """

    def __init__(self, settings: Settings) -> None:
        self.keyring = load_keyring(settings)
        url = None if settings.redis_url is None else settings.redis_url.get_secret_value()
        self.store = store_of(settings)
        seals = Seals(self.keyring.current_secret, self.keyring.secrets)
        self.process = Process(self.store, settings.lease_seconds)
        self.deployment = Deployment(self.store, seals)
        self.ledgers = RedisLedgers(self.store, seals, self.process)
        self.certificates = RedisCertificates(self.store)
        self.runs = RedisRuns(self.store, seals, self.process)
        self.images = RedisImages(self.store)
        self.stored = stored = Stored(self.store, settings.max_stored_pictures_bytes)
        self.uploads = RedisUploads(self.store, stored)
        self.jobs = RedisJobs(self.store, seals)
        self.pictures = RedisJobPictures(self.store, seals, self.jobs, self.uploads, stored)
        self.workers = RedisWorkers(self.store, settings.lease_seconds)
        self.once = RedisOnce(self.store, seals, self.process, settings.idempotency_hours)
        self.api_keys = RedisApiKeys(self.store, seals)
        self.usage = RedisUsage(self.store)
        self._url, self._store_folder = url, settings.data_dir.absolute() / "store"
        self.limits = RedisLimits(self.store, self.keyring.current_secret)

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Connect, and join the deployment.

        Raises:
            ConfigurationError: if the keys or the data directory cannot be used, or the store
                belongs to another deployment.
            StoreError: if the store does not answer.
        """
        await check_unclaimed(settings)
        state = cls(settings)
        try:
            await state.store.open()
            await state.deployment.join()
            await state.deployment.register(state.keyring.public_keys)
            await state.api_keys.renew_seals()
            await state.process.begin()
        except BaseException:
            await state.store.close()
            raise
        return state

    @property
    def url(self) -> str:
        """The address of the store, for clients beside our own; may hold a password."""
        return self._url or f"unix://{unix_socket.reachable(self._store_folder)}"

    @property
    def address(self) -> str:
        """The address of the store without user, password and options, to be told to people."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    async def close(self) -> None:
        """Give up all claims, and disconnect."""
        await self.process.end()
        await self.limits.close()
        await self.store.close()
