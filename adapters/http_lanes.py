"""Connections to one HTTP endpoint, on one event loop.

A pool of httpx looks through all its connections for every call: at 32 connections that took
2.1 ms of CPU a call, on eight pools of four 0.6 ms. So there are several small pools. They are
used without httpx's client, which would keep cookies and write addresses, queries included, to
the log.
"""

import asyncio
import ssl
from dataclasses import dataclass

import httpx

from adapters.errors import BrokenReply
from adapters.http_reply import Reply

IN_ONE_POOL = 4
KEPT_OPEN = 30.0  # seconds
MOST_BYTES = 16 * 2**20  # of a reply


@dataclass
class _Lane:
    pool: httpx.AsyncHTTPTransport
    in_flight: int = 0


class Lanes:
    """Sends requests; as many at once as there are connections.

    Args:
        concurrency: connections.
        trust: how certificates are verified.
        proxy: address of a proxy, if any.
    """

    def __init__(self, concurrency: int, trust: ssl.SSLContext, proxy: str | None) -> None:
        limits = httpx.Limits(
            max_connections=IN_ONE_POOL,
            max_keepalive_connections=IN_ONE_POOL,
            keepalive_expiry=KEPT_OPEN,
        )
        self._lanes = [
            _Lane(httpx.AsyncHTTPTransport(verify=trust, limits=limits, proxy=proxy))
            for _ in range(-(-concurrency // IN_ONE_POOL))
        ]
        self._places = asyncio.Semaphore(concurrency)

    async def send(self, request: httpx.Request, timeout: float) -> Reply:  # noqa: ASYNC109  the caller's
        """Send a request and read the reply to its end.

        Args:
            request: what to send.
            timeout: seconds for all of it, from the moment a connection is free for it.

        Raises:
            TimeoutError, httpx.HTTPError, OSError: see `adapters.http_errors.of_exception`.
            BrokenReply: if the reply is too long.
        """
        # Only connecting has a limit of its own: a call that never arrived was not billed.
        request.extensions = {"timeout": {"connect": min(10.0, timeout / 2)}}
        async with self._places:
            lane = min(self._lanes, key=lambda lane: lane.in_flight)
            lane.in_flight += 1
            try:
                async with asyncio.timeout(timeout):
                    return await _exchange(lane.pool, request)
            finally:
                lane.in_flight -= 1

    async def close(self) -> None:
        """Close all connections."""
        for lane in self._lanes:
            await lane.pool.aclose()


async def _exchange(pool: httpx.AsyncHTTPTransport, request: httpx.Request) -> Reply:
    response = await pool.handle_async_request(request)
    response.request = request
    body = bytearray()
    try:
        async for part in response.aiter_bytes():
            body += part
            if len(body) > MOST_BYTES:
                raise BrokenReply(f"the endpoint's reply is longer than {MOST_BYTES:,} bytes")
    finally:
        await response.aclose()
    return Reply(response.status_code, response.headers, bytes(body))
