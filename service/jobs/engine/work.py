"""The work on one picture of a job: from the upload to its row.

It may be begun any number of times, here or elsewhere, and broken off at any point: votes are in
the ledger, money in the purse, and a row is written once.
"""

import asyncio
import dataclasses
import json
import time
from collections.abc import Mapping
from typing import Any

import structlog

from adapters.errors import AdapterError
from certification.canary import is_canary
from certification.certificate import certificate_id
from certification.interrupt import Interrupt
from certification.protocols import Gates, Traits
from service.core import Surety
from service.errors import JobConflict, NotFound
from service.jobs.engine.closest import first_slice, next_slice, place
from service.jobs.engine.counting import CountingGates
from service.jobs.engine.gates import JobGates
from service.jobs.engine.last_call import last_call
from service.jobs.engine.outcome import Used, certified, charged, ended, partly
from service.jobs.engine.purse import JobPurse
from service.jobs.engine.stops import ELSEWHERE_SECONDS, HOLD_SECONDS, Stop, stop_of
from service.jobs.engine.watch import Watch
from service.jobs.item import Item
from service.jobs.job import Job
from service.jobs.rows import Row
from service.prepared import Prepared
from service.problem_kinds import DENOISER_NOT_READY, INTERNAL
from service.problems import Problem
from service.state import State
from service.store.job_pictures import Taken
from service.store.usage import Booking
from service.usage.counts import Counts
from service.usage.last_call import SUMMED

BROKEN_OFF = ("cancelled", "deadline")  # stop reasons of a run that somebody ended
MOST_GATES = 1000  # of jobs that were worked on of late
MOST_UNABLE = 1000  # jobs that this process is not set up for
MOST_TRIES = 5  # deliveries: a picture that its workers die of ends

log = structlog.get_logger("surety.jobs")


class Work:
    """Works on pictures, several at the same time.

    Args:
        surety: an opened deployment.
        watch: ends runs of jobs that are paused or cancelled.

    Attributes:
        used: what all of its pictures have used.
        votes: counted by the certificates that were made here.
        pictures: that ended here.
    """

    def __init__(self, surety: Surety, watch: Watch) -> None:
        self._surety, self._watch = surety, watch
        self.used = Used()
        self._untold: dict[str, Used] = {}
        self._telling = asyncio.Lock()
        self._gates: dict[str, tuple[Any, JobGates]] = {}
        self._unable: dict[str, None] = {}  # jobs that this process is not set up for, in order
        self.votes = 0
        self.pictures = 0

    @property
    def _state(self) -> State:
        return self._surety.state

    async def __call__(self, taken: Taken, tries: int) -> None:
        """Work on a picture until it has ended or has to go back to those that wait."""
        job_id, number, _ = taken
        try:
            job = await self._state.jobs.get(job_id)
            item = await self._state.pictures.item(job_id, number)
        except NotFound:
            return  # deleted meanwhile
        if not await self._state.pictures.is_out(job.spec.compute, taken):
            return  # delivered once more, after all was done
        before = await self._state.pictures.row(job_id, number)
        if job.state != "running":
            await self._state.pictures.back(
                job_id, job.spec.compute, number, _place_again(job, before)
            )
            return
        used, started = Used(), time.monotonic()
        with (
            self._watch.over(job_id) as interrupt,
            structlog.contextvars.bound_contextvars(job=job_id, number=number),
            self._surety.watchers.span("picture", tries=tries),
        ):
            found = await self._tried(job, item, before, used, interrupt, tries)
        price = await self._price(job)
        row = charged(item, before, used, price, time.monotonic() - started)
        await self.tell(job_id)  # so that an ended job has its figures
        await self._note(job, row, found)

    async def _tried(
        self,
        job: Job,
        item: Item,
        before: Row | None,
        used: Used,
        interrupt: Interrupt,
        tries: int,
    ) -> "tuple[dict[str, Any], bool] | Stop":
        """Return the certificate and whether it is the last word, or what stopped the work."""
        where = f"/jobs/{job.id}/pictures/{item.number}"
        if tries > MOST_TRIES:
            return Stop("failed", _died(where))
        try:
            data = await self._state.uploads.get(item.sha256)
            prepared = await self._surety.prepare(
                data, name=item.name, truth=item.truth, owner=job.owner, **job.spec.arguments
            )
            if prepared.denoiser.compute != job.spec.compute:
                return Stop("elsewhere", _other_compute(where, job, prepared))
            await self._able(job)
            money = self._gates_of(job, prepared.adapter.traits)
            into = [used, self.used, self._untold.setdefault(job.id, Used())]
            try:
                gates = CountingGates(money, into)
                async with last_call(job, money, prepared.adapter.traits) as kept:
                    last = None if kept is None else CountingGates(kept, into)
                    return await self._certified(job, prepared, before, interrupt, gates, last)
            finally:
                await money.drain()
        except Exception as error:
            stop = stop_of(error, where)
            if stop.problem["type"] == INTERNAL.type:
                log.error("a picture failed", job=job.id, number=item.number, exc_info=error)
            return stop

    async def _certified(
        self,
        job: Job,
        prepared: Prepared,
        before: Row | None,
        interrupt: Interrupt,
        gates: Gates,
        last: Gates | None,
    ) -> tuple[dict[str, Any], bool]:
        closest = job.spec.allocation == "closest"
        most = prepared.options.max_votes
        slice_of = most
        if closest:
            slice_of = next_slice(
                before.n if before else 0,
                most,
                first_slice(job, prepared.adapter.traits),
                prepared.options.milestone,
            )
        asked = dataclasses.replace(
            prepared, options=dataclasses.replace(prepared.options, max_votes=slice_of)
        )
        document = await self._surety.collect(asked, interrupt, gates)
        if last is not None and _short_of_money(document) and _lacks_canary(document):
            bill = document["accounting"]
            document = await self._surety.collect(asked, interrupt, last)
            for name in SUMMED:
                document["accounting"][name] += bill[name]
        reason = document["proof"]["stop_reason"]
        if reason in BROKEN_OFF or (reason == "votes_spent" and slice_of < most):
            return document, False
        if slice_of < most:  # the same votes, under the whole job's options
            document["request"] = prepared.options.describe()
            document["id"] = certificate_id(document)
        issued = await self._surety.issue(prepared, document, interrupt)
        return {**issued.document, "accounting": issued.accounting}, True

    async def _note(self, job: Job, row: Row, found: "tuple[dict[str, Any], bool] | Stop") -> None:
        """Write down what came of it: the end of the picture, or that it waits again."""
        jobs, pictures = self._state.jobs, self._state.pictures
        compute, number = job.spec.compute, row.number
        if isinstance(found, Stop):
            if found.what == "hold":
                await jobs.hold(job.id, found.seconds, found.problem)
            if found.what == "elsewhere":
                await self._leave_to_others(job, found)
            if found.what == "pause":
                await self._pause(job, found)
            if found.what in ("failed", "unpaid"):
                await self._end(job, ended(row, found.what, found.problem))
            else:
                await pictures.back(job.id, compute, number, _place_again(job, row), row)
            return
        document, last = found
        retries = document["accounting"]["retries"]
        if last and document["proof"]["votes"]["n"] == 0 and _short_of_money(document):
            await self._end(job, ended(row, "unpaid", None))
        elif last:
            best, proof = await self._best(job, row, document), document["proof"]
            free = not document["accounting"]["calls"]
            counts = Counts.of_certificate(proof, cached=free and not _paid_before(row))
            provider = proof["subject"]["provider"]["name"]
            await self._end(job, best, self._state.usage.booking(job.owner, provider, counts))
            self.votes += document["proof"]["votes"]["n"]
        else:
            where = place(job, document) if job.spec.allocation == "closest" else None
            waits = partly(row, document, retries)
            await pictures.back(job.id, compute, number, where, waits)

    async def _end(self, job: Job, row: Row, booking: Booking | None = None) -> None:
        if await self._state.pictures.end(job, row, booking):
            self.pictures += 1

    async def _leave_to_others(self, job: Job, stop: Stop) -> None:
        """Let others take a picture that this process lacks a credential or the like for.

        Or a denoiser of the job's compute type: some other one of this process has that type. Where
        none that lives is set up for the job, it is held, and says why.
        """
        self._unable.pop(job.id, None)
        self._unable[job.id] = None  # the last
        while len(self._unable) > MOST_UNABLE:
            del self._unable[next(iter(self._unable))]
        process = self._state.process.id
        if await self._state.workers.unable(process, job.id, job.spec.compute):
            await self._state.jobs.hold(job.id, HOLD_SECONDS, stop.problem)
        else:
            await asyncio.sleep(ELSEWHERE_SECONDS)  # else it would come back here at once

    async def _able(self, job: Job) -> None:
        """Let others know that this process is set up for a job by now, if it was not."""
        if job.id in self._unable:
            await self._state.workers.able(self._state.process.id, job.id)
            self._unable.pop(job.id, None)  # afterwards, so that it is done again if that failed

    async def _best(self, job: Job, row: Row, document: Mapping[str, Any]) -> Row:
        """Return the row of a picture that has its certificate, or the better one of before.

        A larger target may end as hopeless where a smaller one was certified. Both are true, and
        of one ledger at one alpha, so the larger radius stands.
        """
        new = certified(row, document, document["accounting"]["retries"])
        if row.certificate is None or (row.radius or 0) <= (new.radius or 0):
            return new
        try:
            before = await self._state.certificates.get(row.certificate)
        except NotFound:
            return new  # past its time
        old, now = before["proof"], document["proof"]
        same = all(old[name] == now[name] for name in ("alpha", "subject_sha256"))
        if not same:
            return new
        votes = old["votes"]  # those of the certificate that stands, not of the slices since
        return dataclasses.replace(
            row,
            state="done",
            retries=new.retries,
            n=votes["n"],
            abstentions=votes["abstentions"],
        )

    async def _pause(self, job: Job, stop: Stop) -> None:
        try:
            await self._state.jobs.move(job.id, "pause", {"problem": json.dumps(stop.problem)})
        except (JobConflict, NotFound):
            return  # somebody else has paused, cancelled or deleted it
        log.warning("a job is paused", job=job.id, reason=stop.problem.get("detail"))

    async def _price(self, job: Job) -> float:
        provider = job.spec.arguments.get("provider")
        try:
            return (await self._surety.adapter(provider)).traits.price
        except AdapterError:
            return 0.0  # nothing was asked then

    async def tell(self, job_id: str) -> None:
        """Add what a job has used to its figures."""
        # One at a time: what another call has taken must be told before a job may end.
        async with self._telling:
            used = self._untold.get(job_id)
            if used is None or not used.calls:
                return
            told = dataclasses.replace(used)
            used.take(told)
            counts = {"calls": told.calls, "images": told.images, "throttled": told.throttled}
            await self._state.jobs.tally(job_id, counts)

    async def tell_all(self) -> None:
        """Do so for all jobs."""
        for job_id in [*self._untold]:
            await self.tell(job_id)
            if not self._watch.watches(job_id):
                self._untold.pop(job_id, None)

    def _gates_of(self, job: Job, traits: Traits) -> JobGates:
        """Return the gates that all runs of a job share in this process."""
        wanted = (job.spec.rate, job.spec.max_cost, traits.price, traits.rate_unit)
        made_for, gates = self._gates.get(job.id, (None, None))
        if gates is None or made_for != wanted:
            purse = JobPurse(self._state.jobs, job, traits.price)
            limit = None
            if job.spec.rate is not None:
                limit = self._state.limits.of_job(job.id, job.spec.rate, traits)
            accounts = self._surety.machine.gates
            assert accounts is not None  # noqa: S101  an opened deployment has them
            gates = JobGates(accounts, limit, purse)
            self._gates[job.id] = (wanted, gates)
            while len(self._gates) > MOST_GATES:
                del self._gates[next(iter(self._gates))]
        return gates

    async def drain(self) -> None:
        """Wait until every call is settled."""
        for _, gates in [*self._gates.values()]:
            await gates.drain()


def _paid_before(row: Row) -> bool:
    """Tell whether calls were made since its last certificate, if it has one."""
    return row.certificate is None and row.images > 0


def _place_again(job: Job, row: Row | None) -> float | None:
    """Where a picture waits whose slice broke off; None for the place that it had first."""
    sliced = job.spec.allocation == "closest" and row is not None and row.n > 0
    return job.count if sliced else None


def _short_of_money(document: Mapping[str, Any]) -> bool:
    return bool(document["proof"]["stop_reason"] == "max_cost")


def _lacks_canary(document: Mapping[str, Any]) -> bool:
    """Tell whether votes may not count yet for want of a last answer about the clean picture."""
    version = document["proof"]["subject"]["provider"]["model_version"]
    return is_canary(version) and document["accounting"]["images"] > 1


def _died(where: str) -> dict[str, Any]:
    return Problem(
        INTERNAL, f"{MOST_TRIES} workers in a row have died of this picture, or been killed at it"
    ).describe(where)


def _other_compute(where: str, job: Job, prepared: Prepared) -> dict[str, Any]:
    return Problem(
        DENOISER_NOT_READY,
        f"the job's votes are of the compute type {job.spec.compute}, and the denoiser runs as "
        f"{prepared.denoiser.compute} on this worker: the job goes on once a worker of its own "
        "type runs",
    ).describe(where)
