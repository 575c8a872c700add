"""What is known of a draft (a subject but for its model version), and how two deployments' agree.

A draft has one ledger in use. Another one of it may be there as well, of another model version,
spoilt, or from before a re-roll; which of them is in use must not be anybody's choice.
"""

import json
from dataclasses import dataclass

from certification.canary import is_canary
from certification.protocols import Header, Rerolls
from service.store.connection import Store
from service.store.seals import Seals

FIELDS = ("current", "spoilt", "rerolls")
Raw = tuple[bytes, bytes, bytes]


@dataclass(frozen=True)
class DraftState:
    """See the module's text.

    Attributes:
        current: SHA-256 of the subject whose ledger is in use.
        spoilt: ledgers that may hold votes of two models.
        rerolls: how often the noise was drawn anew, None for never.
    """

    current: str | None = None
    spoilt: int = 0
    rerolls: Rerolls | None = None

    @property
    def rerolled(self) -> int:
        """How often the noise was drawn anew."""
        return 0 if self.rerolls is None else self.rerolls.count

    def allows(self, header: Header) -> bool:
        """Tell whether a ledger may be in use: of the latest draw, and not spoilt."""
        told = header.subject.get("rerolls")
        if (0 if told is None else told["count"]) != self.rerolled:
            return False
        version = header.clean.model_version
        return not is_canary(version) or _epoch(version) >= self.spoilt


def merged(
    ours: DraftState, theirs: DraftState, in_use: Header | None, subject: str, header: Header
) -> DraftState:
    """Return what is known once a ledger of another deployment is taken over.

    Neither spoilt ledgers nor re-rolls are forgotten, and a ledger in use here stays so unless
    it was spoilt or rerolled there.

    Args:
        ours: here.
        theirs: there.
        in_use: header of the ledger in use here.
        subject: of the ledger that comes.
        header: its.
    """
    rerolls = ours.rerolls or theirs.rerolls
    if ours.rerolls is not None and theirs.rerolls is not None:
        pairs = (ours.rerolls, theirs.rerolls)
        rerolls = Rerolls(max(r.count for r in pairs), max(r.alpha_spent for r in pairs))
    both = DraftState(None, max(ours.spoilt, theirs.spoilt), rerolls)
    current = ours.current if in_use is not None and both.allows(in_use) else None
    if current is None and theirs.current == subject and both.allows(header):
        current = subject
    return DraftState(current, both.spoilt, rerolls)


class Drafts:
    """Reads and changes what the store knows of drafts.

    Args:
        store: the connection.
        seals: of the deployment.
    """

    def __init__(self, store: Store, seals: Seals) -> None:
        self._store, self._seals = store, seals

    async def get(self, draft: str) -> tuple[DraftState, Raw]:
        """Return what is known, and as it is written.

        Raises:
            LedgerDamaged: if this deployment did not write it.
        """
        key = self.key(draft)
        found = await self._store.patient(lambda redis: redis.hmget(key, FIELDS))
        current, spoilt, rerolls = (
            None if sealed is None else self._seals.unseal(sealed, "draft", draft, field)
            for field, sealed in zip(FIELDS, found, strict=True)
        )
        told = Rerolls(**json.loads(rerolls)) if rerolls else None
        first, second, third = (sealed or b"" for sealed in found)
        return DraftState(current or None, int(spoilt or 0), told), (first, second, third)

    def written(self, draft: str, state: DraftState) -> Raw:
        """Return how it is written."""
        texts = (
            state.current,
            str(state.spoilt) if state.spoilt else None,
            None if state.rerolls is None else json.dumps(state.rerolls.describe()),
        )
        first, second, third = (
            b"" if text is None else self._seals.seal(text, "draft", draft, field)
            for field, text in zip(FIELDS, texts, strict=True)
        )
        return first, second, third

    async def change(self, draft: str, before: Raw, state: DraftState) -> bool:
        """Write it, if it is still as it was read; tells whether it was."""
        args = [*before, *self.written(draft, state)]
        return bool(await self._store.script("redraft", [self.key(draft)], args))

    def key(self, draft: str) -> str:
        """Return the key in the store."""
        return self._store.key("draft", draft)


def _epoch(version: str | None) -> int:
    """Return which one it is of the draft's ledgers, the spoilt ones counted."""
    mark = (version or "").rpartition("]")[2].removeprefix(" #")
    return int(mark) if mark.isdecimal() else 0
