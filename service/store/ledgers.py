"""All ledgers of a deployment, in the store.

    draft:DRAFT     the subject now in use, spoilt ones, re-rolls; each sealed
    claim:DRAFT     the run that may add votes, as process:run; void once the process is dead
    process:ID      there while the process lives

Nothing here is ever dropped but claims: votes are paid for, and a ledger that was gone could be
begun again with other choices.
"""

import asyncio
import contextlib
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

import structlog

from certification.errors import LedgerConflict, LedgerDamaged
from certification.interrupt import held
from certification.protocols import Header, Rerolls, Waiter
from certification.subject import subject_sha256
from service.errors import StoreError
from service.store import header as headers
from service.store.connection import Store
from service.store.ledger import RedisLedger
from service.store.process import Process
from service.store.seals import Seals

POLL_SECONDS = 0.1
FREE_SECONDS = 0.5  # for a claim that nobody has

log = structlog.get_logger("surety.ledger")


class RedisLedgers:
    """See the module's text; the methods are those of `certification.protocols.Ledgers`.

    Args:
        store: the connection.
        seals: of the deployment.
        process: this one, whose claims hold while it lives.
    """

    def __init__(self, store: Store, seals: Seals, process: Process) -> None:
        self._store, self._seals, self._process = store, seals, process
        self._known: WeakValueDictionary[str, RedisLedger] = WeakValueDictionary()
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()
        self._tokens: dict[str, str] = {}

    async def find(self, draft: str) -> RedisLedger | None:
        """Return the ledger in use for a draft, None if there is none."""
        subject = await self._draft(draft, "current")
        return await self.of_subject(subject) if subject else None

    async def of_subject(self, subject: str) -> RedisLedger | None:
        """Return a ledger by the SHA-256 of its subject.

        Raises:
            LedgerDamaged: if its header is not as written.
            LedgerConflict: if its secret is not known here.
        """
        fields = ("header", "mac", "draft", "keeper")
        key = self._store.key("ledger", subject)
        found = await self._store.patient(lambda redis: redis.hmget(key, fields))
        header, mac, draft, keeper = found
        if header is None:
            return self._known.get(subject)  # a server that lost it gets it again
        known = self._known.get(subject)
        if known is not None and known.header_bytes == header:
            return known
        if keeper is None or keeper.decode(errors="replace") not in self._seals.secrets:
            raise LedgerConflict(
                f"the ledger {subject[:16]}… was begun under another deployment secret: give the "
                "service that secret again (SURETY_OLD_SECRETS)"
            )
        damaged = LedgerDamaged(
            f"the ledger {subject[:16]}… is damaged: its header is not as written. Nothing is "
            "asked or counted until the store is restored from a backup"
        )
        try:
            ledger = self._ledger(subject, draft.decode(), header, keeper.decode())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise damaged from None
        origin = ledger.first_fields()["mac"]
        if origin != mac or subject_sha256(ledger.header) != subject:
            raise damaged
        self._known[subject] = ledger
        return ledger

    async def open(
        self, draft: str, header: Header, names: Mapping[str, str] | None = None
    ) -> RedisLedger:
        """Begin a ledger, or return the one that this subject already has."""
        subject = subject_sha256(header)
        made = self._ledger(subject, draft, headers.to_bytes(header), self._seals.current)
        fields = made.first_fields(len(names or {}))
        told = self._seals.seal
        args: list[object] = [subject, told(subject, "draft", draft, "current"), len(fields)]
        args += [x for item in fields.items() for x in item]
        args += [x for k, n in (names or {}).items() for x in (k, told(n, "name", subject, k))]
        key = self._store.key
        keys = [key("ledger", subject), key("draft", draft)]
        keys += [key("ledger", subject, "names"), key("ledgers")]
        await self._store.script("open", keys, args)
        ledger = await self.of_subject(subject)
        assert ledger is not None  # noqa: S101  it has just been written
        return ledger

    async def retire(self, draft: str) -> None:
        """Stop using the present ledger of a draft, but keep its votes."""
        key = self._store.key("draft", draft)
        await self._store.patient(lambda redis: redis.hdel(key, "current"))

    async def spoil(self, draft: str) -> None:
        """Retire the present ledger of a draft for good."""
        if await self._draft(draft, "current"):
            await self._set(draft, "spoilt", str(await self.spoiled(draft) + 1))
            await self.retire(draft)

    async def spoiled(self, draft: str) -> int:
        """Return how many ledgers of a draft were spoilt."""
        return int(await self._draft(draft, "spoilt") or 0)

    async def rerolls(self, draft: str) -> Rerolls | None:
        """See :meth:`certification.protocols.Ledgers.rerolls`."""
        text = await self._draft(draft, "rerolls")
        return Rerolls(**json.loads(text)) if text else None

    async def reroll(self, draft: str) -> Rerolls:
        """Have the noise of a draft drawn anew from here on, by an operator's wish.

        Every later certificate says so, with the alpha that was spent before.

        Raises:
            LedgerConflict: if there is no ledger, or a run adds to it.
        """
        async with self.hold_now(draft):
            ledger = await self.find(draft)
            if ledger is None:
                raise LedgerConflict("this subject has no ledger, so its noise is new anyway")
            before = await self.rerolls(draft) or Rerolls(0, 0.0)
            now = Rerolls(before.count + 1, before.alpha_spent + await ledger.spent())
            await self._set(draft, "rerolls", json.dumps(now.describe()))
            await self.retire(draft)
        return now

    async def subjects(self) -> list[str]:
        """Return the SHA-256 of every subject that has a ledger, sorted."""
        key = self._store.key("ledgers")
        found = await self._store.patient(lambda redis: redis.smembers(key))
        return sorted(subject.decode() for subject in found)

    @asynccontextmanager
    async def hold(self, draft: str, unless: Waiter) -> AsyncIterator[None]:
        """Let one run at a time, of all processes, add to a draft's ledger."""
        lock = self._locks.setdefault(draft, asyncio.Lock())
        self._waiting[draft] += 1
        token = f"{self._process.id}:{secrets.token_hex(8)}"
        try:
            async with held(lock, unless):
                try:
                    await unless(self._claim(draft, token))
                    self._tokens[draft] = token
                    yield
                finally:
                    self._tokens.pop(draft, None)
                    await self._release(draft, token)
        finally:
            self._waiting[draft] -= 1
            if self._waiting[draft] == 0:
                del self._locks[draft], self._waiting[draft]

    @asynccontextmanager
    async def hold_now(self, draft: str) -> AsyncIterator[None]:
        """Do the same, but without waiting for a run.

        Raises:
            LedgerConflict: if one adds to the ledger.
        """
        async with self.hold(draft, _at_once):
            yield

    async def _claim(self, draft: str, token: str) -> bool:
        keys = [self._store.key("claim", draft)]
        args = [token, self._store.key("process", "")]
        while not await self._store.script("claim", keys, args):  # noqa: ASYNC110  of another
            await asyncio.sleep(POLL_SECONDS)
        return True

    async def _release(self, draft: str, token: str) -> None:
        keys = [self._store.key("claim", draft)]
        try:
            await self._store.brisk_script("release", keys, [token])
        except (StoreError, asyncio.CancelledError) as error:
            self._process.release_later(keys[0], token)
            if isinstance(error, asyncio.CancelledError):
                raise

    def _ledger(self, subject: str, draft: str, header: bytes, keeper: str) -> RedisLedger:
        return RedisLedger(
            self._store,
            self._seals,
            subject,
            draft,
            header=header,
            keeper=keeper,
            token=lambda: self._tokens.get(draft, ""),
        )

    async def _draft(self, draft: str, field: str) -> str | None:
        key = self._store.key("draft", draft)
        found = await self._store.patient(lambda redis: redis.hget(key, field))
        return None if found is None else self._seals.unseal(found, "draft", draft, field)

    async def _set(self, draft: str, field: str, text: str) -> None:
        key, sealed = self._store.key("draft", draft), self._seals.seal(text, "draft", draft, field)
        await self._store.patient(lambda redis: redis.hset(key, field, sealed))


async def _at_once(entering: Coroutine[Any, Any, bool]) -> bool:
    """Take a claim, or say that a run has it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FREE_SECONDS):
            return await entering
    raise LedgerConflict("a run is adding to this subject's ledger: cancel it, or wait for its end")
