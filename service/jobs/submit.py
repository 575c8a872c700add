"""Takes a job in: checks what it asks for, then picture by picture, and starts it."""

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from certification.decision import LabelMap
from service.core import Surety
from service.demo import sample_picture
from service.errors import BadRequest, JobConflict, StoreError, UnknownLabel
from service.jobs.engine.outcome import ended
from service.jobs.item import Item
from service.jobs.job import Job
from service.jobs.rows import Row
from service.jobs.spec import JobSpec
from service.prepared import check_labels
from service.problem_kinds import UNREADABLE_PICTURE
from service.problems import Problem
from service.state import State

TOGETHER, TOGETHER_BYTES = 100, 8 * 2**20  # written down at a time


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
    prepared = await surety.prepare(await _any_picture(), **fixed)
    fixed["max_votes"] = prepared.options.max_votes
    return JobSpec(arguments=fixed, compute=prepared.denoiser.compute, **fields)


async def check_truths(surety: Surety, spec: JobSpec, truths: Iterable[str]) -> None:
    """Refuse true labels that the provider cannot give, if its labels are a closed set.

    Raises:
        UnknownLabel, BadRequest: naming the field `labels`.
    """
    prepared = await surety.prepare(await _any_picture(), **spec.arguments)
    for truth in sorted(truths):
        options = dataclasses.replace(prepared.options, truth=truth)
        try:
            check_labels(prepared.adapter, options, LabelMap.of({}))
        except (UnknownLabel, BadRequest) as error:
            raise type(error)(str(error), "labels") from None


async def submit(
    surety: Surety,
    spec: JobSpec,
    handed: AsyncIterator[Handed],
    skipped: int = 0,
    job_id: str | None = None,
) -> Job:
    """Take a job in and start it.

    Args:
        surety: an opened deployment.
        spec: from `spec_of`.
        handed: the pictures; what it raises ends the job before it has begun.
        skipped: files beside them that were passed over.
        job_id: its id, None for a new one.

    Raises:
        BadRequest: if there is no picture.
        StoredTooMuch: if there is no room for its pictures; nothing of it is left then.
        StoreError: if it cannot be kept; nothing of it is left then.
    """
    state = surety.state
    job_id = await state.jobs.begin(spec, state.process.id, job_id)
    try:
        taking = _Taking(state, job_id, spec.owner)
        async for one in handed:
            await taking.add(one)
        await taking.write()
        if not taking.count:
            raise BadRequest("there are no pictures in it", "pictures")
        return await state.jobs.move(job_id, "start", {"skipped": skipped})
    except BaseException:
        await _forget(state, job_id)
        raise


class _Taking:
    """Takes pictures in. What stands in the job goes with it, so that is written before the bytes.

    Args:
        state: the deployment's.
        job_id: which job's.
        owner: the API key that submits it: it alone may name what it has uploaded.

    Attributes:
        count: pictures so far.
    """

    def __init__(self, state: State, job_id: str, owner: str | None) -> None:
        self._state, self._job_id, self._owner = state, job_id, owner
        self.count = 0
        self._waiting: list[tuple[Item, Handed]] = []
        self._bytes = 0

    async def add(self, one: Handed) -> None:
        """Take a picture, and write a few down together."""
        data = one.data
        sha256 = hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else data or ""
        self._waiting.append((Item(self.count, one.name, sha256, one.truth), one))
        self._bytes += len(data) if isinstance(data, bytes) else 0
        self.count += 1
        if len(self._waiting) >= TOGETHER or self._bytes >= TOGETHER_BYTES:
            await self.write()

    async def write(self) -> None:
        """Write down what waits for it."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        rows = [None if item.sha256 else self._failed(item, one.problem) for item, one in waiting]
        items = [item for item, _ in waiting]
        added = list(zip(items, rows, strict=True))
        await self._state.pictures.add(self._job_id, self._owner, added)
        uploads, job_id = self._state.uploads, self._job_id
        for item, one in waiting:
            if isinstance(one.data, bytes):
                await uploads.put(one.data, self._owner, job_id)
            elif item.sha256 and not await uploads.adopt(item.sha256, job_id, self._owner):
                lost = dataclasses.replace(item, sha256="")
                why = "no upload of this SHA-256 is kept: upload the picture first"
                await self._state.pictures.lost(job_id, lost, self._failed(lost, why))

    def _failed(self, item: Item, problem: str | None) -> Row:
        told = Problem(UNREADABLE_PICTURE, problem or "there are no bytes")
        row = Row(item.number, item.name, "", "waiting", truth=item.truth)
        where = f"/jobs/{self._job_id}/pictures/{item.number}"
        return ended(row, "failed", told.describe(where))


async def _forget(state: State, job_id: str) -> None:
    try:
        await state.pictures.delete(await state.jobs.get(job_id), ("reading",))
    except JobConflict:
        return  # it has begun just before whoever submits it went, and goes on
    except StoreError:
        return  # housekeeping finds it: its reader is dead, or will be


async def _any_picture() -> bytes:
    return await asyncio.to_thread(sample_picture().read_bytes)
