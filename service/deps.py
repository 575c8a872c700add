"""What routes ask for, as annotated aliases."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message
from typing import Annotated, Generic

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from service import negotiation
from service.certificates import Certificates
from service.core import Surety
from service.forms import CertifyForm, Form, PredictForm, read_fields
from service.limits import MAX_FIELDS, MAX_FILES, MAX_TEXT_FIELD
from service.runs import Runs


@dataclass
class Upload(Generic[Form]):
    """A form that has been read.

    Attributes:
        form: its text fields.
        data: bytes of the picture; emptied by `take`.
        name: the file name that the client gave it, if any.
    """

    form: Form
    data: bytes
    name: str | None

    def take(self) -> bytes:
        """Hand the bytes over, so that a request that waits does not hold them."""
        data, self.data = self.data, b""
        return data


def _surety(request: Request) -> Surety:
    found: Surety = request.app.state.surety
    return found


def _runs(request: Request) -> Runs:
    found: Runs = request.app.state.runs
    return found


def _certificates(request: Request) -> Certificates:
    found: Certificates = request.app.state.certificates
    return found


SuretyDep = Annotated[Surety, Depends(_surety)]
RunsDep = Annotated[Runs, Depends(_runs)]
CertificatesDep = Annotated[Certificates, Depends(_certificates)]


async def _answer(request: Request, surety: SuretyDep) -> AsyncIterator[negotiation.Answer]:
    """Choose the form of the answer, and refuse before the body is read what cannot be served."""
    if request.query_params:
        unknown = [
            {"type": "extra_forbidden", "loc": ("query", name), "msg": ""}
            for name in {*request.query_params}
        ]
        raise RequestValidationError(sorted(unknown, key=lambda found: found["loc"]))
    chosen = negotiation.choose(", ".join(request.headers.getlist("accept")))
    _require_multipart(request.headers.get("content-type"))
    with surety.admission():
        yield chosen


AnswerDep = Annotated[negotiation.Answer, Depends(_answer)]


async def _certify_upload(request: Request, _: AnswerDep) -> Upload[CertifyForm]:
    return await _read(request, CertifyForm)


async def _predict_upload(request: Request, _: AnswerDep) -> Upload[PredictForm]:
    return await _read(request, PredictForm)


CertifyUpload = Annotated[Upload[CertifyForm], Depends(_certify_upload)]
PredictUpload = Annotated[Upload[PredictForm], Depends(_predict_upload)]


async def _read(request: Request, model: type[Form]) -> Upload[Form]:
    parser = WholeMultiPartParser(
        request.headers,
        request.stream(),
        max_files=MAX_FILES,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_TEXT_FIELD,
    )
    try:
        parts = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, error.message) from None
    try:
        form, picture = read_fields(model, parts.multi_items())
        return Upload(form, await picture.read(), picture.filename or None)
    finally:
        await parts.close()  # the spooled file goes with it, so nothing outlives this line


class WholeMultiPartParser(MultiPartParser):
    """Refuses a form without its closing boundary: a field cut off with it would be missed."""

    _whole = False

    def on_end(self) -> None:
        """Note that the closing boundary was read."""
        self._whole = True

    async def parse(self) -> FormData:
        """Read the form."""
        form = await super().parse()
        if not self._whole:
            await form.close()
            raise MultiPartException("The form ends before its closing boundary: send it again.")
        return form


def _require_multipart(content_type: str | None) -> None:
    message = Message()
    message["content-type"] = content_type or ""
    if message.get_content_type() != "multipart/form-data":
        raise HTTPException(415, "send multipart/form-data with the picture in the field image")
    charset = message.get_param("charset", "utf-8")
    if str(charset).lower() not in ("utf-8", "utf8", "us-ascii"):
        raise HTTPException(415, "send the form in UTF-8, without a charset parameter")
