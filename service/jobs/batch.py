"""A request for a job, checked in full: what it is to do, and the pictures that it is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.core import Surety
from service.errors import BadRequest
from service.jobs.intake import intake
from service.jobs.intake.archive import open_archive
from service.jobs.intake.entries import ArchiveLimits
from service.jobs.intake.intake import Intake, Labels
from service.jobs.job import Job
from service.jobs.spec import JobSpec
from service.jobs.submit import check_truths, spec_of, submit


@dataclass(frozen=True)
class Batch:
    """Nothing has been asked or kept yet.

    Attributes:
        spec: what the job is to do.
        intake: its pictures.
    """

    spec: JobSpec
    intake: Intake

    async def submit(self, surety: Surety, job_id: str | None = None) -> Job:
        """Take the job in and start it; see :func:`service.jobs.submit.submit`."""
        handed, skipped = self.intake.handed(), self.intake.skipped
        return await submit(surety, self.spec, handed, skipped, job_id)


async def batch_of(
    surety: Surety,
    arguments: Mapping[str, Any],
    fields: Mapping[str, Any],
    *,
    archive: Path | None = None,
    manifest: Path | None = None,
    labels: Labels = None,
) -> Batch:
    """Check all that can be checked without asking the provider.

    Args:
        surety: an opened deployment.
        arguments: of `Surety.prepare`.
        fields: further fields of :class:`service.jobs.spec.JobSpec`.
        archive: the pictures; or
        manifest: of pictures that were uploaded before.
        labels: a file of true labels, or "folders".

    Raises:
        BadRequest: if there are no pictures, or a field is wrong.
        BadArchive, ArchiveTooLarge, BadTable: what is wrong with archive, manifest or labels.
        CertificationError, AdapterError, DenoiserError, ServiceError: see their trees.
    """
    if archive is None and manifest is None:
        raise BadRequest("send the pictures: an archive, or a manifest of uploads", "archive")
    spec = await spec_of(surety, arguments, **fields)
    if archive is not None:
        limits = ArchiveLimits(max_entry_bytes=surety.settings.max_upload_bytes)
        found = await intake.from_source(open_archive(archive, limits), labels)
    else:
        assert manifest is not None  # noqa: S101
        uploads = surety.state.uploads
        found = await intake.from_manifest(manifest, uploads, labels, owner=spec.owner)
    await check_truths(surety, spec, found.truths)
    return Batch(spec, found)
