"""What routes ask for, as annotated aliases."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Generic

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError

from service import negotiation
from service.access.needs import CallerDep
from service.answers import Manner
from service.core import Surety
from service.edges import idempotency_key, prefer
from service.edges.prefer import Preference
from service.forms import CertifyForm, Form, PredictForm, read_fields
from service.multipart import read_multipart, require_multipart
from service.running import Running
from service.single_members import TWICE


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


def _running(request: Request) -> Running:
    found: Running = request.app.state.running
    return found


SuretyDep = Annotated[Surety, Depends(_surety)]
RunningDep = Annotated[Running, Depends(_running)]


def refuse_unknown(request: Request, known: Collection[str] = ()) -> None:
    """Refuse parameters of the query that a route does not know, or that are given twice.

    One that is misspelt would else count for nothing, and of two the last.

    Raises:
        RequestValidationError: naming them.
    """
    given = Counter(name for name, _ in request.query_params.multi_items())
    wrong = [
        {"type": "extra_forbidden", "loc": ("query", name), "msg": ""}
        for name in sorted({*given} - {*known})
    ]
    wrong += [
        {"type": "value_error", "loc": ("query", name), "msg": TWICE}
        for name in known
        if given[name] > 1
    ]
    if wrong:
        raise RequestValidationError(wrong)


def _no_query(request: Request) -> None:
    refuse_unknown(request)


NO_QUERY: Any = Depends(_no_query)
"""For a route without parameters: it refuses a request that has some in its query."""


async def _answer(
    request: Request, surety: SuretyDep, running: RunningDep, caller: CallerDep
) -> AsyncIterator[Manner]:
    """Choose the form of the answer, and refuse before the body is read what cannot be served."""
    refuse_unknown(request)
    chosen = negotiation.choose(", ".join(request.headers.getlist("accept")))
    wanted = Preference()  # a stream is answered at once anyhow
    if chosen == "json":
        wanted = prefer.read(request.headers.getlist(prefer.HEADER))
    require_multipart(request)
    idempotency_key.read(request)
    with contextlib.ExitStack() as places:
        key = caller.key_id
        places.enter_context(surety.requests.take(key))
        alone = places.enter_context(running.alone.take(key)) if wanted.asynchronous else None
        memory = places.enter_context(surety.uploads.picture(request, key))
        yield Manner(chosen, wanted, memory, alone)


AnswerDep = Annotated[Manner, Depends(_answer)]


async def _certify_upload(request: Request, _: AnswerDep) -> Upload[CertifyForm]:
    return await _read(request, CertifyForm)


async def _predict_upload(request: Request, _: AnswerDep) -> Upload[PredictForm]:
    return await _read(request, PredictForm)


CertifyUpload = Annotated[Upload[CertifyForm], Depends(_certify_upload)]
PredictUpload = Annotated[Upload[PredictForm], Depends(_predict_upload)]


async def _read(request: Request, model: type[Form]) -> Upload[Form]:
    async with read_multipart(request) as parts:
        form, picture = read_fields(model, parts.multi_items())
        return Upload(form, await picture.read(), picture.filename or None)
