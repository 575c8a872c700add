"""Begins runs, writes them down so that they outlive this process, and takes up interrupted ones.

A run that is written down and has not ended, of a process that is dead, was interrupted: whoever
sees it first goes on with it. Its votes are in the ledger, its money is counted on.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from typing import Any, Self

import structlog

from certification.bill import Allowance
from certification.collecting import OnProgress
from certification.errors import LedgerUnavailable, RunInterrupted
from certification.interrupt import Interrupt
from service.core import LeftToOthers, Surety
from service.edges import request_id
from service.edges.places import Places
from service.errors import NotFound, Overloaded, StoreError
from service.issued import Issued
from service.prepared import Prepared
from service.problems import problem_of
from service.runs import Kind, Run, Runs, left_to_others
from service.store.usage import Booking
from service.taking_up import TakingUp
from service.usage.counts import Counts

END_SECONDS = 2.0  # for noting what came of the last runs
CANCEL_SECONDS = 1.0  # between two looks for runs that are to end

log = structlog.get_logger("surety.runs")


class Running:
    """All runs of this process, and how they begin and end.

    Args:
        surety: an opened deployment.

    Attributes:
        runs: those that are going on.
        alone: places for runs that go on while no client waits.
    """

    def __init__(self, surety: Surety) -> None:
        self._surety = surety
        self.runs = Runs(surety.settings.grace_seconds)
        self.alone = Places(
            surety.settings.max_async_runs,
            "too many runs go on without a client that waits",
            "places for runs without a client that waits",
            surety.shares,
        )
        self._ending: set[asyncio.Task[None]] = set()
        self._looking: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Look for interrupted runs from now on, and for those that others cancel."""
        interrupted = TakingUp(self._surety, self._start, self._end)
        looks = (interrupted.look(), self._look_for_cancelled())
        self._looking = [asyncio.create_task(look) for look in looks]
        return self

    async def __aexit__(self, *failure: object) -> None:
        """End all runs in order; those that take too long are left to the next process."""
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)
        await self.runs.close()
        if self._ending:
            _, unnoted = await asyncio.wait(self._ending, timeout=END_SECONDS)
            for task in unnoted:
                task.cancel()
            await asyncio.gather(*unnoted, return_exceptions=True)

    async def begin(
        self,
        kind: Kind,
        prepared: Prepared,
        arguments: Mapping[str, Any],
        *,
        run_id: str | None = None,
        lasting: bool = False,
    ) -> Run:
        """Write a run down and begin it.

        Args:
            kind: what the document it ends with is.
            prepared: a request that has passed every check.
            arguments: what it was prepared from, but for the picture.
            run_id: its name; None for a new one that cannot be guessed.
            lasting: see `Run`.

        Raises:
            StoreError: if it cannot be written down now; nothing has been asked then.
        """
        run_id, state = run_id or new_id(), self._surety.state
        await state.runs.begin(
            run_id,
            kind,
            arguments,
            prepared.image,
            prepared.draft,
            request_id.current(),
            prepared.owner,
        )
        return self._start(run_id, kind, prepared, Allowance(), lasting=lasting)

    def leave(self, run: Run) -> None:
        """Do without the client of a run: cancel it, unless somebody will come back for it.

        Does nothing to a run that has ended.
        """
        if run.task.done():
            return
        if not run.lasting:
            run.cancel()
        elif not run.alone:
            try:
                run.hold(self.alone.take(run.owner))
            except Overloaded:
                run.cancel()

    async def state_of(self, run_id: str) -> dict[str, Any]:
        """Tell where a run stands or what came of it, also after the process that began it died.

        Raises:
            NotFound: if none of this id is kept.
            StoreError: if the store is away.
        """
        told = {"progress": None, **await self._surety.state.runs.outcome(run_id)}
        run = self.runs.find(run_id)
        return told if run is None else told | run.describe()

    async def all(self) -> list[dict[str, Any]]:
        """Return the runs of all processes, others' first, by age; progress is known of our own.

        Raises:
            StoreError: if the store is away.
        """
        mine = {run.id: run.describe() for run in self.runs.list()}
        kept = await self._surety.state.runs.open()
        names = ("id", "kind", "owner", "cancelling")
        others = [
            {name: run[name] for name in names} | {"progress": None}
            for run in kept
            if run["id"] not in mine
        ]
        return [*others, *mine.values()]

    async def cancel(self, run_id: str) -> None:
        """End a run soon, in whatever process it is.

        Raises:
            NotFound: if none of this id is going on.
            StoreError: if it is not one of this process and the store is away.
        """
        run = self.runs.find(run_id)
        if run is not None:
            run.cancel()
            with contextlib.suppress(StoreError):  # for whoever takes it up, if this process dies
                await self._surety.state.runs.cancel(run_id)
        elif not await self._surety.state.runs.cancel(run_id):
            raise NotFound(f"no run {run_id[:40]!r} is going on: it has ended, or never was")

    def _start(
        self,
        run_id: str,
        kind: Kind,
        prepared: Prepared,
        allowance: Allowance,
        *,
        lasting: bool,
        resumed: bool = False,
    ) -> Run:
        surety, spend = self._surety, self._surety.state.runs.spend

        async def note(units: int) -> None:
            await spend(run_id, units)

        allowance.note = note
        do = surety.certify if kind == "certificate" else surety.predict

        def left() -> bool:
            return run.left

        async def work(interrupt: Interrupt, on_progress: OnProgress) -> Issued:
            structlog.contextvars.bind_contextvars(run=run_id)
            try:
                issued = await do(prepared, interrupt, on_progress, allowance, left)
            except Exception as error:
                if isinstance(error, LeftToOthers) or (
                    run.left and isinstance(error, RunInterrupted | StoreError | LedgerUnavailable)
                ):
                    log.info("a run is left to another process")
                    raise left_to_others(run_id) from None
                problem = problem_of(error).describe(f"/runs/{run_id}")
                self._end(run_id, {"problem": problem})
                raise
            counts = _counts(kind, issued, resumed=resumed)
            usage, provider = surety.state.usage, prepared.adapter.name
            booking = usage.booking(prepared.owner, provider, counts)
            self._end(run_id, _outcome(kind, issued), booking)
            return issued

        run = self.runs.start(kind, work, run_id, prepared.owner, lasting=lasting)
        return run  # `work` begins after this, and looks at it

    def _end(self, run_id: str, outcome: Mapping[str, Any], booking: Booking | None = None) -> None:
        """Note what came of a run; the store may be away, and nobody has to wait for that."""
        task = asyncio.create_task(self._noted(run_id, outcome, booking))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _noted(
        self, run_id: str, outcome: Mapping[str, Any], booking: Booking | None
    ) -> None:
        try:
            await self._surety.state.runs.end(run_id, outcome, booking)
        except StoreError as error:
            log.error("a run's outcome was not kept", run=run_id, error=str(error))

    async def _look_for_cancelled(self) -> None:
        """End the runs of this process that somebody has cancelled in another one."""
        told = False
        while True:
            await asyncio.sleep(CANCEL_SECONDS)
            mine = [run.id for run in self.runs.list() if not run.cancelling]
            try:
                for run_id in await self._surety.state.runs.to_cancel(mine):
                    if (run := self.runs.find(run_id)) is not None:
                        run.cancel()
                told = told and not mine
            except Exception as error:
                if not told:  # once for each time that the store is away
                    log.warning("cancelled runs cannot be looked for", exc_info=error)
                told = True


def new_id() -> str:
    """Return a name for a run that nobody can guess."""
    return secrets.token_hex(12)


def _counts(kind: Kind, issued: Issued, *, resumed: bool) -> Counts:
    """Return what a run's document counts as; one that was taken up has made calls before."""
    if kind == "prediction":
        return Counts(predictions=1)
    cached = not issued.accounting["calls"] and not resumed
    return Counts.of_certificate(issued.document["proof"], cached=cached)


def _outcome(kind: Kind, issued: Issued) -> dict[str, Any]:
    if kind == "certificate":
        return {"certificate": issued.document["id"], "accounting": issued.accounting}
    return {"prediction": issued.document, "accounting": issued.accounting}
