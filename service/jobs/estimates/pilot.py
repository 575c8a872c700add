"""A pilot: some pictures of a job, really certified, before the job is submitted.

It is a small job of its own, worked on like any other, so the limits of the account hold, and it
goes afterwards. Its votes and certificates stay: the job itself does not pay for them again.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from certification.canary import is_canary
from certification.protocols import Traits
from service.core import Surety
from service.errors import NotFound
from service.jobs import actions
from service.jobs.batch import Batch
from service.jobs.estimates.estimate import pilot_numbers
from service.jobs.intake.intake import Intake
from service.jobs.job import Job
from service.jobs.rows import Row
from service.jobs.submit import Handed, submit
from service.problem_kinds import BUDGET_SPENT

LOOK_SECONDS = 0.1


class PilotStopped(Exception):
    """The pilot cannot go on, as the whole job could not.

    Attributes:
        problem: why, as an RFC 9457 document.
    """

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail")))
        self.problem = dict(problem)


def pilot_of(intake: Intake, m: int) -> set[int]:
    """Choose the pictures of a pilot among those that can be read; see `pilot_numbers`.

    Raises:
        BadRequest: if there are none.
    """
    readable = intake.readable()
    return {readable[at] for at in pilot_numbers(len(readable), m)}


async def run_pilot(
    surety: Surety, batch: Batch, numbers: Collection[int], max_cost: float | None
) -> list[Row]:
    """Certify some pictures and wait for the end; cancelling ends it and leaves nothing but votes.

    Args:
        surety: an opened deployment in which somebody works on jobs.
        batch: what the job would be.
        numbers: of its pictures.
        max_cost: US dollars that this may cost.

    Raises:
        PilotStopped: if it was paused, as for a credential that is refused, or the budget of its
            API key does not pay for it.
        StoreError: if the store is away.
    """
    spec = dataclasses.replace(
        batch.spec, name="pilot", max_cost=max_cost, priority="high", allocation="in_order"
    )
    job = await submit(surety, spec, _some(batch.intake, numbers))
    try:
        job = await _ended(surety, job)
        return [row async for row in surety.state.pictures.all_rows(job)]
    finally:
        await asyncio.shield(_forget(surety, job.id))


async def names_version(surety: Surety, rows: Collection[Row], traits: Traits) -> bool:
    """Tell whether the provider names its model's version, by a certificate if there is one.

    Args:
        surety: an opened deployment.
        rows: of the pilot.
        traits: what the adapter says of itself.
    """
    for row in rows:
        if row.certificate is not None:
            document = await surety.state.certificates.get(row.certificate)
            return not is_canary(document["proof"]["subject"]["provider"]["model_version"])
    return traits.names_version


async def _some(intake: Intake, numbers: Collection[int]) -> AsyncIterator[Handed]:
    number = 0
    async for one in intake.handed():
        if number in numbers:
            yield one
        number += 1


async def _ended(surety: Surety, job: Job) -> Job:
    while job.ended is None:
        if job.state == "paused":
            raise PilotStopped(job.problem or {"detail": "somebody has paused the pilot"})
        if job.problem is not None and job.problem["type"] == BUDGET_SPENT.type:
            raise PilotStopped(job.problem)  # it would be renewed too late for who waits for this
        await asyncio.sleep(LOOK_SECONDS)
        job = await surety.state.jobs.get(job.id)
    return job


async def _forget(surety: Surety, job_id: str) -> None:
    try:
        if (await surety.state.jobs.get(job_id)).ended is None:
            await actions.cancel(surety, job_id)
        await actions.delete(surety, job_id)
    except NotFound:
        return
