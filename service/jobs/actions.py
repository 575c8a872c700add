"""What can be done with a job once it is there; see :mod:`service.jobs.states`."""

from collections.abc import Mapping
from typing import Any

from service.core import Surety
from service.errors import BadRequest
from service.jobs.job import Job
from service.jobs.spec import JobSpec
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
    """Ask again about pictures that failed, were not paid for or were cancelled."""
    return await _again(surety, await surety.state.jobs.get(job_id), "retry")


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
        raise BadRequest("say what is to change: max_cost, target_radius, max_votes, alpha, …")
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
    await surety.state.jobs.respec(job_id, spec)
    return await _again(surety, job, "extend")


async def delete(surety: Surety, job_id: str) -> None:
    """Delete a job, its pictures and its rows; votes and certificates stay."""
    await surety.state.pictures.delete(await surety.state.jobs.get(job_id))


async def _again(surety: Surety, job: Job, action: Action) -> Job:
    _check(action, job)
    await surety.state.pictures.again(job, action)
    return await surety.state.jobs.move(job.id, action)


def _check(action: Action, job: Job) -> None:
    if job.state not in FROM[action]:
        raise conflict(action, job.state)
