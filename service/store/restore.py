"""Puts a whole ledger into the store in one step, with what is known of its draft.

So a ledger begins; so one that another deployment has exported is taken over; and so a store that
has lost one gets it again from the process that holds it. Its header stays as it is, the secret
that its noise comes from included.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from certification.protocols import Vote
from service.store.chain import BLOCK, Chain, ledger_key
from service.store.connection import Store
from service.store.content import Content
from service.store.drafts import Drafts, DraftState, Raw, member
from service.store.seals import Seals

PARTS = ("votes", "macs", "labels", "names")
PIECE = 512 * BLOCK  # votes that are taken at a time, so that others have their turn

Told = Literal["done", "there", "moved"]


@dataclass(frozen=True)
class Whole:
    """All of a ledger.

    Attributes:
        subject: SHA-256 of the subject.
        draft: SHA-256 of it without its model version.
        header: bytes of the header.
        votes: all.
        names: label key → the provider's spelling.
        alpha: the largest that votes were looked at with.
        vouched: votes that lie between two equal answers to the canary.
        sealed: when the noise key was revealed, "" if it was not.
    """

    subject: str
    draft: str
    header: bytes
    votes: Sequence[Vote]
    names: Mapping[str, str]
    alpha: float
    vouched: int
    sealed: str


class Restorer:
    """See the module's text.

    Args:
        store: the connection.
        seals: of the deployment.
        drafts: what is known of them.
    """

    def __init__(self, store: Store, seals: Seals, drafts: Drafts) -> None:
        self._store, self._seals, self._drafts = store, seals, drafts

    async def put(
        self, ledger: Whole, before: Raw, state: DraftState, *, keeper: str | None = None
    ) -> Told:
        """Write a ledger, and what is known of its draft from now on: both or neither.

        Args:
            ledger: all of it.
            before: what is written of the draft.
            state: of the draft from now on; the ledger is added to it.
            keeper: id of the secret that its MACs are made with; None for the present one.

        Returns:
            "moved" if the draft has changed meanwhile, "there" if the store holds any part of
            the ledger.
        """
        keeper, state = keeper or self._seals.current, state.having(ledger.subject)
        content = await asyncio.to_thread(self._built, ledger, keeper)
        sha, seal = ledger.subject, self._seals.seal
        texts = {
            "header": header_text(ledger.draft, ledger.header),
            "end": content.end.text(),
            "alpha": repr(ledger.alpha),
            "vouched": repr(ledger.vouched),
        }
        fields = [x for f, text in texts.items() for x in (f, seal(text, f, sha, by=keeper))]
        args: list[Any] = [ledger.draft, before or b"", self._drafts.written(ledger.draft, state)]
        args += [
            member(ledger.draft, sha),
            content.codes,
            b"".join(content.chain.macs),
            len(texts),
            *fields,
        ]
        args += [len(content.labels), *content.labels]
        args += [x for item in content.names.items() for x in item]
        keys = [*ledger_keys(self._store, sha), *self._drafts.keys]
        told: Told = (await self._store.script("put", keys, args)).decode()
        if told == "done":
            self._drafts.wrote(ledger.draft, state)
        return told

    async def put_back(self, ledger: Whole, keeper: str) -> None:
        """Write a ledger that the store has lost, unless it was written or changed meanwhile.

        Args:
            ledger: all of it.
            keeper: id of the secret that its MACs are made with.

        Raises:
            LedgerDamaged, LedgerConflict: as for :meth:`Drafts.get`.
        """
        state, raw = await self._drafts.get(ledger.draft)
        await self.put(ledger, raw, state, keeper=keeper)

    def _built(self, ledger: Whole, keeper: str) -> Content:
        sha, seal = ledger.subject, self._seals.seal
        content = Content(Chain(ledger_key(self._seals.secrets[keeper], sha), ledger.header))
        content.sealed = ledger.sealed
        content.names = {
            key: seal(name, "name", sha, key, by=keeper) for key, name in ledger.names.items()
        }
        for start in range(0, len(ledger.votes), PIECE):
            content.take(content.with_votes(ledger.votes[start : start + PIECE], {}))
        return content


def header_text(draft: str, header: bytes) -> str:
    """Return what a ledger's header is sealed as."""
    return f"{draft}\n{header.decode()}"


def ledger_keys(store: Store, subject: str) -> list[str]:
    """Return the keys of a ledger in the store: its hash, then its parts."""
    return [store.key("ledger", subject, *part) for part in ((), *((name,) for name in PARTS))]
