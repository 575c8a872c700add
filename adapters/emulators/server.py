"""What all emulators share: starting, stopping, and a control server beside the protocol's own.

The control server speaks plain HTTP on a port of its own:

    GET /counts      what was received, answered and refused, by SHA-256 of the picture
    DELETE /counts   forget it
    GET /faults      the plan of what goes wrong
    PUT /faults      another plan, from the next call on
    GET /health      {"provider": …, "addresses": …}
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Any, ClassVar, Self

from aiohttp import web

from adapters.emulators.brain import Brain
from adapters.emulators.desk import Desk
from adapters.emulators.faults import BadFaults, Faults, parse

LOOPBACK = "127.0.0.1"


class Emulator(ABC):
    """One provider's emulator: started with `async with`, or with `start` and `stop`.

    Args:
        brain: what answers.
        faults: what goes wrong.
        host: address to listen on.
        port: of the protocol's server; 0 takes a free one.
        control_port: of the control server; 0 takes a free one.

    Attributes:
        provider: the adapter's name.
        addresses: protocol ("rest", "grpc", "control") → address, once started.
        desk: counts, and the plan of faults.
    """

    provider: ClassVar[str]

    def __init__(
        self,
        brain: Brain,
        faults: Faults | None = None,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        control_port: int = 0,
    ) -> None:
        self.brain = brain
        self.desk = Desk(faults or Faults(), self.first_version(brain))
        self.host, self.port, self._control_port = host, port, control_port
        self.addresses: dict[str, str] = {}
        self._runners: list[web.AppRunner] = []

    @staticmethod
    def first_version(brain: Brain) -> str:
        """Return the model version as this provider writes them."""
        return brain.model.version

    @abstractmethod
    async def listen(self) -> None:
        """Start the protocol's own servers and note their addresses."""

    @abstractmethod
    async def close(self) -> None:
        """End what `listen` started."""

    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """Return the environment variables that point the provider's adapter here."""

    async def start(self) -> None:
        """Listen."""
        try:
            await self.listen()
            control = web.Application()
            control.add_routes(
                [
                    web.get("/counts", self._counts),
                    web.delete("/counts", self._forget),
                    web.get("/faults", self._plan),
                    web.put("/faults", self._replan),
                    web.get("/health", self._health),
                ]
            )
            port = await self.serve_http(control, self._control_port)
            self.addresses["control"] = f"http://{self.host}:{port}"
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening; calls in progress are cut off."""
        try:
            await self.close()
        finally:
            while self._runners:
                await self._runners.pop().cleanup()
            self.addresses.clear()

    async def serve_http(self, application: web.Application, port: int) -> int:
        """Serve an HTTP application until the emulator stops.

        Returns:
            The port.
        """
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, self.host, port)
        await site.start()
        found: int = runner.addresses[0][1]
        return found

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _counts(self, _: web.Request) -> web.Response:
        return web.json_response(self.desk.counts.describe())

    async def _forget(self, _: web.Request) -> web.Response:
        self.desk.reset()
        return web.Response(status=204)

    async def _plan(self, _: web.Request) -> web.Response:
        return web.json_response(self.desk.faults.model_dump())

    async def _replan(self, request: web.Request) -> web.Response:
        try:
            document: Any = json.loads(await request.text())
            self.desk.faults = parse(document)
        except (BadFaults, ValueError, RecursionError) as error:
            return web.json_response({"error": str(error)}, status=422)
        return web.json_response(self.desk.faults.model_dump())

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"provider": self.provider, "addresses": self.addresses})


def drop(request: web.Request) -> None:
    """Close the connection of an HTTP request without an answer."""
    if request.transport is not None:
        request.transport.abort()


async def truncated(request: web.Request, body: bytes, content_type: str) -> web.StreamResponse:
    """Send half of a right answer, then close the connection."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()  # unlike `drop`, after what was written has been sent
    return response
