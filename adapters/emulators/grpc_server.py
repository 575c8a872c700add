"""A gRPC server of one method, behind a relay, so that a client's connection can be really cut."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from adapters.emulators.relay import Relay
from adapters.emulators.server import LOOPBACK

Answer = Callable[[bytes, Any], Awaitable[bytes]]
"""(request, context) -> reply, both as they are on the wire."""


class GrpcServer:
    """Serves one method.

    Args:
        service: full name of the service.
        method: of it.
        answer: answers a request.
        options: of the server, beside those that it always has.
    """

    def __init__(
        self, service: str, method: str, answer: Answer, options: Sequence[tuple[str, int]]
    ) -> None:
        self._service, self._method, self._answer = service, method, answer
        self._options = [*options, ("grpc.so_reuseport", 0)]
        self._server: Any = None  # grpc.aio.Server, which is untyped
        self._relay: Relay | None = None

    async def start(self, host: str, port: int) -> str:
        """Listen; returns host:port."""
        import grpc  # type: ignore[import-untyped]  # noqa: PLC0415  the emulators' extra

        handler = grpc.unary_unary_rpc_method_handler(self._answer)  # bytes in, bytes out
        self._server = grpc.aio.server(options=self._options)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(self._service, {self._method: handler}),)
        )
        hidden = self._server.add_insecure_port(f"{LOOPBACK}:0")
        await self._server.start()
        self._relay = Relay(hidden)
        return f"{host}:{await self._relay.start(host, port)}"

    async def stop(self) -> None:
        """Cut the connections."""
        if self._relay is not None:
            await self._relay.stop()
        if self._server is not None:
            await self._server.stop(None)

    def cut(self, context: Any) -> None:  # noqa: ANN401
        """Cut the connection that a call came through."""
        assert self._relay is not None  # noqa: S101  the call came through it
        self._relay.cut(context.peer())
