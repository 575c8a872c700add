"""What is known of a draft (a subject but for its model version), and how two deployments' agree.

    drafts      DRAFT → what is known of it, as one sealed text
    ledgers     DRAFT:SUBJECT for every ledger, all of score 0

A draft has one ledger in use. Another one of it may be there as well, of another model version,
spoilt, or from before a re-roll; which of them is in use must not be anybody's choice. An entry
names every ledger that its draft ever had, so neither can go without the other being missed.
"""

import contextlib
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from weakref import WeakValueDictionary

import structlog

from certification.canary import epoch_of, is_canary
from certification.errors import LedgerConflict, LedgerDamaged
from certification.protocols import Header, Rerolls
from service.errors import StoreDamaged
from service.store.connection import Store
from service.store.seals import Seals

Raw = bytes | None

log = structlog.get_logger("surety.ledger")


@dataclass(frozen=True)
class DraftState:
    """See the module's text.

    Attributes:
        current: SHA-256 of the subject whose ledger is in use.
        spoilt: ledgers that may hold votes of two models.
        rerolls: how often the noise was drawn anew, None for never.
        ledgers: SHA-256 of every subject that has a ledger here, in the order they were begun.
        version: how often this was written; 0 if never.
    """

    current: str | None = None
    spoilt: int = 0
    rerolls: Rerolls | None = None
    ledgers: tuple[str, ...] = ()
    version: int = 0

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
        return not is_canary(version) or epoch_of(version) >= self.spoilt

    def having(self, subject: str) -> "DraftState":
        """Return it with one more ledger, which is not in use by that alone."""
        if subject in self.ledgers:
            return self
        return replace(self, ledgers=(*self.ledgers, subject))

    def joined(self, other: "DraftState") -> "DraftState":
        """Return what both know, of which the store may have lost the later one."""
        rerolls = max((self.rerolls, other.rerolls), key=lambda r: 0 if r is None else r.count)
        further = tuple(subject for subject in other.ledgers if subject not in self.ledgers)
        later = other if other.version > self.version else self
        return DraftState(
            later.current,
            max(self.spoilt, other.spoilt),
            rerolls,
            self.ledgers + further,
            later.version,
        )

    @property
    def next(self) -> "DraftState":
        """The same, written once more."""
        return replace(self, version=self.version + 1)

    def says(self, other: "DraftState") -> bool:
        """Tell whether it says the same, however often it was written."""
        return replace(self, version=other.version) == other


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
    both = replace(ours, current=None, spoilt=max(ours.spoilt, theirs.spoilt), rerolls=rerolls)
    current = ours.current if in_use is not None and both.allows(in_use) else None
    if current is None and theirs.current == subject and both.allows(header):
        current = subject
    return replace(both, current=current)


class Latest:
    """The latest that this process knows of a draft.

    Attributes:
        state: it.
    """

    def __init__(self, state: DraftState) -> None:
        self.state = state


class Drafts:
    """Reads and changes what the store knows of drafts.

    Args:
        store: the connection.
        seals: of the deployment.
    """

    def __init__(self, store: Store, seals: Seals) -> None:
        self._store, self._seals = store, seals
        self._latest: WeakValueDictionary[str, Latest] = WeakValueDictionary()

    @property
    def keys(self) -> list[str]:
        """Of the entries and of the index of all ledgers."""
        return [self._store.key("drafts"), self._store.key("ledgers")]

    async def get(self, draft: str) -> tuple[DraftState, Raw]:
        """Return what is known, and as it is written.

        What the store has lost of it is written again, if this process still holds it.

        Raises:
            LedgerDamaged: if this deployment did not write it, or the index of ledgers tells
                otherwise.
            LedgerConflict: if its secret is not known here.
        """
        while True:
            raw, found = await self._look(draft)
            state = DraftState() if raw is None else self._unsealed(draft, raw)
            latest = self._latest.get(draft)
            known = state if latest is None else state.joined(latest.state)
            if known.says(state):
                break
            log.warning("the store has lost what was known of a draft", draft=draft)
            await self._write(draft, raw, known)
        index = {member.decode(errors="replace").rpartition(":")[2] for member in found}
        if index != set(state.ledgers):
            raise _disagreement(draft, state, index)
        if latest is not None:
            latest.state = state
        return state, raw

    async def change(self, draft: str, before: Raw, state: DraftState) -> bool:
        """Write it, if it is still as it was read; tells whether it was."""
        if not await self._write(draft, before, state):
            return False
        self.wrote(draft, state)
        return True

    async def update(self, draft: str, edit: Callable[[DraftState], DraftState]) -> DraftState:
        """Change it, whatever it is by then; returns what is known from now on.

        Raises:
            LedgerDamaged, LedgerConflict: as for :meth:`get`.
        """
        while True:
            before, raw = await self.get(draft)
            after = edit(before)
            if after == before or await self.change(draft, raw, after):
                return after

    def written(self, draft: str, state: DraftState) -> bytes:
        """Return how it is written after this one, as one version more.

        No two are equal: two processes that change it alike at the same time are two changes.
        """
        text = json.dumps({**asdict(state.next), "nonce": secrets.token_hex(8)})
        return self._seals.seal(text, "draft", draft)

    def wrote(self, draft: str, state: DraftState) -> None:
        """Note that the text of :meth:`written` is in the store."""
        latest, after = self._latest.get(draft), state.next
        if latest is not None and after.version > latest.state.version:
            latest.state = after

    def remember(self, draft: str, state: DraftState) -> Latest:
        """Keep in mind what is known, for as long as the returned one is held."""
        latest = self._latest.setdefault(draft, Latest(state))
        if state.version > latest.state.version:
            latest.state = state
        return latest

    async def all(self) -> dict[str, DraftState]:
        """Return what is known of every draft, but for entries that cannot be read."""
        entries, _ = self.keys
        found = await self._store.patient(lambda redis: redis.hgetall(entries))
        told: dict[str, DraftState] = {}
        for name, raw in found.items():
            draft = name.decode(errors="replace")
            with contextlib.suppress(LedgerDamaged, LedgerConflict):
                told[draft] = self._unsealed(draft, raw)
        return told

    async def _look(self, draft: str) -> tuple[Raw, list[bytes]]:
        try:
            raw, found = await self._store.script("draft", self.keys, [draft])
        except StoreDamaged:
            raise LedgerDamaged(
                "what was known of drafts, or the index of ledgers, is of another kind than was "
                "written. Nothing is asked or counted until the store is restored from a backup"
            ) from None
        return raw, found

    async def _write(self, draft: str, before: Raw, state: DraftState) -> bool:
        members = [member(draft, subject) for subject in state.ledgers]
        args = [draft, before or b"", self.written(draft, state), *members]
        return bool(await self._store.script("swap", self.keys, args))

    def _unsealed(self, draft: str, raw: bytes) -> DraftState:
        found = json.loads(self._seals.unseal(raw, "draft", draft, conflict=True))
        rerolls = found["rerolls"]
        return DraftState(
            found["current"],
            found["spoilt"],
            None if rerolls is None else Rerolls(**rerolls),
            tuple(found["ledgers"]),
            found["version"],
        )


def member(draft: str, subject: str) -> str:
    """Return a ledger's line in the index."""
    return f"{draft}:{subject}"


def _disagreement(draft: str, state: DraftState, index: set[str]) -> LedgerDamaged:
    named = ", ".join(f"{subject[:16]}…" for subject in sorted(index ^ set(state.ledgers))[:3])
    if not state.version:
        what = f"what was known of it is gone, and the index still names its ledgers ({named})"
    elif index < set(state.ledgers):
        what = f"the index of ledgers does not name all that it had ({named})"
    else:
        what = (
            f"the index of ledgers names others than it does ({named}): one of the two is from "
            "another time, or was changed"
        )
    return LedgerDamaged(
        f"the entry of the draft {draft[:16]}… is damaged: {what}. Nothing is asked or counted "
        "until the store is restored from a backup"
    )
