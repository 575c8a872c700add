"""Gives a run to the client as it asked for it, and ends the run when the client goes away."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import rfc8785
from fastapi import Request
from starlette.responses import Response

from service.issued import Issued
from service.negotiation import Answer
from service.presence import disconnected
from service.runs import Run
from service.sse import RunEvents

HEAD_START = 1.0  # seconds that an event stream waits for a failure that can still have a status
RUN_HEADER, ACCOUNTING_HEADER = "Surety-Run", "Surety-Accounting"


async def respond(request: Request, run: Run, answer: Answer) -> Response:
    """Wait for a run's document, or stream its events.

    Args:
        request: its body has been read.
        run: a run that has begun.
        answer: how the client wants it.

    Raises:
        Exception: what the run raised, if nothing has been sent yet.
    """
    request.state.run_id = run.id
    headers = {RUN_HEADER: run.id}
    if answer == "json":
        issued = await _issued(request, run)
        headers[ACCOUNTING_HEADER] = json.dumps(issued.accounting)
        return document_response(issued.document, headers)
    try:
        await run.news(HEAD_START)
        if run.task.done():
            await run.end()
    except BaseException:
        run.cancel()
        raise
    return RunEvents(run, headers)


def document_response(
    document: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    """Send a document in its canonical form, in which it is signed."""
    return Response(
        rfc8785.dumps(dict(document)), media_type="application/json", headers=dict(headers or {})
    )


async def _issued(request: Request, run: Run) -> Issued:
    gone = asyncio.ensure_future(disconnected(request.receive))
    try:
        await asyncio.wait({run.task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not run.task.done():
            run.cancel()
        return await run.end()
    finally:
        run.cancel()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
