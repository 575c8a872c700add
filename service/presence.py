"""Whether the client is still there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")


async def disconnected(receive: Receive) -> None:
    """Return once the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


@contextlib.asynccontextmanager
async def departure(receive: Receive) -> AsyncIterator[asyncio.Future[None]]:
    """Look out for the client's going; yields what is done once it has gone."""
    gone = asyncio.ensure_future(disconnected(receive))
    try:
        yield gone
    finally:
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)


async def while_present(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do something as long as the client waits for it.

    Args:
        request: its body has been read.
        work: is cancelled, and waited for, if the client goes.

    Raises:
        ClientDisconnect: if it has gone.
    """
    working = asyncio.ensure_future(work)
    try:
        async with departure(request.receive) as gone:
            either: set[asyncio.Future[Any]] = {working, gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ClientDisconnect
            return working.result()
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
