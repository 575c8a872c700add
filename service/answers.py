"""Gives a run to the client as it asked for it, and ends the run when the client goes away."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785
import structlog
from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from service.edges.places import Place
from service.edges.prefer import APPLIED, Preference
from service.issued import Issued
from service.negotiation import Answer
from service.presence import departure
from service.running import Running
from service.runs import Run
from service.sse import RunEvents

HEAD_START = 1.0  # seconds that an event stream waits for a failure that can still have a status
RUN_HEADER, ACCOUNTING_HEADER = "Surety-Run", "Surety-Accounting"


@dataclass(frozen=True)
class Manner:
    """How a client wants its answer, and what it takes up meanwhile.

    Attributes:
        answer: in which form.
        prefer: whether it waits.
        memory: for its upload; released as soon as that is decoded.
        alone: a place for a run that goes on without it, if it wants one.
    """

    answer: Answer
    prefer: Preference
    memory: Place
    alone: Place | None


async def respond(
    request: Request,
    running: Running,
    run: Run,
    manner: Manner,
    more: Mapping[str, str] | None = None,
) -> Response:
    """Wait for a run's document, stream its events, or tell where it will be.

    Args:
        request: its body has been read.
        running: all runs.
        run: a run that has begun.
        manner: how the client wants it.
        more: further headers.

    Raises:
        Exception: what the run raised, if nothing has been sent yet.
    """
    request.state.run_id = run.id
    structlog.contextvars.bind_contextvars(run=run.id)
    headers = {RUN_HEADER: run.id, **(more or {})}
    if manner.prefer.asynchronous:
        if manner.alone is not None:
            run.hold(manner.alone)
        return await _in_time(request, running, run, manner.prefer, headers)
    if manner.answer == "json":
        return issued_response(await _issued(request, running, run), headers)
    try:
        await run.news(HEAD_START)
        if run.task.done():
            await run.end()
    except BaseException:
        running.leave(run)
        raise
    return RunEvents(run, headers, lambda: running.leave(run))


async def accepted(
    running: Running, run_id: str, prefer: Preference, headers: Mapping[str, str]
) -> Response:
    """Tell where a run will be found: 202.

    Args:
        running: all runs.
        run_id: whose.
        prefer: what the client wanted.
        headers: of the answer.
    """
    where = {"Location": f"/runs/{run_id}", APPLIED: prefer.applied}
    return JSONResponse(await running.state_of(run_id), 202, {**headers, **where})


def issued_response(issued: Issued, headers: Mapping[str, str]) -> Response:
    """Send a document with its bill."""
    bill = {ACCOUNTING_HEADER: json.dumps(issued.accounting)}
    return document_response(issued.document, {**headers, **bill})


def document_response(
    document: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    """Send a document in its canonical form, in which it is signed."""
    return Response(
        rfc8785.dumps(dict(document)), media_type="application/json", headers=dict(headers or {})
    )


async def _in_time(
    request: Request, running: Running, run: Run, prefer: Preference, headers: Mapping[str, str]
) -> Response:
    """Wait as long as the client does; the run goes on, whatever becomes of the client."""
    if prefer.wait_seconds is not None:
        async with departure(request.receive) as gone:
            either: set[asyncio.Future[Any]] = {run.task, gone}
            await asyncio.wait(
                either, timeout=prefer.wait_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        if run.task.done():
            return issued_response(await run.end(), {**headers, APPLIED: prefer.applied})
    return await accepted(running, run.id, prefer, headers)


async def _issued(request: Request, running: Running, run: Run) -> Issued:
    try:
        async with departure(request.receive) as gone:
            either: set[asyncio.Future[Any]] = {run.task, gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not run.task.done():
                running.leave(run)
            return await run.end()
    finally:
        if not run.lasting:
            run.cancel()
