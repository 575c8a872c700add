"""POST /certify and POST /predict: a run, once for each Idempotency-Key, answered as asked."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import rfc8785
from fastapi import Request
from fastapi.responses import JSONResponse
from fastapi.sse import format_sse_event
from starlette.responses import Response

from service.answers import RUN_HEADER, Manner, accepted, issued_response, respond
from service.core import Surety
from service.edges.once import AGAIN, Held, claimed
from service.errors import KeyInUse, NotFound
from service.issued import Issued
from service.prepared import Prepared
from service.problems import MEDIA_TYPE
from service.running import Running
from service.runs import Kind, Run
from service.sse import Events, event
from service.store.once import Found


class Single:
    """Answers one request.

    Args:
        request: its body has been read.
        surety: an opened deployment.
        running: all runs.
        manner: how the client wants it.
    """

    def __init__(self, request: Request, surety: Surety, running: Running, manner: Manner) -> None:
        self._request, self._surety = request, surety
        self._running, self._manner = running, manner

    async def answer(
        self,
        kind: Kind,
        picture: bytes,
        name: str | None,
        arguments: Mapping[str, Any],
        owner: str | None,
    ) -> Response:
        """Check the request, begin its run, and answer.

        Args:
            kind: what the run ends with.
            picture: the upload's bytes.
            name: what the client calls it.
            arguments: of `Surety.prepare`.
            owner: id of the API key that asks.

        Raises:
            CertificationError, AdapterError, DenoiserError, ServiceError: see their trees.
        """
        held = await claimed(self._surety.state, self._request, self._leads)
        if isinstance(held, Response):
            return held
        if held is None:
            prepared = await self._prepared(picture, name, arguments, owner)
            run = await self._begun(kind, prepared, arguments)
        else:
            async with held:
                prepared = await self._prepared(picture, name, arguments, owner)
                run = await self._begun(kind, prepared, arguments, held)
                await held.keep({})
        del picture, prepared
        return await respond(self._request, self._running, run, self._manner)

    async def _prepared(
        self,
        picture: bytes,
        name: str | None,
        arguments: Mapping[str, Any],
        owner: str | None,
    ) -> Prepared:
        prepared = await self._surety.prepare(picture, name=name, owner=owner, **arguments)
        self._manner.memory.release()
        return prepared

    async def _begun(
        self,
        kind: Kind,
        prepared: Prepared,
        arguments: Mapping[str, Any],
        held: Held | None = None,
    ) -> Run:
        return await self._running.begin(
            kind,
            prepared,
            arguments,
            run_id=None if held is None else held.id,
            # Somebody will come back for what comes of it.
            lasting=held is not None or self._manner.prefer.asynchronous,
        )

    async def _leads(self, found: Found) -> Response | None:
        """Answer a request whose key was used before."""
        run_id, prefer = found.claim.id, self._manner.prefer
        headers = {RUN_HEADER: run_id, **AGAIN}
        try:
            told = await self._running.state_of(run_id)
        except NotFound:  # it was not begun, or ended long ago
            return None
        if prefer.asynchronous and prefer.wait_seconds is None:
            return await accepted(self._running, run_id, prefer, headers)
        if told["outcome"] is not None:
            return await self._ended(run_id, told, headers)
        run = self._running.runs.find(run_id)
        if run is not None and (prefer.asynchronous or self._manner.answer == "events"):
            return await respond(self._request, self._running, run, self._manner, AGAIN)
        if prefer.asynchronous:
            return await accepted(self._running, run_id, prefer, headers)
        raise KeyInUse(
            "the first request with this Idempotency-Key is still being answered: look at its run",
            f"/runs/{run_id}",
        )

    async def _ended(
        self, run_id: str, told: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Response | None:
        outcome, kind = told["outcome"], told["kind"]
        if "problem" in outcome:
            problem = outcome["problem"]
            return JSONResponse(problem, problem["status"], headers, MEDIA_TYPE)
        try:
            document = outcome.get("prediction") or await self._surety.state.certificates.get(
                outcome["certificate"]
            )
        except NotFound:  # it is no longer kept, and asking again costs nothing
            return None
        issued = Issued(document, outcome["accounting"])
        if self._manner.answer == "json":
            return issued_response(issued, headers)
        return Events(lambda _: _events(run_id, kind, issued), headers)


async def _events(run_id: str, kind: str, issued: Issued) -> AsyncGenerator[bytes, None]:
    yield event("run", {"id": run_id})
    yield event("accounting", issued.accounting)
    yield format_sse_event(data_str=rfc8785.dumps(issued.document).decode(), event=kind)
