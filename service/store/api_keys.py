"""API keys in the store.

    apikeys         id → the key, and SHA-256 of its secrets (sealed)
    apikeys:names   name → something else each time that a key takes the name

Secrets are not kept. The seal is the deployment's, so that nobody makes a key, or a larger one of
theirs, who can merely write to the store. Revoked keys stay: usage reports name them, and a
deployment that ever had one is never open to everybody again by itself. No two keys that count have
the same name: whoever gives one a name looks through them all, and the entry in `apikeys:names`
tells whether somebody else gave it meanwhile.
"""

import contextlib
import dataclasses
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from certification.errors import LedgerDamaged
from service.access.api_key import ApiKey
from service.access.token import Token
from service.errors import BadRequest, KeyNameTaken, NotFound, StoreDamaged
from service.store.connection import Store
from service.store.seals import Seals

NOBODY = "none"  # in place of a key, where usage is asked for
ATTEMPTS = 20  # at a change, while others change the same key

log = structlog.get_logger("surety.access")


@dataclass(frozen=True)
class _Kept:
    """A key and what is kept of its secrets: digest → until when it counts, None for always."""

    key: ApiKey
    digests: Mapping[str, datetime | None]

    def admits(self, digest: str, now: datetime) -> bool:
        """Tell whether it is that of a secret that counts; takes as long whichever differs."""
        found = False
        for known, until in self.digests.items():
            same = hmac.compare_digest(known, digest)
            found |= same and (until is None or now < until)
        return found

    def text(self) -> str:
        """Return it as JSON."""
        digests = [
            [digest, None if until is None else until.isoformat()]
            for digest, until in self.digests.items()
        ]
        return json.dumps({"key": self.key.describe(), "digests": digests}, allow_nan=False)


class RedisApiKeys:
    """See the module's text.

    Args:
        store: the connection.
        seals: of the deployment.
    """

    def __init__(self, store: Store, seals: Seals) -> None:
        self._store, self._seals = store, seals
        nobody = ApiKey("0" * 16, "nobody", frozenset({"read"}), datetime.now(UTC))
        self._nobody = self._sealed(_Kept(nobody, {"0" * 64: None}))

    async def create(self, name: str, scopes: frozenset[Any], **limits: Any) -> tuple[ApiKey, str]:  # noqa: ANN401  fields of ApiKey
        """Make a key.

        Args:
            name: what people call it.
            scopes: what it may do.
            limits: expires, rate, budget, budget_period of :class:`ApiKey`.

        Returns:
            The key, and the text that clients show, which cannot be had again.

        Raises:
            BadRequest: if a value is out of its range; names the field.
            KeyNameTaken: if another key that counts has the name.
            StoreError: if it cannot be kept now.
        """
        token = Token.new()
        key = ApiKey(token.key_id, name, frozenset(scopes), datetime.now(UTC), **limits)
        kept = _Kept(key, {token.digest: None})
        return (await self._attempt(lambda: self._named(b"", kept))).key, token.text

    async def check(self, token: Token) -> ApiKey | None:
        """Return the key whose secret is shown, if it counts; None in every other case.

        Takes the same steps whether there is no such key or the secret is another.

        Raises:
            StoreError: if the store does not answer.
        """
        now = datetime.now(UTC)
        found = await self._store.brisk(lambda redis: redis.hget(self._name, token.key_id))
        try:
            kept = self._kept(token.key_id if found else "0" * 16, found or self._nobody)
        except LedgerDamaged as error:  # as if it were none, which is what a forged one is
            log.error("an API key in the store is not ours", key=token.key_id, error=str(error))
            return None
        good = kept.admits(token.digest, now) and found is not None
        return kept.key if good and kept.key.state(now) == "active" else None

    async def get(self, key_id: str) -> ApiKey:
        """Return a key, in whatever state.

        Raises:
            NotFound: if there is none of this id.
            LedgerDamaged: if this deployment did not write it.
        """
        return self._kept(key_id, await self._found(key_id)).key

    async def list(self) -> list[ApiKey]:
        """Return all keys, in whatever state, the oldest first.

        Raises:
            LedgerDamaged: if this deployment did not write one.
        """
        found = await self._store.brisk(lambda redis: redis.hgetall(self._name))
        keys = [self._kept(key_id.decode(), sealed).key for key_id, sealed in found.items()]
        return sorted(keys, key=lambda key: (key.created, key.id))

    async def any(self) -> bool:
        """Tell whether there is a key, in whatever state: then nobody is served without one."""
        return bool(await self._store.brisk(lambda redis: redis.exists(self._name)))

    async def several(self) -> bool:
        """Tell whether more than one key counts now."""

        async def read(redis: Any) -> bool:  # noqa: ANN401
            active, now = set[bytes](), datetime.now(UTC)
            async for key_id, sealed in redis.hscan_iter(self._name, count=100):
                with contextlib.suppress(LedgerDamaged, StoreDamaged):  # as if it were none
                    if self._kept(key_id.decode(), sealed).key.state(now) == "active":
                        active.add(key_id)
                if len(active) > 1:
                    return True
            return False

        return await self._store.brisk(read)

    async def change(self, key_id: str, **limits: Any) -> ApiKey:  # noqa: ANN401
        """Change a key's name, scopes, expiry or limits; see `LIMITS`.

        Raises:
            NotFound: if there is none of this id.
            BadRequest: if it is revoked, or a value is out of its range.
            KeyNameTaken: if another key that counts has the name that it would count under.
        """

        def changed(kept: _Kept) -> _Kept:
            _not_revoked(kept.key)
            return dataclasses.replace(kept, key=dataclasses.replace(kept.key, **limits))

        return await self._update(key_id, changed)

    async def revoke(self, key_id: str) -> ApiKey:
        """Have a key count no more, for good; nothing if it is revoked.

        Raises:
            NotFound: if there is none of this id.
        """

        def revoked(kept: _Kept) -> _Kept:
            if kept.key.revoked is not None:
                return kept
            key = dataclasses.replace(kept.key, revoked=datetime.now(UTC), overlap=None)
            return _Kept(key, {})

        return await self._update(key_id, revoked)

    async def rotate(self, key_id: str, overlap: timedelta) -> tuple[ApiKey, str]:
        """Give a key another secret.

        Args:
            key_id: whose.
            overlap: for how long the present one counts too; those before it count no more.

        Returns:
            The key, and the text that clients show from now on.

        Raises:
            NotFound: if there is none of this id.
            BadRequest: if it is revoked.
        """
        token, until = Token.new(key_id), datetime.now(UTC) + overlap

        def rotated(kept: _Kept) -> _Kept:
            _not_revoked(kept.key)
            present = [digest for digest, end in kept.digests.items() if end is None] * bool(
                overlap
            )
            key = dataclasses.replace(kept.key, overlap=until if present else None)
            return _Kept(key, {token.digest: None, **dict.fromkeys(present, until)})

        return await self._update(key_id, rotated), token.text

    async def forget(self) -> int:
        """Forget all keys, so that the deployment is as if it had never had one; returns how many.

        Raises:
            BadRequest: if one still counts.
        """
        keys = await self.list()
        if active := [key.id for key in keys if key.state() == "active"]:
            raise BadRequest(f"revoke the keys that count first: {', '.join(active)}")
        ids = [key.id for key in keys]
        if ids:
            await self._store.brisk(lambda redis: redis.hdel(self._name, *ids))
            await self._store.brisk(lambda redis: redis.delete(self._names))
        return len(ids)

    async def renew_seals(self) -> None:
        """Seal all keys under the present secret, so that they count once an old one is gone."""
        found = await self._store.brisk(lambda redis: redis.hgetall(self._name))
        for name, sealed in found.items():
            key_id = name.decode()
            if self._seals.by(sealed) != self._seals.current:
                with contextlib.suppress(LedgerDamaged):  # whoever reads it is told
                    await self._swap(key_id, sealed, self._sealed(self._kept(key_id, sealed)))

    async def _update(self, key_id: str, change: Callable[[_Kept], _Kept]) -> ApiKey:
        async def once() -> _Kept | None:
            before = await self._found(key_id)
            was = self._kept(key_id, before)
            after = change(was)
            if after.key.state() == "active" and (
                after.key.name != was.key.name or was.key.state() != "active"
            ):
                return await self._named(before, after)
            return after if await self._swap(key_id, before, self._sealed(after)) else None

        return (await self._attempt(once)).key

    async def _attempt(self, once: Callable[[], Awaitable[_Kept | None]]) -> _Kept:
        for _ in range(ATTEMPTS):
            if (kept := await once()) is not None:
                return kept
        raise BadRequest("others are changing this key: try again")

    async def _named(self, before: bytes, kept: _Kept) -> _Kept | None:
        """Write a key that takes a name; None if somebody changed it, or took the name, meanwhile.

        Raises:
            BadRequest: if no key may have it.
            KeyNameTaken: if another key that counts has it.
        """
        key, name = kept.key, kept.key.name.strip()
        if name.lower() == NOBODY:
            raise BadRequest(
                f"no key may be named {NOBODY}: usage calls so what had no key", "name"
            )
        stood = await self._store.brisk(lambda redis: redis.hget(self._names, name))
        for other in await self._readable():
            if other.id != key.id and other.name.strip() == name and other.state() == "active":
                raise KeyNameTaken(
                    f"the API key {other.id} has the name {name!r}: choose another one, or revoke "
                    "or rename that key first"
                )
        args = [key.id, before, self._sealed(kept), name, stood or b"", secrets.token_bytes(8)]
        keys = [self._name, self._names]
        return kept if await self._store.brisk_script("swap_named", keys, args) else None

    async def _readable(self) -> tuple[ApiKey, ...]:
        """Return all keys but those that this deployment did not write, which never count."""
        found = await self._store.brisk(lambda redis: redis.hgetall(self._name))
        keys: dict[str, ApiKey] = {}
        for key_id, sealed in found.items():
            with contextlib.suppress(LedgerDamaged):
                keys[key_id] = self._kept(key_id.decode(), sealed).key
        return tuple(keys.values())

    async def _found(self, key_id: str) -> bytes:
        found: bytes | None = await self._store.brisk(lambda redis: redis.hget(self._name, key_id))
        if found is None:
            raise NotFound(f"there is no API key {key_id[:40]!r}")
        return found

    async def _swap(self, key_id: str, before: bytes, after: bytes) -> bool:
        args = [key_id, before, after]
        return bool(await self._store.brisk_script("swap", [self._name], args))

    def _sealed(self, kept: _Kept) -> bytes:
        return self._seals.seal(kept.text(), "apikey", kept.key.id)

    def _kept(self, key_id: str, sealed: bytes) -> _Kept:
        text = self._seals.unseal(sealed, "apikey", key_id)
        try:
            told = json.loads(text)
            digests = {
                digest: None if until is None else datetime.fromisoformat(until)
                for digest, until in told["digests"]
            }
            return _Kept(ApiKey.of(told["key"]), digests)
        except (KeyError, ValueError, TypeError, BadRequest):
            raise StoreDamaged(f"the store's API key {key_id} is not whole") from None

    @property
    def _name(self) -> str:
        return self._store.key("apikeys")

    @property
    def _names(self) -> str:
        return self._store.key("apikeys:names")


def _not_revoked(key: ApiKey) -> None:
    if key.revoked is not None:
        raise BadRequest("the key is revoked, for good: create another one")
