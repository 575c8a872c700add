"""A run as server-sent events.

    run ─► progress … progress ─► accounting ─► certificate | prediction, or problem

The route returns this response, it does not yield from itself: FastAPI answers an HTTPException
raised in a yielding route with an empty 200.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import rfc8785
from fastapi.sse import format_sse_event
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from certification.progress import Progress
from service.negotiation import EVENTS
from service.presence import departure
from service.problems import instance_of, problem_of
from service.runs import Run

INTERVAL = 0.1  # seconds between progress events
KEEP_ALIVE = 15.0  # seconds of silence after which proxies might hang up


class Events(Response):
    """Streams events until they end or the client goes away.

    Args:
        chunks: makes the events, given the path that was asked for.
        headers: further headers of the answer.
        at_end: is called at the end, whatever led to it.
    """

    media_type = EVENTS

    def __init__(
        self,
        chunks: Callable[[str], AsyncGenerator[bytes, None]],
        headers: Mapping[str, str] | None = None,
        at_end: Callable[[], None] | None = None,
    ) -> None:
        self._chunks, self._at_end = chunks, at_end
        self.status_code = 200
        self.background = None
        self.init_headers(
            {**(headers or {}), "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events."""
        pump = asyncio.ensure_future(self._pump(instance_of(scope), send))
        try:
            async with departure(receive) as gone:
                await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
                if pump.done():
                    with contextlib.suppress(OSError):  # the client went while we sent
                        pump.result()
        finally:
            if self._at_end is not None:
                self._at_end()
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    async def _pump(self, path: str, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async with contextlib.aclosing(self._chunks(path)) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class RunEvents(Events):
    """Streams a run's events.

    Args:
        run: a run that has begun.
        headers: further headers of the answer.
        at_end: is called at the end, whether or not the run has ended.
    """

    def __init__(self, run: Run, headers: Mapping[str, str], at_end: Callable[[], None]) -> None:
        super().__init__(lambda path: events(run, path), headers, at_end)


async def events(run: Run, instance: str) -> AsyncGenerator[bytes, None]:
    """Tell a run from its beginning to its end; the first and the last progress are never left out.

    Args:
        run: a run that has begun.
        instance: path that a problem happened at.
    """
    yield event("run", {"id": run.id})
    sent: Progress | None = None
    while True:
        ended = run.task.done()
        due = run.first if sent is None else run.latest
        if due is not None and due is not sent:
            sent = due
            yield event("progress", due.describe())
            if not ended:
                await asyncio.wait({run.task}, timeout=INTERVAL)
        elif ended:
            break
        elif not await run.news(KEEP_ALIVE):
            yield format_sse_event(comment="still at it")
    try:
        issued = await run.end()
        yield event("accounting", issued.accounting)
        text = rfc8785.dumps(issued.document).decode()
        yield format_sse_event(data_str=text, event=run.kind)
    except Exception as error:  # noqa: BLE001  the answer has begun, so it goes on as an event
        yield event("problem", problem_of(error).describe(instance))


def event(name: str, data: Mapping[str, Any]) -> bytes:
    """Write one event."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return format_sse_event(data_str=text, event=name)
