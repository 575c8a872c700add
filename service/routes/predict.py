"""POST /predict: the label, without a radius, for far fewer votes."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from certification.collecting import OnProgress
from certification.interrupt import Interrupt
from service.answers import respond
from service.deps import AnswerDep, PredictUpload, RunsDep, SuretyDep
from service.forms import PredictForm, form_schema
from service.openapi_answers import form_body, run_responses
from service.openapi_examples import PREDICT_FORM

router = APIRouter(tags=["certification"])


@router.post(
    "/predict",
    summary="Predict a picture's label",
    response_class=Response,
    responses=run_responses("prediction"),
    openapi_extra=form_body(form_schema(PredictForm), PREDICT_FORM),
)
async def predict(
    request: Request,
    *,
    surety: SuretyDep,
    runs: RunsDep,
    answer: AnswerDep,
    upload: PredictUpload,
) -> Response:
    """Count votes to an n fixed beforehand, then test the majority (Cohen et al., 3.2.1).

    The label is the smoothed classifier's own with probability at least 1 − α; `abstained` is
    true where the test cannot tell. Answers as JSON or as events, as `POST /certify` does.
    """
    prepared = await surety.prepare(upload.take(), name=upload.name, **upload.form.arguments())

    async def work(interrupt: Interrupt, on_progress: OnProgress) -> dict[str, Any]:
        return await surety.predict(prepared, interrupt, on_progress)

    run = runs.start("prediction", work)
    return await respond(request, run, answer)
