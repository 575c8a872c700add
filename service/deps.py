"""What routes ask for, as annotated aliases."""

from dataclasses import dataclass
from email.message import Message
from typing import Annotated, Generic

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from service import negotiation
from service.certificates import Certificates
from service.core import Surety
from service.forms import CertifyForm, Form, PredictForm, read_fields
from service.limits import MAX_FIELDS, MAX_FILES, MAX_TEXT_FIELD
from service.runs import Runs


@dataclass(frozen=True)
class Upload(Generic[Form]):
    """A form that has been read.

    Attributes:
        form: its text fields.
        data: bytes of the picture.
        name: the file name that the client gave it, if any.
    """

    form: Form
    data: bytes
    name: str | None


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


def _answer(request: Request, surety: SuretyDep) -> negotiation.Answer:
    """Choose the form of the answer, and refuse before the body is read what cannot be served."""
    chosen = negotiation.choose(", ".join(request.headers.getlist("accept")))
    _require_multipart(request.headers.get("content-type"))
    surety.check_room()
    return chosen


AnswerDep = Annotated[negotiation.Answer, Depends(_answer)]


async def _certify_upload(request: Request, _: AnswerDep) -> Upload[CertifyForm]:
    return await _read(request, CertifyForm)


async def _predict_upload(request: Request, _: AnswerDep) -> Upload[PredictForm]:
    return await _read(request, PredictForm)


CertifyUpload = Annotated[Upload[CertifyForm], Depends(_certify_upload)]
PredictUpload = Annotated[Upload[PredictForm], Depends(_predict_upload)]


async def _read(request: Request, model: type[Form]) -> Upload[Form]:
    # Leaving the block closes the spooled file, so nothing outlives this line.
    async with request.form(
        max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_TEXT_FIELD
    ) as parts:
        form, picture = read_fields(model, parts.multi_items())
        return Upload(form, await picture.read(), picture.filename or None)


def _require_multipart(content_type: str | None) -> None:
    message = Message()
    message["content-type"] = content_type or ""
    if message.get_content_type() != "multipart/form-data":
        raise HTTPException(415, "send multipart/form-data with the picture in the field image")
    charset = message.get_param("charset", "utf-8")
    if str(charset).lower() not in ("utf-8", "utf8", "us-ascii"):
        raise HTTPException(415, "send the form in UTF-8, without a charset parameter")
