"""Takes a job in: checks what it asks for, then picture by picture, and starts it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.core import Surety
from service.demo import sample_picture
from service.errors import BadRequest, StoreError
from service.jobs.item import Item
from service.jobs.job import Job
from service.jobs.outcome import ended
from service.jobs.rows import Row
from service.jobs.spec import JobSpec
from service.problem_kinds import NOT_AN_IMAGE
from service.problems import Problem

TOGETHER = 100  # pictures written down at a time


@dataclass(frozen=True)
class Handed:
    """One picture as it is handed in.

    Attributes:
        name: what the user calls it.
        data: its bytes, or the SHA-256 of bytes that were uploaded before, or None.
        problem: why there are none.
        truth: the label that the user holds to be right.
    """

    name: str
    data: bytes | str | None
    problem: str | None = None
    truth: str | None = None


async def spec_of(surety: Surety, arguments: Mapping[str, Any], **fields: Any) -> JobSpec:  # noqa: ANN401
    """Check what a job asks for, and fix its compute type. Asks nobody and keeps nothing.

    Args:
        surety: an opened deployment.
        arguments: of `Surety.prepare`, the same for all pictures.
        fields: further fields of :class:`service.jobs.spec.JobSpec`.

    Raises:
        CertificationError, AdapterError, DenoiserError, ServiceError: see their trees.
    """
    fixed = dict(arguments)
    # What the deployment's defaults are must not change while the job goes on.
    fixed["provider"] = fixed.get("provider") or surety.settings.provider
    fixed["denoiser"] = fixed.get("denoiser") or surety.settings.denoiser
    sample = await asyncio.to_thread(sample_picture().read_bytes)  # any picture will do
    prepared = await surety.prepare(sample, **fixed)
    fixed["max_votes"] = prepared.options.max_votes
    return JobSpec(arguments=fixed, compute=prepared.denoiser.compute, **fields)


async def submit(surety: Surety, spec: JobSpec, handed: AsyncIterator[Handed]) -> Job:
    """Take a job in and start it.

    Args:
        surety: an opened deployment.
        spec: from `spec_of`.
        handed: the pictures; what it raises ends the job before it has begun.

    Raises:
        BadRequest: if there is no picture.
        StoreError: if it cannot be kept; nothing of it is left then.
    """
    state = surety.state
    job_id = await state.jobs.begin(spec, state.process.id)
    try:
        number, items = 0, list[tuple[Item, Row | None]]()
        async for one in handed:
            items.append(await _taken_in(surety, job_id, number, one))
            number += 1
            if len(items) == TOGETHER:
                await state.pictures.add(job_id, items)
                items = []
        await state.pictures.add(job_id, items)
        if not number:
            raise BadRequest("there are no pictures in it", "pictures")
        return await state.jobs.move(job_id, "start")
    except BaseException:
        await _forget(surety, job_id)
        raise


async def _taken_in(
    surety: Surety, job_id: str, number: int, one: Handed
) -> tuple[Item, Row | None]:
    uploads, sha256, problem = surety.state.uploads, "", one.problem
    if isinstance(one.data, bytes):
        sha256 = await uploads.put(one.data, job_id)
    elif one.data is not None:
        if await uploads.adopt(one.data, job_id):
            sha256 = one.data
        else:
            problem = "no upload of this SHA-256 is kept: upload the picture first"
    item = Item(number, one.name, sha256, one.truth)
    if sha256:
        return item, None
    told = Problem(NOT_AN_IMAGE, problem or "there are no bytes")
    row = Row(number, one.name, "", "waiting", truth=one.truth)
    return item, ended(row, "failed", told.describe(f"/jobs/{job_id}/pictures/{number}"))


async def _forget(surety: Surety, job_id: str) -> None:
    try:
        await surety.state.pictures.delete(await surety.state.jobs.get(job_id))
    except StoreError:
        return  # housekeeping finds it: its reader is dead, or will be
