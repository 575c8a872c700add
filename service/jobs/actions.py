"""What can be done with a job once it is there; see :mod:`service.jobs.states`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.errors import AdapterError
from service.billionths import NANO
from service.core import Surety
from service.errors import BadRequest, JobConflict
from service.jobs.job import Job
from service.jobs.results.report_words import money
from service.jobs.spec import CHANGEABLE, JobSpec
from service.jobs.states import FROM, Action
from service.jobs.submit import spec_of
from service.store.jobs import cap_of, conflict


async def pause(surety: Surety, job_id: str) -> Job:
    """Hand out no more pictures; those at work go back to the others, their votes are kept."""
    return await surety.state.jobs.move(job_id, "pause")


async def resume(surety: Surety, job_id: str) -> Job:
    """Go on with a paused job."""
    return await surety.state.jobs.move(job_id, "resume")


async def cancel(surety: Surety, job_id: str) -> Job:
    """End a job: no call starts any more; what has a certificate keeps it."""
    return await surety.state.jobs.move(job_id, "cancel")


async def retry(surety: Surety, job_id: str) -> Job:
    """Ask again about pictures that failed, were not paid for or were cancelled.

    Raises:
        JobConflict: if the job has not ended, has no such picture, or no money for a call.
    """
    job = await surety.state.jobs.get(job_id)
    _check("retry", job)
    short = await shortage(surety, job)
    if short is not None and short.nothing:
        raise JobConflict(f"{short}: extend the job by a larger max_cost, which retries as well")
    return await _again(surety, job, "retry")


@dataclass(frozen=True)
class Shortage:
    """A job's money does not pay for a full call.

    Attributes:
        spent: US dollars, those in flight included.
        cap: US dollars that the job may spend.
        call: US dollars of a full call.
        nothing: whether it does not even pay for the smallest one.
    """

    spent: float
    cap: float
    call: float
    nothing: bool

    def __str__(self) -> str:
        what = "nothing" if self.nothing else "little or nothing"
        return (
            f"{what} can be asked: {money(self.spent)} of {money(self.cap)} are spent, and a full "
            f"call costs {money(self.call)}"
        )


async def shortage(surety: Surety, job: Job) -> Shortage | None:
    """Tell whether a job's money is at its end; None if it is not, as far as is known here."""
    cap = cap_of(job.spec)
    if cap is None:
        return None
    try:
        traits = (await surety.adapter(job.spec.arguments.get("provider"))).traits
    except AdapterError:
        return None  # it is set up elsewhere, and so is what it costs
    left, call = (cap - job.spent) / NANO, traits.price * traits.units(traits.max_batch)
    if left >= call:
        return None
    return Shortage(job.cost_at_most, cap / NANO, call, nothing=left < traits.price)


async def extend(surety: Surety, job_id: str, changes: Mapping[str, Any]) -> Job:
    """Go on with an ended job under a larger budget or target; only new votes are paid for.

    Args:
        surety: an opened deployment.
        job_id: whose.
        changes: fields that `JobSpec.extended` takes.

    Raises:
        BadRequest: if nothing is changed, or what is fixed.
        JobConflict: if the job has not ended.
    """
    job = await surety.state.jobs.get(job_id)
    _check("extend", job)
    if not changes:
        raise BadRequest(f"say what is to change: {', '.join(CHANGEABLE)}")
    asked = job.spec.extended(changes)
    fields = asked.describe()
    del fields["compute"]
    spec = await spec_of(surety, fields.pop("arguments"), **fields)
    if spec.compute != job.spec.compute:
        spec = JobSpec.of({**spec.describe(), "compute": job.spec.compute})
    cap = cap_of(spec)
    if cap is not None and cap < job.spent:
        raise BadRequest(
            f"max_cost is below what the job has spent: give more than {job.cost_at_most:.2f} "
            "US dollars",
            "max_cost",
        )
    return await _again(surety, job, "extend", spec)


async def delete(surety: Surety, job_id: str) -> None:
    """Delete a job, its pictures and its rows; votes and certificates stay."""
    await surety.state.pictures.delete(await surety.state.jobs.get(job_id))


async def _again(surety: Surety, job: Job, action: Action, spec: JobSpec | None = None) -> Job:
    _check(action, job)
    count = await surety.state.pictures.again(job, action)
    if action == "retry" and not count:
        now = await surety.state.jobs.get(job.id)  # another retry may have broken off half-way
        _check(action, now)
        if not now.left:
            raise JobConflict(_nothing_to_retry(now))
    return await surety.state.jobs.move(job.id, action, spec=spec)


def _nothing_to_retry(job: Job) -> str:
    if failed := job.counts["failed"]:
        which = "the picture that failed" if failed == 1 else f"the {failed:,} that failed"
        return (
            f"there is nothing to retry: {which} could not be read when the job was submitted; "
            "mend the file and submit it again, which costs nothing for the others"
        )
    return "there is nothing to retry: every picture has its certificate"


def _check(action: Action, job: Job) -> None:
    if job.state not in FROM[action]:
        raise conflict(action, job.state)
