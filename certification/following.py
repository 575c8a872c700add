"""Follows a ledger that another run is adding to, until it holds what this run asks for.

Runs of one subject share its votes: the first one asks and pays, the others count the same votes
by their own stop rules, and end as soon as those hold.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

from certification import canary
from certification.collecting import Collected, OnProgress, TallyOf
from certification.interrupt import Interrupt
from certification.progress import Meter
from certification.protocols import Ledger, Ledgers, Vote
from certification.tally import Tally

HEAD_START_SECONDS = 0.2  # in which most runs have their turn
POLL_SECONDS = 0.2


class Enough(Exception):
    """The votes that others collected are enough.

    Attributes:
        collected: what the run ends with.
    """

    def __init__(self, collected: Collected) -> None:
        super().__init__()
        self.collected = collected


class Follower:
    """Counts a subject's votes as they come, for a run that waits for its turn.

    Args:
        ledgers: of the deployment.
        draft: names the subject without its model version.
        tally_of: makes a tally for a ledger; may raise.
        alpha: with which the votes are looked at.
        meter: makes the events.
        on_progress: called with every event.
        interrupt: of the run.
    """

    def __init__(
        self,
        ledgers: Ledgers,
        draft: str,
        tally_of: TallyOf,
        *,
        alpha: float,
        meter: Meter,
        on_progress: OnProgress,
        interrupt: Interrupt,
    ) -> None:
        self._ledgers, self._draft, self._tally_of = ledgers, draft, tally_of
        self._alpha, self._meter, self._on_progress = alpha, meter, on_progress
        self._interrupt = interrupt

    async def unless(self, entering: Coroutine[Any, Any, bool]) -> bool:
        """Await the run's turn.

        Raises:
            Enough: if others' votes are enough before that.
            RunInterrupted: if the run has to end before that.
            CertificationError: what `tally_of` raised, or the ledger.
        """
        following = asyncio.ensure_future(self._follow())
        try:
            return await self._interrupt.unless(_either(entering, following))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            entering.close()  # does nothing where it was begun

    async def _follow(self) -> Collected:
        ledger: Ledger | None = None
        tally: Tally | None = None
        counted: list[Vote] = []
        await asyncio.sleep(HEAD_START_SECONDS)
        while True:
            found = await self._ledgers.find(self._draft)
            if found is not None and (ledger is None or found.header != ledger.header):
                ledger, counted = found, []
                await ledger.spend(self._alpha)
                tally = self._tally_of(ledger.header)
            if found is not None and ledger is not None and tally is not None:
                votes = await ledger.read(len(counted))
                if canary.is_canary(ledger.header.clean.model_version):
                    del votes[max(0, await ledger.vouched() - len(counted)) :]
                used, reason = tally.feed(votes)
                counted += votes[:used]
                if votes:
                    remaining = 0 if reason else tally.needed()
                    self._on_progress(self._meter.event(tally, remaining))
                if reason is not None:
                    names = await ledger.names()
                    return Collected(ledger.header, names, counted, len(counted), reason)
            await asyncio.sleep(POLL_SECONDS)


async def _either(entering: Coroutine[Any, Any, bool], following: Awaitable[Collected]) -> bool:
    turn = asyncio.ensure_future(entering)
    try:
        both: set[asyncio.Future[Any]] = {turn, asyncio.ensure_future(following)}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if turn.done():
            return turn.result()
        raise Enough(await following)
    finally:
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)
