"""Pictures of a job that lie on this machine: a folder, an archive or a manifest."""

import asyncio
from pathlib import Path
from typing import Literal

from service.core import Surety
from service.errors import BadArchive, BadRequest, BadTable
from service.jobs.intake import intake
from service.jobs.intake.archive import open_archive
from service.jobs.intake.entries import ArchiveLimits
from service.jobs.intake.folder import Folder
from service.jobs.intake.intake import Intake, Labels
from service.jobs.intake.looks import known_kind, no_picture

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
TAKEN = (
    "is text, and neither a folder nor a zip or tar of pictures, so it was read as a manifest: a "
    "CSV or JSONL file that lists pictures"
)
_HEAD = 4096


async def local_intake(
    surety: Surety, path: Path, labels: Labels = None, *, outside: bool = False
) -> Intake:
    """Look through what a path names; what it is, is told by its content.

    Args:
        surety: an opened deployment.
        path: of a folder, a zip, a tar, or a manifest, whose paths are relative to it.
        labels: a file of true labels, or "folders".
        outside: whether a manifest's paths may lead out of its folder.

    Raises:
        BadRequest: if there is no such path.
        BadArchive, ArchiveTooLarge, BadTable: what is wrong with it, or with the labels.
        StoreError: if the store is away.
    """
    most = surety.settings.max_upload_bytes
    limits = ArchiveLimits(max_entry_bytes=most)
    kind = await asyncio.to_thread(_kind_of, path)
    if kind == "folder":
        return await intake.from_source(await asyncio.to_thread(Folder, path, limits), labels)
    if kind == "manifest":
        try:
            return await intake.from_manifest(
                path,
                surety.state.uploads,
                labels,
                most_bytes=most,
                folder=path.parent,
                outside=outside,
                where=path.name,
            )
        except BadTable as error:
            if error.field != "manifest" or path.suffix.lower() in TABLES:
                raise
            told = f"{path.name} {TAKEN}. {error}"
            raise BadTable(told, "manifest", error.line, error.column) from None
    return await intake.from_source(await asyncio.to_thread(open_archive, path, limits), labels)


def _kind_of(path: Path) -> Literal["folder", "manifest", "archive"]:
    if path.is_dir():
        return "folder"
    if not path.exists():
        raise BadRequest(f"there is no folder, archive or manifest {str(path)[:200]!r}", "pictures")
    head = _head_of(path)
    if _is_text(head):
        return "manifest"
    if head and no_picture(head) is None:
        raise BadArchive(
            f"{path.name} is a single picture, which `surety certify` certifies; a job takes a "
            "folder, a zip or tar, or a manifest"
        )
    return "archive"


def _head_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise BadArchive(f"{path.name} cannot be read: {error.strerror}") from None


def _is_text(head: bytes) -> bool:
    """Tell whether a file begins like a text, as manifests do and archives and pictures do not."""
    if not head or b"\0" in head or known_kind(head) is not None or no_picture(head) is None:
        return False
    try:
        head[: head.rfind(b"\n") + 1 or None].decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a character that was cut in two
    return True
