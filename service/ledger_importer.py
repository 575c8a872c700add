"""Takes ledgers of a file over, each as far as nothing that is here has to change for it.

Nothing is taken over that could be a second draw: where a ledger of the same subject is kept, the
imported one has to begin with its votes, or it with the imported one's.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from certification import noise
from certification.errors import ClaimLost, LedgerConflict, LedgerDamaged
from certification.protocols import Header
from certification.subject import canonical_subject
from service.ledger_entry import Entry, from_line
from service.ledger_file import SignedFile
from service.state import State
from service.store.drafts import DraftState, merged
from service.store.ledger import RedisLedger
from service.store.restore import PIECE

Outcome = Literal["added", "extended", "sealed", "left", "refused"]


@dataclass(frozen=True)
class Imported:
    """What came of one ledger of a file.

    Attributes:
        subject: SHA-256, or the line where it could not be read.
        outcome: whether it was added, or ours extended by its votes, or only sealed, or left as
            it is, or nothing done.
        detail: in words.
        votes: that the ledger gained.
    """

    subject: str
    outcome: Outcome
    detail: str
    votes: int = 0


class Importer:
    """Takes over ledgers of one file.

    Args:
        state: the deployment's.
        signed: the file.
    """

    def __init__(self, state: State, signed: SignedFile) -> None:
        self._state, self._signed = state, signed
        self._drafts, self._restorer = state.ledgers.drafts, state.ledgers.restorer

    async def take(self, entry: Entry) -> Imported:
        """Take over one.

        Raises:
            LedgerConflict, LedgerDamaged, ClaimLost: if that cannot be; nothing was changed.
        """
        self._check_noise_key(entry)
        async with self._state.ledgers.hold_now(entry.draft):
            ours = await self._state.ledgers.of_subject(entry.subject)
            return await (self._add(entry) if ours is None else self._join(ours, entry))

    async def _add(self, entry: Entry) -> Imported:
        before, raw = await self._drafts.get(entry.draft)
        after = await self._merged(before, entry)
        told = await self._restorer.put(entry.whole, raw, after)
        if told != "done":
            raise ClaimLost("another worker has taken this subject over: import the file again")
        return Imported(entry.subject, "added", _said(entry), len(entry.votes))

    async def _join(self, ours: RedisLedger, entry: Entry) -> Imported:
        _check_header(ours, entry)
        kept = await ours.read()
        _check_votes(kept, entry)
        new = entry.votes[len(kept) :]
        if new and ours.sealed:
            raise LedgerConflict(
                f"its noise key was revealed here on {ours.sealed}, so it takes none of the "
                f"{len(new)} further votes"
            )
        before, _ = await self._drafts.get(entry.draft)
        await self._merged(before, entry)  # raises before anything is written
        names = entry.names
        for start in range(len(kept), len(entry.votes), PIECE):
            await ours.append(start, entry.votes[start : start + PIECE], names)
            names = {}
        await ours.spend(entry.alpha)
        await ours.vouch(entry.vouched)
        sealing = bool(entry.sealed) and not ours.sealed
        if sealing:
            await ours.seal(entry.sealed)
        await self._agree(entry)
        outcome: Outcome = "extended" if new else "sealed" if sealing else "left"
        return Imported(entry.subject, outcome, _said(entry), len(new))

    async def _agree(self, entry: Entry) -> None:
        """Bring what is known of the draft up to date; a run may retire its ledger meanwhile."""
        while True:
            before, raw = await self._drafts.get(entry.draft)
            after = await self._merged(before, entry)
            if after == before or await self._drafts.change(entry.draft, raw, after):
                return

    async def _merged(self, before: DraftState, entry: Entry) -> DraftState:
        in_use = await self._in_use(before, entry)
        if in_use is not None and entry.state.rerolled > before.rerolled:
            await self._check_draw(before.current or "", in_use, entry)
        if in_use is None and entry.state.rerolled and entry.subject not in before.ledgers:
            # It may come into use here, and its count of re-rolls has to be that of all draws.
            for subject in before.ledgers:
                ledger = await self._state.ledgers.of_subject(subject)
                if ledger is not None:
                    await self._check_draw(subject, ledger.header, entry)
        return merged(before, entry.state, in_use, entry.subject, entry.header)

    async def _in_use(self, state: DraftState, entry: Entry) -> Header | None:
        if state.current is None:
            return None
        ledger = await self._state.ledgers.of_subject(state.current)
        if ledger is None and state.current != entry.subject:
            raise LedgerDamaged(
                f"the ledger {state.current[:16]}…, which is in use here for the same picture and "
                "provider, is gone from the store: import that one first"
            )
        return None if ledger is None else ledger.header

    async def _check_draw(self, subject: str, ours: Header, entry: Entry) -> None:
        """See that a draw that was made here is one of those there.

        Else a re-roll there would be of a further draw, that no certificate tells of.

        Args:
            subject: of the ledger here.
            ours: its header.
            entry: of the same draft.
        """
        twin: Entry | None = entry
        if subject != entry.subject:
            line = await asyncio.to_thread(self._signed.find, subject)
            twin = None if line is None else await asyncio.to_thread(from_line, line)
        if twin is None or twin.header.key_sha256 != ours.key_sha256:
            raise LedgerConflict(
                "its noise was drawn anew there, and here is a ledger of the same picture and "
                f"provider ({subject[:16]}…) whose draw is not among those of the file: to take "
                "it over would be a draw that no certificate tells of"
            )

    def _check_noise_key(self, entry: Entry) -> None:
        """Where the secret is known, see that the noise comes from it."""
        secret = self._state.keyring.secrets.get(entry.header.secret_id)
        if secret is None:
            return
        key = noise.derive_key(secret, canonical_subject(entry.header))
        if noise.key_sha256(key) != entry.header.key_sha256:
            raise LedgerConflict(
                f"its noise key is not the one that the secret {entry.header.secret_id} gives"
            )


def _check_header(ours: RedisLedger, entry: Entry) -> None:
    if ours.header_bytes == entry.header_bytes:
        return
    theirs = {
        "noise key": (ours.header.key_sha256, entry.header.key_sha256),
        "secret": (ours.header.secret_id, entry.header.secret_id),
        "clean answer": (ours.header.clean, entry.header.clean),
        "milestone": (ours.header.milestone, entry.header.milestone),
        "n of predictions": (ours.header.predict_n, entry.header.predict_n),
    }
    other = " and ".join(name for name, (one, two) in theirs.items() if one != two)
    raise LedgerConflict(f"the ledger that is kept here was begun with another {other}")


def _check_votes(kept: Sequence[str | None], entry: Entry) -> None:
    pairs = enumerate(zip(kept, entry.votes, strict=False))
    at = next((i for i, (ours, theirs) in pairs if ours != theirs), None)
    if at is not None:
        raise LedgerConflict(f"vote {at} differs from the one in the ledger that is kept here")


def _said(entry: Entry) -> str:
    sealed = f", sealed on {entry.sealed}" if entry.sealed else ""
    return f"{len(entry.votes)} votes in the file{sealed}"
