"""POST /predict: the label, without a radius, for far fewer votes."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.access.needs import CallerDep, needs
from service.deps import AnswerDep, PredictUpload, RunningDep, SuretyDep
from service.edges.single import Single
from service.forms import PredictForm, form_schema
from service.openapi_answers import form_body, run_responses
from service.openapi_examples import PREDICT_FORM

router = APIRouter(tags=["certification"])


@router.post(
    "/predict",
    dependencies=[needs("certify")],
    summary="Predict a picture's label",
    response_class=Response,
    responses=run_responses("prediction"),
    openapi_extra=form_body(form_schema(PredictForm), PREDICT_FORM),
)
async def predict(
    request: Request,
    *,
    surety: SuretyDep,
    caller: CallerDep,
    running: RunningDep,
    answer: AnswerDep,
    upload: PredictUpload,
) -> Response:
    """Count votes to an n fixed beforehand, then test the majority (Cohen et al., 3.2.1).

    The label is the smoothed classifier's own with probability at least 1 − α; `abstained` is
    true where the test cannot tell. Answers as JSON or as events, as `POST /certify` does.
    """
    arguments = upload.form.arguments()
    single = Single(request, surety, running, answer)
    return await single.answer("prediction", upload.take(), upload.name, arguments, caller.key_id)
