"""Puts a whole ledger into the store in one step, as another store has kept it.

Its header stays as it is, the secret that its noise comes from included; its MACs are made anew
with the deployment's present secret.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from certification.protocols import Vote
from service.store.chain import BLOCK, Chain, ledger_key
from service.store.connection import Store
from service.store.drafts import Drafts, DraftState, Raw
from service.store.encoding import encode
from service.store.seals import Seals

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
    """

    def __init__(self, store: Store, seals: Seals) -> None:
        self._store, self._seals, self._drafts = store, seals, Drafts(store, seals)

    async def put(self, ledger: Whole, before: Raw, state: DraftState) -> Told:
        """Write a ledger, and what is known of its draft from now on: both or neither.

        Args:
            ledger: all of it.
            before: what is written of the draft.
            state: of the draft from now on.

        Returns:
            "there" if the subject has a ledger, "moved" if the draft has changed meanwhile.
        """
        chain, fields = await asyncio.to_thread(self._built, ledger)
        labels = [*dict.fromkeys(v for v in ledger.votes if v is not None)]
        places = {label: place for place, label in enumerate(labels, 1)}
        codes = encode(0 if vote is None else places[vote] for vote in ledger.votes)
        seal, sha = self._seals.seal, ledger.subject
        args: list[Any] = [*before, *self._drafts.written(ledger.draft, state)]
        args += [sha, codes, b"".join(chain.macs), len(fields)]
        args += [x for item in fields.items() for x in item]
        args += [len(labels), *labels]
        args += [
            x for key, name in ledger.names.items() for x in (key, seal(name, "name", sha, key))
        ]
        parts = ((), ("votes",), ("macs",), ("labels",), ("names",))
        keys = [self._store.key("ledger", sha, *part) for part in parts]
        keys += [self._store.key("ledgers"), self._drafts.key(ledger.draft)]
        told: Told = (await self._store.script("restore", keys, args)).decode()
        return told

    def _built(self, ledger: Whole) -> tuple[Chain, dict[str, bytes | str]]:
        """Return the chain, and the fields that the store holds of the ledger."""
        seal, sha, keeper = self._seals.seal, ledger.subject, self._seals.current
        chain = Chain(ledger_key(self._seals.secrets[keeper], sha), ledger.header)
        for start in range(0, len(ledger.votes), PIECE):
            piece = ledger.votes[start : start + PIECE]
            macs, _ = chain.extended(piece, 0)
            chain.extend(piece, macs)
        fields: dict[str, bytes | str] = {
            "header": ledger.header,
            "mac": chain.origin,
            "draft": ledger.draft,
            "keeper": keeper,
            "n": str(len(ledger.votes)),
            "head": chain.head(ledger.sealed, len(ledger.names)),
            "alpha": seal(repr(ledger.alpha), "alpha", sha),
            "alpha_number": repr(ledger.alpha),
            "vouched": seal(str(ledger.vouched), "vouched", sha),
            "vouched_number": str(ledger.vouched),
        }
        if ledger.sealed:
            fields["sealed"] = ledger.sealed
        return chain, fields
