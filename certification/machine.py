"""What a deployment certifies with, shared by all of its runs."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field

from certification import noise
from certification.deployment_secret import secret_id
from certification.errors import LedgerConflict
from certification.interrupt import Interrupt, Lock, held
from certification.patience import Patience
from certification.protocols import Gates, Header, Ledgers
from certification.subject import canonical_subject
from certification.watching import NOBODY, Watcher


@dataclass
class Activity:
    """How many runs there are.

    Attributes:
        runs: those that have begun and not ended.
        working: those of them that wait neither for a slot nor for another run of their subject.
    """

    runs: int = 0
    working: int = 0

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """Count a run as long as it lasts."""
        self.runs += 1
        try:
            yield
        finally:
            self.runs -= 1

    @contextlib.contextmanager
    def work(self) -> Iterator[None]:
        """Count its work."""
        self.working += 1
        try:
            yield
        finally:
            self.working -= 1


@dataclass
class Machine:
    """What a deployment certifies with.

    Attributes:
        ledgers: where votes are kept.
        secret: the deployment secret that noise keys are derived from.
        old_secrets: those before it, by id: ledgers that were begun with them go on so.
        patience: how long to go on asking for a sample that fails.
        gates: say when a call may start, for each account; None for at once.
        slots: runs that may work at the same time; None for any number. A run that waits for
            another one of its subject takes none.
        watcher: is told what all of them do.
        activity: how many there are.
    """

    ledgers: Ledgers
    secret: bytes = field(repr=False)
    old_secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    patience: Patience = field(default_factory=Patience)
    gates: Gates | None = None
    slots: Lock | None = None
    watcher: Watcher = NOBODY
    activity: Activity = field(default_factory=Activity)

    def secret_of(self, header: Header) -> bytes:
        """Return the secret that a ledger was begun with: another one would be other noise.

        Raises:
            LedgerConflict: if this deployment does not know it.
        """
        if header.secret_id == secret_id(self.secret):
            return self.secret
        if header.secret_id not in self.old_secrets:
            raise LedgerConflict(
                f"this subject's votes were begun under another deployment secret "
                f"({header.secret_id}), and further ones would come from other noise: give the "
                "service that secret again (SURETY_OLD_SECRETS)"
            )
        return self.old_secrets[header.secret_id]

    def noise_key(self, header: Header) -> bytes:
        """Return the noise key of a ledger: 16 bytes.

        Raises:
            LedgerConflict: if its secret is not known, or the ledger has another key.
        """
        key = noise.derive_key(self.secret_of(header), canonical_subject(header))
        if noise.key_sha256(key) != header.key_sha256:
            raise LedgerConflict(
                "this subject's votes were begun with another noise key, and further ones would "
                "come from other noise"
            )
        return key

    @contextlib.asynccontextmanager
    async def turn(self, interrupt: Interrupt) -> AsyncIterator[None]:
        """Wait for a slot, but no longer than the run may last."""
        if self.slots is None:
            with self.activity.work():
                yield
            return
        async with held(self.slots, interrupt.unless):
            with self.activity.work():
                yield
