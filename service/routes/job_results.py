"""What came of jobs: tables, certificates, the report, and two jobs beside one another."""

import asyncio
import re
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.responses import Response

from service.access.needs import CallerDep, needs
from service.access.ownership import check_ownership
from service.deps import SuretyDep, refuse_unknown
from service.jobs.job import Job
from service.jobs.results.compare import Comparison, Side
from service.jobs.results.compare_page import comparison_page, comparison_svg
from service.jobs.results.export import FORMATS
from service.jobs.results.export_zip import certificates_zip
from service.jobs.results.report_style import POLICY
from service.jobs.results.reporting import report_of
from service.negotiation import JSON, best
from service.openapi_answers import also, json_response, media_response, problem_responses
from service.openapi_examples import JOB_ID, OTHER_JOB_ID
from service.problem_kinds import FORMAT_NOT_READY, NOT_ACCEPTABLE
from service.routes.job_parts import LOOKING, JobId

SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
ZIP, HTML, SVG = "application/zip", "text/html", "image/svg+xml"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")

Format = Literal["jsonl", "csv", "parquet", "zip"]
MEDIA_TYPES: dict[str, Format] = {  # by what Accept says, the first where it says nothing
    **{
        known.media_type.partition(";")[0]: name  # type: ignore[misc]
        for name, known in FORMATS.items()
    },
    ZIP: "zip",
}

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs/compare",
    dependencies=[needs("jobs", "read")],
    summary="Compare two jobs",
    response_class=Response,
    responses=also(
        json_response("Their curves and how they differ.", "Comparison"),
        media_response("", HTML, SVG),
    )
    | problem_responses(*LOOKING, NOT_ACCEPTABLE),
)
async def compare(
    request: Request,
    surety: SuretyDep,
    caller: CallerDep,
    a: Annotated[str, Query(max_length=64, description="Id of a job.", examples=[JOB_ID])],
    b: Annotated[str, Query(max_length=64, description="Of another.", examples=[OTHER_JOB_ID])],
    format_: Annotated[
        Literal["json", "html", "svg"] | None,
        Query(alias="format", description="In place of the Accept header."),
    ] = None,
) -> Response:
    """Put the certified accuracies of two jobs in one picture, and compare picture by picture.

    Where not every picture has a true label, the shares that are certified. JSON, a page or an
    SVG picture, by the Accept header or `format`.
    """
    refuse_unknown(request, ("a", "b", "format"))
    names = {JSON: "json", HTML: "html", SVG: "svg"}
    wanted = format_ or names[best(_accept(request), [*names])]
    sides = []
    for job_id in (a, b):
        await check_ownership(surety.state, caller, {"job_id": job_id}, acting=False)
        job = await surety.state.jobs.get(job_id)
        rows = surety.state.pictures.all_rows(job)
        sides.append(await Side.of(job.spec.name or job.id, rows))
    found = await asyncio.to_thread(Comparison, sides)
    if wanted == "json":
        return JSONResponse(await asyncio.to_thread(found.describe))
    if wanted == "svg":
        return _shown(await asyncio.to_thread(comparison_svg, found), SVG)
    return _shown(await asyncio.to_thread(comparison_page, found), HTML)


@router.get(
    "/jobs/{job_id}/results",
    dependencies=[needs("jobs", "read")],
    summary="Fetch a job's results",
    response_class=Response,
    responses=media_response("A row a picture, or all certificates.", *MEDIA_TYPES)
    | problem_responses(*LOOKING, NOT_ACCEPTABLE, FORMAT_NOT_READY),
)
async def results(
    job_id: JobId,
    request: Request,
    surety: SuretyDep,
    format_: Annotated[
        Format | None, Query(alias="format", description="In place of the Accept header.")
    ] = None,
) -> Response:
    """Return a row a picture as JSONL, CSV or Parquet, or a zip of all certificates and the table.

    By the Accept header or `format`; at any time, for a job that goes on as far as it is.
    """
    refuse_unknown(request, ("format",))
    wanted = format_ or MEDIA_TYPES[best(_accept(request), [*MEDIA_TYPES])]
    job = await surety.state.jobs.get(job_id)
    rows = surety.state.pictures.all_rows(job)
    if wanted == "zip":
        chunks, media_type = certificates_zip(rows, surety.state.certificates.texts), ZIP
        file = f"{_file_name(job)}-certificates.zip"
    else:
        known = FORMATS[wanted]
        chunks, media_type = known.write(rows), known.media_type
        file = _file_name(job) + known.suffix
    headers = {"Content-Disposition": f'attachment; filename="{file}"', "Cache-Control": "no-store"}
    return StreamingResponse(chunks, media_type=media_type, headers=headers)


@router.get(
    "/jobs/{job_id}/report",
    dependencies=[needs("jobs", "read")],
    summary="Fetch a job's report",
    response_class=Response,
    responses=media_response("A page for a browser.", HTML) | problem_responses(*LOOKING),
)
async def report(job_id: JobId, request: Request, surety: SuretyDep) -> Response:
    """Return one page with curve, histograms, pictures and configuration; it loads nothing else."""
    refuse_unknown(request)
    return _shown(await report_of(surety, await surety.state.jobs.get(job_id)), HTML)


def _accept(request: Request) -> str:
    return ", ".join(request.headers.getlist("accept"))


def _file_name(job: Job) -> str:
    return _UNSAFE.sub("-", job.spec.name or "").strip("-.")[:80] or f"job-{job.id}"


def _shown(text: str, media_type: str) -> Response:
    policy = SVG_POLICY if media_type == SVG else POLICY
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
    return Response(text, media_type=media_type, headers=headers)
