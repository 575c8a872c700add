"""What a deployment certifies with, shared by all of its runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from certification.interrupt import Interrupt, held
from certification.patience import Patience
from certification.protocols import Gates, Ledgers


@dataclass
class Machine:
    """What a deployment certifies with.

    Attributes:
        ledgers: where votes are kept.
        secret: the deployment secret that noise keys are derived from.
        patience: how long to go on asking for a sample that fails.
        gates: say when a call may start, for each account; None for at once.
        slots: runs that may work at the same time; None for any number. A run that waits for
            another one of its subject takes none.
    """

    ledgers: Ledgers
    secret: bytes = field(repr=False)
    patience: Patience = field(default_factory=Patience)
    gates: Gates | None = None
    slots: asyncio.Semaphore | None = None

    @contextlib.asynccontextmanager
    async def turn(self, interrupt: Interrupt) -> AsyncIterator[None]:
        """Wait for a slot, but no longer than the run may last."""
        if self.slots is None:
            yield
            return
        async with held(self.slots, interrupt.unless):
            yield
