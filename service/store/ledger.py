"""One ledger in the store: votes appended by index, verified whenever they are read.

    ledger:SUBJECT            header, its MAC, n, head, sealed, alpha, vouched
    ledger:SUBJECT:votes      one byte a vote (see `encoding`)
    ledger:SUBJECT:macs       32 bytes for every 128 votes (see `chain`)
    ledger:SUBJECT:labels     the labels that the votes stand for
    ledger:SUBJECT:names      how the provider writes them

What this process has written it also remembers, so that a server that comes back without its
latest writes gets them again.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import structlog

from certification.errors import ClaimLost, LedgerConflict, LedgerDamaged, LedgerSealed
from certification.protocols import Header, Vote
from service.store import header as headers
from service.store.chain import MAC_BYTES, Chain, End, ledger_key
from service.store.connection import Store
from service.store.encoding import decode, encode, votes_of
from service.store.seals import Seals

PARTS = ("votes", "macs", "labels", "names")

log = structlog.get_logger("surety.ledger")


class RedisLedger:
    """The votes of one subject. Used from one event loop, by any number of runs.

    Args:
        store: the connection.
        seals: of the deployment.
        subject: SHA-256 of the subject.
        draft: SHA-256 of the subject without its model version.
        header: bytes of the header.
        keeper: id of the secret that its MACs are made with.
        token: returns the claim under which this process writes, "" for none.
    """

    def __init__(
        self,
        store: Store,
        seals: Seals,
        subject: str,
        draft: str,
        *,
        header: bytes,
        keeper: str,
        token: Callable[[], str],
    ) -> None:
        self._store, self._seals, self._token = store, seals, token
        self.subject_sha256, self.draft, self.keeper = subject, draft, keeper
        self._bytes = header
        self._header = headers.from_bytes(header)
        self._chain = Chain(ledger_key(seals.secrets[keeper], subject), header)
        self._labels: list[str] = []
        self._named: set[str] = set()  # labels whose spelling is kept
        self._sealed = ""
        self._offset = 0  # bytes of the full blocks' votes
        self._busy = asyncio.Lock()

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
        return self._sealed

    def first_fields(self, names: int = 0) -> dict[str, bytes | str]:
        """Return what the store holds of a ledger without votes, but with so many names."""
        seal, sha = self._seals.seal, self.subject_sha256
        return {
            "header": self._bytes,
            "mac": self._chain.origin,
            "draft": self.draft,
            "keeper": self.keeper,
            "n": "0",
            "head": self._chain.cut(0).head("", names),
            "alpha": seal("0", "alpha", sha),
            "alpha_number": "0",
            "vouched": seal("0", "vouched", sha),
            "vouched_number": "0",
        }

    async def read(self, start: int = 0) -> list[Vote]:
        """See :meth:`certification.protocols.Ledger.read`."""
        async with self._busy:
            await self._refresh()
            return self._chain.votes[start:]

    async def append(
        self, start: int, votes: Sequence[Vote], names: Mapping[str, str] | None = None
    ) -> None:
        """See :meth:`certification.protocols.Ledger.append`."""
        async with self._busy:
            kept = len(self._chain.votes)
            if start > kept:
                await self._refresh()
                kept = len(self._chain.votes)
            if start > kept:
                raise LedgerConflict(f"votes {kept} to {start - 1} are missing from the ledger")
            overlap = self._chain.votes[start : start + len(votes)]
            if list(votes[: len(overlap)]) != overlap:
                raise LedgerConflict(f"votes from {start} on differ from those already kept")
            new = list(votes[len(overlap) :])
            further = {k: n for k, n in (names or {}).items() if k not in self._named}
            if self._sealed:
                raise self._refused(self._sealed)
            if new or further:
                await self._write(new, further)

    async def spend(self, alpha: float) -> None:
        """See :meth:`certification.protocols.Ledger.spend`."""
        await self._raise("alpha", repr(float(alpha)))

    async def spent(self) -> float:
        """Return the largest alpha that votes were looked at with."""
        return float(await self._number("alpha"))

    async def vouch(self, length: int) -> None:
        """See :meth:`certification.protocols.Ledger.vouch`."""
        await self._raise("vouched", str(length))

    async def vouched(self) -> int:
        """Return the largest length that was vouched for."""
        return int(await self._number("vouched"))

    async def names(self) -> Mapping[str, str]:
        """Return label key → the provider's spelling."""
        found = await self._store.patient(lambda redis: redis.hgetall(self._key("names")))
        unseal, sha = self._seals.unseal, self.subject_sha256
        return {
            key.decode(): unseal(text, "name", sha, key.decode()) for key, text in found.items()
        }

    async def seal(self, when: str) -> None:
        """Take no more votes, for good.

        Args:
            when: ISO date.
        """
        async with self._busy:
            await self._refresh()
            while not self._sealed:
                chain, named = self._chain, len(self._named)
                args = [len(chain.votes), chain.head("", named), chain.head(when, named), when]
                await self._store.script("seal", [self._key()], args)
                await self._refresh()

    async def _write(self, new: list[Vote], names: Mapping[str, str]) -> None:
        """Append to the chain, in the store first."""
        tried_again = False
        while True:
            told = await self._try(self._chain, self._labels, self._offset, new, names, self._named)
            if told[0] == b"done":
                self._take(new, names)
                return
            if told[0] == b"lost":
                raise ClaimLost("another worker has taken this subject over")
            if told[0] == b"sealed":
                raise self._refused(told[1].decode())
            if tried_again:
                raise LedgerDamaged(
                    f"the ledger {self.subject_sha256[:16]}… is not as this process left it"
                )
            tried_again = True
            before = len(self._chain.votes)
            await self._refresh()
            if len(self._chain.votes) != before:
                raise ClaimLost("another worker has added to this subject")
            names = {k: n for k, n in names.items() if k not in self._named}

    async def _try(
        self,
        chain: Chain,
        labels: Sequence[str],
        offset: int,
        new: Sequence[Vote],
        names: Mapping[str, str],
        named: Collection[str],
    ) -> list[bytes]:
        places = {label: place for place, label in enumerate(labels, 1)}
        further = [v for v in dict.fromkeys(new) if v is not None and v not in places]
        places |= {label: place for place, label in enumerate(further, len(labels) + 1)}
        codes = [0 if vote is None else places[vote] for vote in new]
        macs, head = chain.extended(new, len(named) + len(names))
        rest = chain.votes[chain.whole :]
        before = offset + len(encode(0 if v is None else places[v] for v in rest))
        seal, sha = self._seals.seal, self.subject_sha256
        sealed = [x for key, name in names.items() for x in (key, seal(name, "name", sha, key))]
        n = len(chain.votes)
        args: list[Any] = [self._token(), self._store.key("process", ""), n]
        args.append(chain.head("", len(named)))
        args += [n + len(new), head, before, encode(codes), len(chain.macs) * MAC_BYTES]
        args += [b"".join(macs), len(labels), len(further), *further, *sealed]
        keys = [self._key(*part) for part in ((), ("votes",), ("macs",), ("labels",), ("names",))]
        keys.append(self._store.key("claim", self.draft))
        found: list[bytes] = await self._store.script("append", keys, args)
        return found

    def _take(self, new: Sequence[Vote], names: Mapping[str, str]) -> None:
        macs, _ = self._chain.extended(new, 0)
        self._named |= names.keys()
        self._labels += [v for v in dict.fromkeys(new) if v is not None and v not in self._labels]
        self._chain.extend(new, macs)
        self._count_offset()

    def _count_offset(self) -> None:
        if len(self._labels) < 128:  # one byte a vote
            self._offset = self._chain.whole
            return
        places = {label: place for place, label in enumerate(self._labels, 1)}
        full = self._chain.votes[: self._chain.whole]
        self._offset = len(encode(0 if v is None else places[v] for v in full))

    async def _refresh(self) -> None:
        """Read what others have added, and verify it."""
        keys = [self._key(*part) for part in ((), ("votes",), ("macs",), ("labels",), ("names",))]
        known = [self._offset, len(self._chain.macs) * MAC_BYTES, len(self._labels)]
        n, head, sealed, data, macs, labels, named = await self._store.script("read", keys, known)
        if n is None or int(n) < len(self._chain.votes):
            await self._restore(None if n is None else int(n), head)
            return
        try:
            all_labels = [*self._labels, *(label.decode() for label in labels)]
            votes = votes_of(decode(data), all_labels)
        except (ValueError, IndexError):
            raise self._damaged("a vote stands for no label, or a label is no text") from None
        if len(set(all_labels)) != len(all_labels):
            raise self._damaged("a label stands there twice")
        try:
            end = End(int(n), head or b"", (sealed or b"").decode(), len(named))
            found = self._chain.check(votes, macs, end)
        except (LedgerDamaged, UnicodeDecodeError) as error:
            raise self._damaged(str(error)) from None
        self._chain.votes[self._chain.whole :] = votes
        self._chain.macs += found
        self._labels, self._sealed = all_labels, end.sealed
        self._named = {name.decode() for name in named}
        self._count_offset()

    async def _restore(self, n: int | None, head: bytes | None) -> None:
        """Give a server back what it has lost of this process's writes."""
        chain, names = self._chain, self._store.key
        log.warning(
            "the store has lost votes that it had taken: they are written again",
            subject=self.subject_sha256,
            found=n,
            known=len(chain.votes),
        )
        if n is None:
            fields = self.first_fields()
            self._named = set()  # they come again with the next votes
            flat = [x for item in fields.items() for x in item]
            await self._store.patient(lambda redis: redis.hset(self._key(), items=flat))
            await self._store.patient(
                lambda redis: redis.sadd(names("ledgers"), self.subject_sha256)
            )
            await self._store.patient(
                lambda redis: redis.delete(*(self._key(part) for part in PARTS))
            )
        short = chain.cut(n or 0)
        kept = await self._store.patient(lambda redis: redis.hkeys(self._key("names")))
        named = {name.decode() for name in kept}
        if n and short.head("", len(named)) != head:
            raise self._damaged(f"its first {n} votes are not those that this process has read")
        known = len({v for v in short.votes if v is not None})
        labels = self._labels[:known]
        places = {label: place for place, label in enumerate(self._labels, 1)}
        full = short.votes[: short.whole]
        offset = len(encode(0 if v is None else places[v] for v in full))
        told = await self._try(short, labels, offset, chain.votes[n or 0 :], {}, named)
        self._named = named
        if told[0] == b"lost":
            raise ClaimLost("another worker has taken this subject over")
        if told[0] != b"done":
            raise self._damaged("what it lost could not be written again")

    async def _raise(self, field: str, number: str) -> None:
        sealed = self._seals.seal(number, field, self.subject_sha256)
        await self._store.script("raise", [self._key()], [field, number, sealed])

    async def _number(self, field: str) -> str:
        found = await self._store.patient(lambda redis: redis.hget(self._key(), field))
        if found is None:
            raise self._damaged(f"its field {field} is missing")
        return self._seals.unseal(found, field, self.subject_sha256)

    def _refused(self, when: str) -> LedgerSealed:
        return LedgerSealed(
            f"the noise key of this subject was revealed on {when}, so its ledger takes no more "
            "votes: an operator may have the noise drawn anew (surety ledgers reroll)"
        )

    def _damaged(self, what: str) -> LedgerDamaged:
        return LedgerDamaged(
            f"the ledger {self.subject_sha256[:16]}… is damaged: {what}. Nothing is asked or "
            "counted until the store is restored from a backup"
        )

    def _key(self, *parts: str) -> str:
        return self._store.key("ledger", self.subject_sha256, *parts)
