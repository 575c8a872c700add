"""GET /metrics: what Prometheus reads."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.access import away
from service.access.needs import needs
from service.openapi_answers import media_response, problem_responses
from service.seeing.exposition import OPEN, TEXT, written

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    dependencies=[needs("read")],
    summary="Metrics for Prometheus",
    response_class=Response,
    responses=media_response(
        "All metrics of this process.", *(m.partition(";")[0] for m in (TEXT, OPEN))
    )
    | problem_responses(),
)
async def metrics(request: Request) -> Response:
    """Return counters and gauges in Prometheus's text format, or as OpenMetrics if asked for.

    They are of this process, but for jobs, their pictures and workers, which are the whole
    deployment's. Workers have metrics of their own: `surety worker --metrics-port`.
    """
    state = request.app.state
    if away.is_away(request.scope):
        state.figures.store_is_away()
    else:
        await state.figures.refresh()
    accept = ",".join(request.headers.getlist("accept"))
    body, media_type = await written(state.metrics.registry, accept)
    return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})
