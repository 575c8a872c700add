"""POST /certify: a certificate for one picture."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from certification.collecting import OnProgress
from certification.interrupt import Interrupt
from service.answers import respond
from service.deps import AnswerDep, CertificatesDep, CertifyUpload, RunsDep, SuretyDep
from service.forms import CertifyForm, form_schema
from service.openapi_answers import form_body, run_responses
from service.openapi_examples import CERTIFY_FORM

router = APIRouter(tags=["certification"])


@router.post(
    "/certify",
    summary="Certify a picture",
    response_class=Response,
    responses=run_responses("certificate"),
    openapi_extra=form_body(form_schema(CertifyForm), CERTIFY_FORM),
)
async def certify(
    request: Request,
    *,
    surety: SuretyDep,
    runs: RunsDep,
    certificates: CertificatesDep,
    answer: AnswerDep,
    upload: CertifyUpload,
) -> Response:
    """Ask about noisy copies of the picture until a stop rule holds.

    Answers with the certificate as JSON or, where the Accept header prefers
    `text/event-stream`, with events: `run` (its id), `progress` (about ten a second at most) and
    `certificate`, or `problem` if something fails after the stream began. Everything that can be
    checked without asking the provider is checked before the answer starts. If the client goes
    away the run ends; votes that were paid for are kept and reused by the next request.
    """
    prepared = await surety.prepare(upload.take(), name=upload.name, **upload.form.arguments())

    async def work(interrupt: Interrupt, on_progress: OnProgress) -> dict[str, Any]:
        certificate = await surety.certify(prepared, interrupt, on_progress)
        await certificates.put(certificate)
        return certificate

    run = runs.start("certificate", work)
    return await respond(request, run, answer)
