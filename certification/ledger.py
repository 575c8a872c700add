"""The ledger kept in this process: for experiments and for tests.

A lasting ledger implements the same protocol (`certification.protocols.Ledgers`).
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from certification.errors import LedgerConflict
from certification.interrupt import held
from certification.protocols import Header, Rerolls, Vote, Waiter
from certification.subject import canonical_subject


class MemoryLedger:
    """The votes of one subject, in a list. Used from one event loop."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._votes: list[Vote] = []
        self._names: dict[str, str] = {}
        self._vouched = 0
        self.alpha = 0.0

    @property
    def header(self) -> Header:
        """What was fixed before vote 0."""
        return self._header

    async def read(self, start: int = 0) -> list[Vote]:
        """Return the votes from index `start` on."""
        return self._votes[start:]

    async def append(
        self, start: int, votes: Sequence[Vote], names: Mapping[str, str] | None = None
    ) -> None:
        """Add votes; see :meth:`certification.protocols.Ledger.append`."""
        kept = len(self._votes)
        if start > kept:
            raise LedgerConflict(f"votes {kept} to {start - 1} are missing from the ledger")
        overlap = self._votes[start : start + len(votes)]
        if list(votes[: len(overlap)]) != overlap:
            raise LedgerConflict(f"votes from {start} on differ from those already kept")
        self._votes.extend(votes[len(overlap) :])
        self.remember(names or {})

    def remember(self, names: Mapping[str, str]) -> None:
        """Keep how the provider writes the labels; the first spelling stays."""
        for key, name in names.items():
            self._names.setdefault(key, name)

    async def spend(self, alpha: float) -> None:
        """See :meth:`certification.protocols.Ledger.spend`."""
        self.alpha = max(self.alpha, alpha)

    async def names(self) -> Mapping[str, str]:
        """Return label key → the provider's spelling."""
        return dict(self._names)

    async def vouch(self, length: int) -> None:
        """See :meth:`certification.protocols.Ledger.vouch`."""
        self._vouched = max(self._vouched, length)

    async def vouched(self) -> int:
        """Return the largest length that was vouched for."""
        return self._vouched


class MemoryLedgers:
    """All ledgers of this process."""

    def __init__(self) -> None:
        self._current: dict[str, MemoryLedger] = {}
        self._all: dict[bytes, MemoryLedger] = {}  # by subject, the model version included
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()
        self._spoilt: Counter[str] = Counter()
        self._rerolls: dict[str, Rerolls] = {}

    async def find(self, draft: str) -> MemoryLedger | None:
        """Return the ledger in use for a draft, None if there is none."""
        return self._current.get(draft)

    async def open(
        self, draft: str, header: Header, names: Mapping[str, str] | None = None
    ) -> MemoryLedger:
        """Begin a ledger, or return the one that this subject already has."""
        subject = canonical_subject(header)
        ledger = self._all.setdefault(subject, MemoryLedger(header))
        ledger.remember(names or {})
        self._current[draft] = ledger
        return ledger

    async def reroll(self, draft: str) -> Rerolls:
        """Have the noise of a draft drawn anew from here on; what was spent is remembered."""
        before = self._rerolls.get(draft, Rerolls(0, 0.0))
        ledger = self._current.pop(draft, None)
        spent = before.alpha_spent + (ledger.alpha if ledger else 0.0)
        self._rerolls[draft] = Rerolls(before.count + 1, spent)
        return self._rerolls[draft]

    async def rerolls(self, draft: str) -> Rerolls | None:
        """See :meth:`certification.protocols.Ledgers.rerolls`."""
        return self._rerolls.get(draft)

    async def retire(self, draft: str) -> None:
        """Stop using the present ledger of a draft, but keep its votes."""
        self._current.pop(draft, None)

    async def spoil(self, draft: str) -> None:
        """Retire the present ledger of a draft for good."""
        if self._current.pop(draft, None) is not None:
            self._spoilt[draft] += 1

    async def spoiled(self, draft: str) -> int:
        """Return how many ledgers of a draft were spoilt."""
        return self._spoilt[draft]

    @asynccontextmanager
    async def hold(self, draft: str, unless: Waiter) -> AsyncIterator[None]:
        """Let one run at a time work on a draft; the next one then finds its votes."""
        lock = self._locks.setdefault(draft, asyncio.Lock())
        self._waiting[draft] += 1
        try:
            async with held(lock, unless):
                yield
        finally:
            self._waiting[draft] -= 1
            if self._waiting[draft] == 0:
                del self._locks[draft], self._waiting[draft]
