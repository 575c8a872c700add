"""All ledgers of a deployment, in the store.

    claim:DRAFT     the run that may add votes, as process:run; void once the process is dead, or
                    names it no more (see `process`)

What is known of drafts is in `drafts`, a ledger in `ledger`. Nothing here is ever dropped but
claims: votes are paid for, and a ledger that was gone could be begun again with other choices.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

from certification.errors import LedgerConflict, LedgerDamaged
from certification.interrupt import held
from certification.protocols import Header, Rerolls, Waiter
from certification.subject import subject_sha256
from service.store import header as headers
from service.store.connection import Store
from service.store.drafts import Drafts, DraftState
from service.store.kinds import as_written
from service.store.ledger import RedisLedger
from service.store.ledger_seals import damaged
from service.store.process import Process
from service.store.restore import Restorer, Whole, ledger_keys
from service.store.seals import Seals

POLL_SECONDS = 0.1
FREE_SECONDS = 0.5  # for a claim that nobody has


class RedisLedgers:
    """See the module's text; the methods are those of `certification.protocols.Ledgers`.

    Args:
        store: the connection.
        seals: of the deployment.
        process: this one, whose claims hold while it lives.

    Attributes:
        drafts: what is known of them.
        restorer: puts whole ledgers into the store.
    """

    def __init__(self, store: Store, seals: Seals, process: Process) -> None:
        self._store, self._seals, self._process = store, seals, process
        self.drafts = Drafts(store, seals)
        self.restorer = Restorer(store, seals, self.drafts)
        self._known: WeakValueDictionary[str, RedisLedger] = WeakValueDictionary()
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()
        self._tokens: dict[str, str] = {}

    async def find(self, draft: str) -> RedisLedger | None:
        """Return the ledger in use for a draft, None if there is none.

        Raises:
            LedgerDamaged: if it is gone, or what is known of the draft is not as written.
            LedgerConflict: if its secret is not known here.
        """
        state, _ = await self.drafts.get(draft)
        return None if state.current is None else await self._there(state.current, draft, state)

    async def of_subject(self, subject: str) -> RedisLedger | None:
        """Return a ledger by the SHA-256 of its subject.

        Raises:
            LedgerDamaged: if its header is not as written.
            LedgerConflict: if its secret is not known here.
        """
        keys = ledger_keys(self._store, subject)

        async def look(redis: Any) -> list[Any]:  # noqa: ANN401
            async with redis.pipeline(transaction=True) as both:
                both.hget(keys[0], "header")
                both.exists(*keys)
                found: list[Any] = await both.execute()
                return found

        async with as_written(self._store, subject):
            sealed, present = await self._store.patient(look)
        known = self._known.get(subject)
        if not present:
            return known  # a server that lost it gets it again
        if sealed is None:
            raise damaged(subject, "its header is gone")
        try:
            text = self._seals.unseal(sealed, "header", subject, conflict=True)
        except LedgerDamaged:
            raise damaged(subject, "its header is not as written") from None
        draft, _, header = text.partition("\n")
        if known is not None and known.header_bytes == header.encode():
            return known
        ledger = self._ledger(subject, draft, header.encode(), self._seals.by(sealed))
        if subject_sha256(ledger.header) != subject:
            raise damaged(subject, "its header is that of another subject")
        self._known[subject] = ledger
        return ledger

    async def draft_of(self, ledger: RedisLedger) -> DraftState:
        """Return what is known of a ledger's draft.

        Raises:
            LedgerDamaged: if it is not as written, or does not know the ledger.
        """
        state, _ = await self.drafts.get(ledger.draft)
        if ledger.subject_sha256 not in state.ledgers:
            raise damaged(ledger.subject_sha256, "what was known of its draft is gone")
        return state

    async def open(
        self, draft: str, header: Header, names: Mapping[str, str] | None = None
    ) -> RedisLedger:
        """Begin a ledger, or return the one that this subject already has.

        Raises:
            LedgerDamaged: if that one, or what is known of the draft, is not as written.
            LedgerConflict: if its secret is not known here.
        """
        subject = subject_sha256(header)
        whole = Whole(subject, draft, headers.to_bytes(header), [], names or {}, 0.0, 0, "")
        while True:
            state, raw = await self.drafts.get(draft)
            after = replace(state.having(subject), current=subject)
            if subject in state.ledgers:
                ledger = await self._there(subject, draft, state)
                if after == state or await self.drafts.change(draft, raw, after):
                    return ledger
            else:
                told = await self.restorer.put(whole, raw, after)
                if told == "there":
                    raise damaged(subject, "it is there, and what was known of its draft is gone")
                if told == "done":
                    keeper = self._seals.current
                    made = self._ledger(subject, draft, whole.header, keeper, known=True)
                    made.latest = self.drafts.remember(draft, after.next)
                    self._known[subject] = made
                    return made

    async def retire(self, draft: str) -> None:
        """Stop using the present ledger of a draft, but keep its votes."""
        await self.drafts.update(draft, lambda state: replace(state, current=None))

    async def spoil(self, draft: str) -> None:
        """Retire the present ledger of a draft for good."""

        def spoilt(state: DraftState) -> DraftState:
            if state.current is None:
                return state
            return replace(state, current=None, spoilt=state.spoilt + 1)

        await self.drafts.update(draft, spoilt)

    async def spoiled(self, draft: str) -> int:
        """Return how many ledgers of a draft were spoilt."""
        state, _ = await self.drafts.get(draft)
        return state.spoilt

    async def rerolls(self, draft: str) -> Rerolls | None:
        """See :meth:`certification.protocols.Ledgers.rerolls`."""
        state, _ = await self.drafts.get(draft)
        return state.rerolls

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
            spent = await ledger.spent()

            def rerolled(state: DraftState) -> DraftState:
                before = state.rerolls or Rerolls(0, 0.0)
                again = Rerolls(before.count + 1, before.alpha_spent + spent)
                return replace(state, current=None, rerolls=again)

            told = (await self.drafts.update(draft, rerolled)).rerolls
        assert told is not None  # noqa: S101
        return told

    async def subjects(self) -> list[str]:
        """Return the SHA-256 of every subject that has or had a ledger, sorted.

        They stand in the index, in what is known of drafts, and in the ledgers' own keys: one
        that only some of them tell of is damaged, and must be seen.
        """
        index, pattern = self._store.key("ledgers"), self._store.key("ledger", "*")

        async def look(redis: Any) -> list[bytes]:  # noqa: ANN401
            start = len(self._store.key("ledger", ""))
            found = [line.rpartition(b":")[2] for line in await redis.zrange(index, 0, -1)]
            keys = [key async for key in redis.scan_iter(pattern, count=1000)]
            return found + [key[start:].partition(b":")[0] for key in keys]

        found = {name.decode(errors="replace") for name in await self._store.patient(look)}
        for state in (await self.drafts.all()).values():
            found |= {*state.ledgers}
        return sorted(found)

    @asynccontextmanager
    async def hold(self, draft: str, unless: Waiter) -> AsyncIterator[None]:
        """Let one run at a time, of all processes, add to a draft's ledger."""
        lock = self._locks.setdefault(draft, asyncio.Lock())
        self._waiting[draft] += 1
        try:
            async with held(lock, unless):
                claim, token = self._store.key("claim", draft), self._process.want()
                try:
                    await unless(self._claim(claim, token))
                    self._tokens[draft] = token
                    yield
                finally:
                    self._tokens.pop(draft, None)
                    await self._process.give_back(claim, token)
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

    async def _claim(self, claim: str, token: str) -> bool:
        while not await self._process.claim(claim, token):  # noqa: ASYNC110  of another
            await asyncio.sleep(POLL_SECONDS)
        return True

    async def _there(self, subject: str, draft: str, state: DraftState) -> RedisLedger:
        """Return a ledger that the draft's state names."""
        ledger = await self.of_subject(subject)
        if ledger is None:
            raise damaged(subject, "it is gone")
        ledger.latest = self.drafts.remember(draft, state)
        return ledger

    def _ledger(
        self, subject: str, draft: str, header: bytes, keeper: str, *, known: bool = False
    ) -> RedisLedger:
        return RedisLedger(
            self._store,
            self._seals,
            self.restorer,
            subject,
            draft,
            header=header,
            keeper=keeper,
            token=lambda: self._tokens.get(draft, ""),
            known=known,
        )


async def _at_once(entering: Coroutine[Any, Any, bool]) -> bool:
    """Take a claim, or say that a run has it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FREE_SECONDS):
            return await entering
    raise LedgerConflict("a run is adding to this subject's ledger: cancel it, or wait for its end")
