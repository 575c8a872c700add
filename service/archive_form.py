"""Reads a multipart body whose files are large: they go to disk under a name while they arrive."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from fastapi import Request
from starlette.datastructures import UploadFile

from service.errors import BadRequest
from service.form_parts import read_parts
from service.job_forms import ARCHIVE, FILES, LABELS, MANIFEST, JobForm
from service.jobs.intake.intake import Labels
from service.multipart import WholeMultiPartParser, read_multipart

MOST_LABELS = 16 * 2**20  # bytes of a file of labels

Form = TypeVar("Form", bound=JobForm)


@dataclass(frozen=True)
class Pictures(Generic[Form]):
    """A form that has been read.

    Attributes:
        form: its text fields.
        archive: the file, None if there is none.
        manifest: the file, None if there is none.
        labels: content of the file of labels, "folders", or None.
    """

    form: Form
    archive: Path | None
    manifest: Path | None
    labels: Labels


class _OnDisk(WholeMultiPartParser):
    """Gives files names on disk, since an archive is opened more than once."""

    def on_headers_finished(self) -> None:
        """Put a file in the place of the one in memory."""
        super().on_headers_finished()
        file = self._current_part.file
        if file is not None:
            file.file.close()
            named = tempfile.NamedTemporaryFile(prefix="surety-")  # noqa: SIM115  closed with the form
            file.file = named  # type: ignore[assignment]
            self._files_to_close_on_error.append(named)  # type: ignore[arg-type]


@asynccontextmanager
async def read_archive_form(request: Request, model: type[Form]) -> AsyncIterator[Pictures[Form]]:
    """Read a form with an archive or a manifest; its files go at the end.

    Raises:
        HTTPException: if the body is no whole form.
        RequestValidationError: if a field is unknown, repeated or wrong.
        BadRequest: if there are two sources of pictures, or too long a file of labels.
    """
    async with read_multipart(request, files=len(FILES), parser=_OnDisk) as parts:
        form, files = read_parts(model, parts.multi_items(), FILES, either=(LABELS,))
        if ARCHIVE in files and MANIFEST in files:
            raise BadRequest("send an archive or a manifest, not both", MANIFEST)
        labels: Labels = form.labels
        if LABELS in files:
            labels = content = await files[LABELS].read(MOST_LABELS + 1)
            if len(content) > MOST_LABELS:
                raise BadRequest(f"the file of labels has more than {MOST_LABELS:,} bytes", LABELS)
        yield Pictures(form, _path(files.get(ARCHIVE)), _path(files.get(MANIFEST)), labels)


def _path(file: UploadFile | None) -> Path | None:
    if file is None:
        return None
    file.file.flush()
    return Path(str(file.file.name))
