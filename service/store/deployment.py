"""What all processes of a deployment agree on: the secret, by its id, and the public keys.

    deployment      id of the secret in use, ids of those before it
    keys            public signing keys by id, sealed; old ones stay for ever

Nothing secret is kept in the store.
"""

import contextlib
import json
from collections.abc import Iterable
from typing import Any

from certification.errors import LedgerDamaged
from service.errors import ConfigurationError
from service.keyring import PublicKey
from service.store.connection import Store
from service.store.seals import Seals

FORMAT = 2  # of everything in the store; raised whenever an older version could not read it


class Deployment:
    """See the module's text.

    Args:
        store: the connection.
        seals: of this process's secrets.
    """

    def __init__(self, store: Store, seals: Seals) -> None:
        self._store, self._seals = store, seals

    async def join(self) -> None:
        """See that this process has the deployment's secret; the first one brings it.

        A process that knows the deployment's secret as an old one of its own, and has a new one
        that was never in use here, rotates it.

        Raises:
            ConfigurationError: if its secret is another one.
            StoreError: if the store is away.
        """
        ours = self._seals.current
        old = [name for name in self._seals.secrets if name != ours]
        key = self._store.key("deployment")
        told, theirs, version = await self._store.brisk_script("join", [key], [ours, FORMAT, *old])
        if told == b"joined":
            return
        if told == b"format":
            raise ConfigurationError(
                f"the store was written by another version of Surety (format "
                f"{version.decode(errors='replace')}, this one reads {FORMAT}), and it is left as "
                "it is. Use that version, or carry the ledgers over: with that version `surety "
                "ledgers export --output ledgers.jsonl`, then with this one and an empty store "
                "(another SURETY_REDIS_PREFIX or SURETY_DATA_DIR, the same keys) `surety ledgers "
                "import ledgers.jsonl --trust KEY`. Certificates are not carried over: to issue "
                "one again costs nothing once its ledger is there"
            )
        if told == b"retired":
            raise ConfigurationError(
                f"the deployment secret {ours} was rotated away, {theirs.decode()} is in use: give "
                "this process the same keys as the others (SURETY_SECRET and SURETY_OLD_SECRETS, "
                "or the file keys.json of the data directory)"
            )
        raise ConfigurationError(
            f"the store belongs to a deployment with the secret {theirs.decode()}, and this "
            f"process has {ours}: its noise would be other noise. Give it the same keys "
            "(SURETY_SECRET, or that deployment's keys.json in the place of the one in the data "
            "directory), or another SURETY_REDIS_PREFIX for a deployment of its own"
        )

    async def register(self, keys: Iterable[PublicKey]) -> None:
        """Keep public keys, so that what they have signed can be checked for ever."""
        entries = {
            key.id: self._seals.seal(
                json.dumps({"public_key": key.public.hex(), "created": key.created}), "key", key.id
            )
            for key in keys
        }

        name = self._store.key("keys")

        async def keep(redis: Any) -> None:  # noqa: ANN401
            for key_id, entry in entries.items():
                await redis.hsetnx(name, key_id, entry)
            # Under the present secret, so that they can be read once an old one is gone.
            for key_id, entry in (await redis.hgetall(name)).items():
                if not entry.startswith(self._seals.current.encode()):
                    with contextlib.suppress(LedgerDamaged):  # whoever reads it is told
                        told = self._seals.unseal(entry, "key", key_id.decode())
                        await redis.hset(
                            name, key_id, self._seals.seal(told, "key", key_id.decode())
                        )

        await self._store.brisk(keep)

    async def public_keys(self, current: str | None = None) -> list[PublicKey]:
        """Return all public keys, the oldest first.

        Args:
            current: id of the one that this process signs with.

        Raises:
            LedgerDamaged: if one was not written by this deployment.
        """
        name = self._store.key("keys")
        found = []
        for key_id, sealed in (await self._store.brisk(lambda r: r.hgetall(name))).items():
            text = self._seals.unseal(sealed, "key", key_id.decode())
            entry, key = json.loads(text), key_id.decode()
            public = bytes.fromhex(entry["public_key"])
            found.append(PublicKey(key, entry["created"], key == current, "store", public))
        return sorted(found, key=lambda key: (key.created or "", key.id))
