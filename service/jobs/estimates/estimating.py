"""Estimates a job with what this deployment knows: the provider's traits, its workers, a pilot."""

import asyncio
import dataclasses
from collections.abc import Sequence

from certification.canonical import Limits
from service.core import Surety
from service.errors import BadRequest
from service.jobs.batch import Batch
from service.jobs.estimates.estimate import estimate
from service.jobs.estimates.estimate_result import Estimate
from service.jobs.estimates.estimate_time import Speed
from service.jobs.estimates.pilot import names_version
from service.jobs.rows import Row
from service.jobs.spec import JobSpec

AT_ONCE = 4  # pictures that a worker takes, where nobody works yet


async def looked_into(surety: Surety, batch: Batch) -> Batch:
    """Return a job's pictures after a look at the header of each, as an estimate is about them.

    A job leaves that to its work, which decodes each picture anyway.

    Args:
        surety: an opened deployment.
        batch: what is to be done.
    """
    limits = Limits(surety.settings.max_upload_bytes, surety.settings.max_pixels)
    return dataclasses.replace(batch, intake=await batch.intake.with_headers_read(limits))


async def estimate_batch(surety: Surety, batch: Batch, pilot: Sequence[Row] = ()) -> Estimate:
    """Estimate a job whose pictures are here: those that cannot be read cost nothing.

    Args:
        surety: an opened deployment.
        batch: from `looked_into`.
        pilot: see `estimate_of`.

    Raises:
        BadRequest: if there is no picture that can be read.
        AdapterError: if the provider is not ready.
    """
    intake = batch.intake
    unreadable = len(intake.unreadable)
    if unreadable == intake.count:
        raise BadRequest("no picture of it can be read", "pictures")
    found = await estimate_of(surety, batch.spec, intake.count - unreadable, pilot)
    return found.but(unreadable=unreadable, problems=intake.problems)


async def estimate_of(
    surety: Surety, spec: JobSpec, count: int, pilot: Sequence[Row] = ()
) -> Estimate:
    """Estimate a job.

    Args:
        surety: an opened deployment.
        spec: what the job is to do.
        count: its pictures, as far as they can be read.
        pilot: rows of some of them that were certified already.

    Raises:
        BadRequest: if there are no pictures, or more in the pilot than in the job.
        AdapterError: if the provider is not ready.
    """
    adapter = await surety.adapter(spec.arguments["provider"])
    workers = await surety.state.workers.covering(spec.compute)
    named = await names_version(surety, pilot, adapter.traits)
    at_once = sum(w.pictures for w in workers) // len(workers) if workers else AT_ONCE
    return await asyncio.to_thread(
        estimate,
        spec.arguments,
        count,
        dataclasses.replace(adapter.traits, names_version=named),
        pilot or None,
        max_cost=spec.max_cost,
        rate=spec.rate,
        speed=Speed(workers=max(1, len(workers)), at_once=at_once),
    )
