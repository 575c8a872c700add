"""What requests with an Idempotency-Key are about, and what came of them.

    once:DIGEST     claim: fingerprint of the request, id of the run or job that it begins, the
                    process at it; answer: what came of it. Goes after a day.

The digest is of caller and key. Both fields are sealed, since they lead to answers.
"""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from service.errors import KeyReused
from service.store.connection import Store
from service.store.process import Process
from service.store.seals import Seals

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Claim:
    """Who answers the request of a key.

    Attributes:
        fingerprint: what the request is about.
        id: of the run or job that it begins, fixed beforehand, so that it is found whenever the
            process dies.
        process: which answers it.
    """

    fingerprint: str
    id: str
    process: str


@dataclass(frozen=True)
class Found:
    """A key that was used before.

    Attributes:
        claim: whose it is.
        sealed: the claim as it is kept.
        answer: what came of it, None while it is being answered, or if its process died.
    """

    claim: Claim
    sealed: bytes
    answer: dict[str, Any] | None


class RedisOnce:
    """See the module's text.

    Args:
        store: the connection.
        seals: of the deployment.
        process: this one.
        hours: how long a key is kept.

    Attributes:
        answering: sealed claims of this process whose requests it is answering now.
    """

    def __init__(self, store: Store, seals: Seals, process: Process, hours: float) -> None:
        self._store, self._seals, self._process = store, seals, process
        self.answering: set[bytes] = set()
        self._kept_ms = max(1, round(hours * HOUR_MS))

    async def claim(
        self, caller: str | None, key: str, fingerprint: str
    ) -> tuple[str, Claim, bytes, Found | None]:
        """Claim a key for a request.

        Args:
            caller: whose key it is.
            key: as it was sent.
            fingerprint: what the request is about.

        Returns:
            The entry's name, our claim, the same as it is kept, and who has the key already, if
            anybody.

        Raises:
            KeyReused: if it belongs to a request about something else.
            StoreError: if the store is away.
        """
        entry = hashlib.sha256(json.dumps([caller, key]).encode()).hexdigest()
        ours = Claim(fingerprint, secrets.token_hex(12), self._process.id)
        sealed = self._seals.seal(json.dumps(asdict(ours)), "once", entry)
        found = await self._store.brisk_script(
            "once_claim", [self._key(entry)], [sealed, self._kept_ms]
        )
        if not found:
            return entry, ours, sealed, None
        told = Claim(**json.loads(self._seals.unseal(found[0], "once", entry)))
        if told.fingerprint != fingerprint:
            raise KeyReused(
                "this Idempotency-Key was sent before with another path or another body: take a "
                "new one"
            )
        answer = None
        if found[1]:
            answer = json.loads(self._seals.unseal(found[1], "once answer", entry))
        return entry, ours, sealed, Found(told, found[0], answer)

    async def lives(self, found: Found) -> bool:
        """Tell whether the request that has a key is still being answered."""
        if found.claim.process == self._process.id:
            return found.sealed in self.answering
        return await self._process.lives(found.claim.process)

    async def take(self, entry: str, before: bytes, claim: bytes) -> bool:
        """Take a key over from a request of which nothing came; tells whether nobody else did."""
        return await self._change(entry, before, "take", claim)

    async def keep(self, entry: str, claim: bytes, answer: dict[str, Any]) -> None:
        """Note what came of a request."""
        sealed = self._seals.seal(json.dumps(answer), "once answer", entry)
        await self._change(entry, claim, "keep", sealed)

    async def forget(self, entry: str, claim: bytes) -> None:
        """Let the key be used again: nothing came of the request, and it spent nothing."""
        await self._change(entry, claim, "forget", b"")

    async def _change(self, entry: str, claim: bytes, what: str, value: bytes) -> bool:
        args = [claim, what, value, self._kept_ms]
        return bool(await self._store.brisk_script("once_change", [self._key(entry)], args))

    def _key(self, entry: str) -> str:
        return self._store.key("once", entry)
