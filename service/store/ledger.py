"""One ledger in the store: votes appended by index, verified whenever they are read.

    ledger:SUBJECT            header (and draft), end, alpha, vouched; each sealed
    ledger:SUBJECT:votes      one byte a vote (see `encoding`)
    ledger:SUBJECT:macs       32 bytes for every 128 votes (see `chain`)
    ledger:SUBJECT:labels     the labels that the votes stand for
    ledger:SUBJECT:names      how the provider writes them, each sealed

What this process has written it also remembers, so that a server that comes back without its
latest writes gets them again.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from certification.errors import ClaimLost, LedgerConflict, LedgerDamaged, LedgerSealed
from certification.protocols import Header, Vote
from service.store import header as headers
from service.store.chain import Chain, ledger_key
from service.store.connection import Store
from service.store.content import Content
from service.store.drafts import Latest
from service.store.end import End
from service.store.kinds import as_written
from service.store.ledger_seals import LedgerSeals
from service.store.raised import Raised
from service.store.restore import Restorer, Whole, ledger_keys
from service.store.seals import Seals

log = structlog.get_logger("surety.ledger")


class RedisLedger:
    """The votes of one subject. Used from one event loop, by any number of runs.

    Args:
        store: the connection.
        seals: of the deployment.
        restorer: puts back what the store has lost as a whole.
        subject: SHA-256 of the subject.
        draft: SHA-256 of the subject without its model version.
        header: bytes of the header.
        keeper: id of the secret that its MACs are made with.
        token: returns the claim under which this process writes, "" for none.
        known: whether this process has written it, and not only found it.

    Attributes:
        latest: what this process knows of its draft; a server that loses it gets it again.
    """

    def __init__(
        self,
        store: Store,
        seals: Seals,
        restorer: Restorer,
        subject: str,
        draft: str,
        *,
        header: bytes,
        keeper: str,
        token: Callable[[], str],
        known: bool = False,
    ) -> None:
        self._store, self._restorer, self._token = store, restorer, token
        self._seals = LedgerSeals(seals, subject, keeper)
        self.subject_sha256, self.draft, self.keeper = subject, draft, keeper
        self.latest: Latest | None = None
        self._bytes, self._header = header, headers.from_bytes(header)
        self._content = Content(Chain(ledger_key(seals.secrets[keeper], subject), header))
        self._known = known
        self._busy = asyncio.Lock()
        self._keys = ledger_keys(store, subject)
        self._alpha, self._vouched = (
            Raised(store, self._keys[0], field, kind, self._seals)
            for field, kind in (("alpha", float), ("vouched", int))
        )

    @property
    def header(self) -> Header:
        """What was fixed before vote 0."""
        return self._header

    @property
    def header_bytes(self) -> bytes:
        """The header as it is kept."""
        return self._bytes

    @property
    def sealed(self) -> str:
        """When its key was revealed, "" if it was not; as of the latest read."""
        return self._content.sealed

    async def read(self, start: int = 0) -> list[Vote]:
        """See :meth:`certification.protocols.Ledger.read`."""
        async with self._busy:
            await self._refresh()
            return self._content.chain.votes[start:]

    async def append(
        self, start: int, votes: Sequence[Vote], names: Mapping[str, str] | None = None
    ) -> None:
        """See :meth:`certification.protocols.Ledger.append`."""
        async with self._busy:
            chain = self._content.chain
            if start > len(chain.votes):
                await self._refresh()
            kept = len(chain.votes)
            if start > kept:
                raise LedgerConflict(f"votes {kept} to {start - 1} are missing from the ledger")
            overlap = chain.votes[start : start + len(votes)]
            if list(votes[: len(overlap)]) != overlap:
                raise LedgerConflict(f"votes from {start} on differ from those already kept")
            await self._write(list(votes[len(overlap) :]), names or {})

    async def spend(self, alpha: float) -> None:
        """See :meth:`certification.protocols.Ledger.spend`."""
        await self._alpha.raise_to(alpha, self.read)

    async def spent(self) -> float:
        """Return the largest alpha that votes were looked at with."""
        return await self._alpha.get(self.read)

    async def vouch(self, length: int) -> None:
        """See :meth:`certification.protocols.Ledger.vouch`."""
        await self._vouched.raise_to(length, self.read)

    async def vouched(self) -> int:
        """Return the largest length that was vouched for."""
        return int(await self._vouched.get(self.read))

    async def names(self) -> Mapping[str, str]:
        """Return label key → the provider's spelling."""
        async with as_written(self._store, self.subject_sha256):
            found = await self._store.patient(lambda redis: redis.hgetall(self._keys[-1]))
        return {
            label: self._seals.spelling(label, text)
            for label, text in ((key.decode(errors="replace"), t) for key, t in found.items())
        }

    async def glance(self) -> End:
        """Return where the ledger ends; its votes are not verified by that.

        Raises:
            LedgerDamaged: if that is not as written.
        """
        found = await self._store.patient(lambda redis: redis.hget(self._keys[0], "end"))
        return End.of(self._seals.unseal(found, "end"))

    async def seal(self, when: str) -> None:
        """Take no more votes, for good.

        Args:
            when: ISO date.
        """
        async with self._busy:
            await self._refresh()
            while not self._content.sealed:
                before = self._content.end
                after = End(before.n, before.rest, when, before.labels, before.names)
                if await self._swap_end(before, after):
                    self._content.sealed = when
                else:
                    await self._refresh()

    async def _swap_end(self, before: End, after: End) -> bool:
        texts = (self._seals.seal(before.text(), "end"), self._seals.seal(after.text(), "end"))
        return await self._store.swap(self._keys[0], "end", *texts)

    async def _write(self, votes: list[Vote], names: Mapping[str, str]) -> None:
        """Append to the chain, in the store first."""
        tried_again = False
        while True:
            content = self._content
            if content.sealed:
                raise self._refused(content.sealed)
            further = {
                k: self._seals.named(k, n) for k, n in names.items() if k not in content.names
            }
            if not votes and not further:
                return
            told = await self._try(content, votes, further, content.end)
            if told == b"done":
                content.take(content.with_votes(votes, further))
                self._known = True
                return
            if told == b"lost":
                raise ClaimLost("another worker has taken this subject over")
            if tried_again:
                raise self._seals.damaged("it is not as this process left it")
            tried_again = True
            before = len(content.chain.votes)
            await self._refresh()
            if len(content.chain.votes) != before:
                raise ClaimLost("another worker has added to this subject")

    async def _try(
        self, content: Content, votes: Sequence[Vote], names: Mapping[str, bytes], before: End
    ) -> bytes:
        more = content.with_votes(votes, names)
        args: list[Any] = [self._token(), self._store.key("process", "")]
        args += [self._seals.seal(before.text(), "end"), self._seals.seal(more.end.text(), "end")]
        keys = [*self._keys, self._store.key("claim", self.draft)]
        told: bytes = await self._store.script("append", keys, args + content.arguments(more))
        return told

    async def _refresh(self) -> None:
        """Read what others have added, and verify it; give the store what it has lost."""
        content = self._content
        while True:
            known = content.known
            async with as_written(self._store, self.subject_sha256):
                found = await self._store.script("read", self._keys, known)
            present, sealed_end, data, macs, labels, count, names = found
            if present:
                break
            await self._put_back()
        end = End.of(self._seals.unseal(sealed_end, "end"))
        if end.n < len(content.chain.votes) or (content.sealed and not end.sealed):
            await self._restore(end)
            return
        pairs = None if count == known[-1] else dict(zip(names[::2], names[1::2], strict=True))
        try:
            content.read(end, data, macs, labels, pairs)
        except LedgerDamaged as error:
            raise self._seals.damaged(str(error)) from None
        self._known = True

    async def _put_back(self) -> None:
        """Give the store the whole ledger again, if this process holds it."""
        if not self._known:
            raise self._seals.damaged("it is gone")
        content = self._content
        self._tell_loss(None)
        whole = Whole(
            self.subject_sha256,
            self.draft,
            self._bytes,
            content.chain.votes,
            {label: self._seals.spelling(label, text) for label, text in content.names.items()},
            self._alpha.known,
            int(self._vouched.known),
            content.sealed,
        )
        await self._restorer.put_back(whole, self.keeper)

    async def _restore(self, end: End) -> None:
        """Give the store back what it has lost of this process's writes behind an end."""
        content, names = self._content, self._keys[-1]
        self._tell_loss(end.n)
        kept = await self._store.patient(lambda redis: redis.hkeys(names))
        there = {name.decode(errors="replace") for name in kept}
        both = {label: text for label, text in content.names.items() if label in there}
        short = content.cut(end, both)
        if short.end != end:
            raise self._seals.damaged(
                f"its first {end.n} votes are not those that this process has read"
            )
        short.sealed = content.sealed
        lost = {label: text for label, text in content.names.items() if label not in there}
        told = await self._try(short, content.chain.votes[end.n :], lost, end)
        if told == b"lost":
            raise ClaimLost("another worker has taken this subject over")
        if told != b"done":
            raise self._seals.damaged("what it lost could not be written again")

    def _tell_loss(self, found: int | None) -> None:
        log.warning(
            "the store has lost votes that it had taken: they are written again",
            subject=self.subject_sha256,
            found=found,
            known=len(self._content.chain.votes),
        )

    def _refused(self, when: str) -> LedgerSealed:
        return LedgerSealed(
            f"the noise key of this subject was revealed on {when}, so its ledger takes no more "
            "votes: an operator may have the noise drawn anew (surety ledgers reroll)"
        )
