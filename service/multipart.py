"""Reads a multipart body: all of it or none, and nothing of it stays behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message

from fastapi import Request
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from service.edges.idempotency_key import HEADER, Content
from service.edges.uploads import disk_full
from service.limits import MAX_FIELDS, MAX_FILES, MAX_TEXT_FIELD


class WholeMultiPartParser(MultiPartParser):
    """Refuses a form without its closing boundary: a field cut off with it would be missed."""

    _whole = False
    content: Content | None = None  # is told what the parts hold

    def on_headers_finished(self) -> None:
        """Begin a part."""
        super().on_headers_finished()
        if self.content is not None:
            part = self._current_part
            name = None if part.file is None else part.file.filename or ""
            self.content.begin(part.field_name, name)

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Go on with it."""
        super().on_part_data(data, start, end)
        if self.content is not None:
            self.content.add(data[start:end])

    def on_part_end(self) -> None:
        """End it."""
        super().on_part_end()
        if self.content is not None:
            self.content.end()

    def on_end(self) -> None:
        """Note that the closing boundary was read."""
        self._whole = True

    async def parse(self) -> FormData:
        """Read the form."""
        try:
            form = await super().parse()
        except BaseException:  # such as that the client has gone
            for file in self._files_to_close_on_error:
                file.close()
            raise
        if not self._whole:
            await form.close()
            raise MultiPartException("The form ends before its closing boundary: send it again.")
        return form


@asynccontextmanager
async def read_multipart(
    request: Request, files: int = MAX_FILES, parser: type[WholeMultiPartParser] | None = None
) -> AsyncIterator[FormData]:
    """Read a form; its spooled files go at the end.

    Args:
        request: its body has not been read.
        files: the most that there may be.
        parser: reads it.

    Raises:
        HTTPException: if the body is no whole form.
        NoRoom: if the disk runs full.
    """
    require_multipart(request)
    reading = (parser or WholeMultiPartParser)(
        request.headers,
        request.stream(),
        max_files=files,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_TEXT_FIELD,
    )
    if HEADER in request.headers:
        reading.content = Content()
    try:
        with disk_full():
            parts = await reading.parse()
    except MultiPartException as error:
        raise HTTPException(400, error.message) from None
    if reading.content is not None:
        request.state.content_sha256 = reading.content.sha256()
    try:
        yield parts
    finally:
        await parts.close()


def require_multipart(request: Request) -> None:
    """Refuse a body of another type before it is read.

    Raises:
        HTTPException: if it is no form, or in an encoding other than UTF-8.
    """
    message = Message()
    message["content-type"] = request.headers.get("content-type") or ""
    if message.get_content_type() != "multipart/form-data":
        raise HTTPException(415, "send multipart/form-data, as curl -F does")
    charset = message.get_param("charset", "utf-8")
    if str(charset).lower() not in ("utf-8", "utf8", "us-ascii"):
        raise HTTPException(415, "send the form in UTF-8, without a charset parameter")
