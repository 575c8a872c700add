"""The HTTP API. `create_app` is all that a server needs."""

import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from adapters.errors import AdapterError
from adapters.profiles import read_profiles
from certification.certificate import VERSION
from certification.errors import CertificationError
from denoisers.errors import DenoiserError
from service import logs
from service.access import origins
from service.access.door import Door
from service.access.known import Known
from service.access.needs import check_declared, needs_of
from service.core import Surety
from service.edges.ending import Closing, Ending
from service.edges.pace import BodyPace
from service.edges.request_id import RequestId
from service.errors import ServiceError
from service.guard import Guard
from service.head import Head
from service.housekeeping import Housekeeping
from service.jobs.engine.inside import Inside
from service.limits import FORM_OVERHEAD, BodyLimit
from service.load_settings import load_settings
from service.openapi import install
from service.problems import answer_problem
from service.routes import (
    api_keys,
    catalog,
    certificates,
    certify,
    docs,
    estimate,
    health,
    job_actions,
    job_events,
    job_results,
    jobs,
    keys,
    metrics,
    predict,
    problems,
    runs,
    uploads,
    usage,
    verify,
    workers,
)
from service.running import Running
from service.seeing.requests import RequestMetrics
from service.seeing.seeing import Seeing
from service.seeing.tracing import Tracing
from service.settings import Settings
from service.usage.request_rate import RequestRate

DESCRIPTION = """\
Certifies what an image classifier answers: *within L2 distance R of this picture the smoothed
classifier's answer does not change, with confidence 1 − α.*

Every error is a problem document (RFC 9457, `application/problem+json`) whose `type` this
service explains under `/problems`.
"""


ROUTES = (
    *(certify, predict, certificates, verify, keys, runs),
    *(job_results, jobs, job_actions, job_events, uploads, estimate, workers),  # compare before ID
    *(catalog, health, metrics, problems, api_keys, usage, docs),
)


def create_app(
    settings: Settings | None = None,
    surety: Surety | None = None,
    tracing: Tracing | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        settings: the deployment's settings; None reads the environment.
        surety: an opened deployment with these settings; None opens one.
        tracing: makes traces; None does as the environment says.

    Returns:
        The application. Its lifespan opens and closes everything that it holds.

    Raises:
        NotConfigured: if the file of profiles cannot be read.
    """
    chosen = settings or load_settings()
    if chosen.providers_file is not None:
        read_profiles(chosen.providers_file)  # here, since a server tells its errors at length

    seeing = Seeing(Tracing.configured() if tracing is None else tracing)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        logs.configure(chosen.log_level)
        whole = contextlib.nullcontext(surety) if surety else Surety.opened(chosen)
        async with (
            whole as opened,
            seeing.in_app(opened, app.state),
            Running(opened) as running,
            Inside(opened, work=chosen.work_inside) as inside,
            Housekeeping(opened.state, chosen),
        ):
            app.state.surety, app.state.running = opened, running
            app.state.known = Known(
                opened.state.api_keys,
                opened.shares,
                always=chosen.keys_required,
                answered=lambda: opened.state.store.answered,
            )
            app.state.inside = inside
            yield

    app = FastAPI(
        title="Surety",
        version=VERSION,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        telemetry=seeing.tracing.of_fastapi,
    )
    for module in ROUTES:
        app.include_router(module.router)
    routes = check_declared(route for module in ROUTES for route in module.router.routes)
    public = [route.path_regex for route in routes if not needs_of(route).scopes]
    public.append(re.compile("^/openapi.json$"))
    for error in (
        CertificationError,
        AdapterError,
        DenoiserError,
        ServiceError,
        RequestValidationError,
        HTTPException,
        ClientDisconnect,
    ):
        app.add_exception_handler(error, answer_problem)
    ending = Ending()
    app.state.settings, app.state.ending = chosen, ending
    app.add_middleware(
        BodyPace,
        rate=chosen.upload_bytes_per_second,
        grace_seconds=chosen.upload_grace_seconds,
        ending=ending,
    )
    app.add_middleware(
        BodyLimit,
        limit=chosen.max_upload_bytes + FORM_OVERHEAD,
        routes=dict.fromkeys(
            ("/jobs", "/estimate", "/pictures"), chosen.max_archive_bytes + FORM_OVERHEAD
        ),
    )
    app.add_middleware(RequestRate)
    app.add_middleware(Door, public=public, open_to_all=chosen.allow_public)
    pages = origins.origins(chosen.cors_origins)
    app.add_middleware(
        Guard, host=chosen.host, allowed=chosen.allowed_hosts, origins=frozenset(pages)
    )
    app.add_middleware(Head)
    app.add_middleware(Closing, ending=ending)
    app.add_middleware(logs.RequestLog)
    if pages:  # so that pages may read every answer, whatever went wrong
        app.add_middleware(
            CORSMiddleware,
            allow_origins=pages,
            allow_methods=origins.METHODS,
            allow_headers=origins.REQUEST_HEADERS,
            expose_headers=origins.ANSWER_HEADERS,
        )
    every = [*routes, *(route for route in app.routes if isinstance(route, Route))]
    app.state.metrics = seeing.metrics  # for what is refused before it is a request
    app.add_middleware(RequestMetrics, metrics=seeing.metrics, routes=every)
    app.add_middleware(RequestId)
    install(app, routes)
    return app
