"""POST /certify: a certificate for one picture."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.access.needs import CallerDep, needs
from service.deps import AnswerDep, CertifyUpload, RunningDep, SuretyDep
from service.edges.single import Single
from service.forms import CertifyForm, form_schema
from service.openapi_answers import form_body, run_responses
from service.openapi_examples import CERTIFY_FORM

router = APIRouter(tags=["certification"])


@router.post(
    "/certify",
    dependencies=[needs("certify")],
    summary="Certify a picture",
    response_class=Response,
    responses=run_responses("certificate"),
    openapi_extra=form_body(form_schema(CertifyForm), CERTIFY_FORM),
)
async def certify(
    request: Request,
    *,
    surety: SuretyDep,
    caller: CallerDep,
    running: RunningDep,
    answer: AnswerDep,
    upload: CertifyUpload,
) -> Response:
    """Ask about noisy copies of the picture until a stop rule holds.

    Answers with the certificate as JSON or, where the Accept header prefers
    `text/event-stream`, with events: `run` (its id), `progress` (about ten a second at most),
    `accounting` and `certificate`, or `problem` if something fails after the stream began.
    Everything that can be checked without asking the provider is checked before the answer
    starts. If the client goes away the run ends; votes that were paid for are kept and reused by
    the next request. If the service dies, the next process goes on with the run, and
    `GET /runs/{id}` tells what came of it. The same request again costs nothing and answers with
    the same certificate; what this request cost stands in the header Surety-Accounting.
    """
    arguments = upload.form.arguments()
    single = Single(request, surety, running, answer)
    return await single.answer("certificate", upload.take(), upload.name, arguments, caller.key_id)
