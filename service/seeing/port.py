"""A worker's metrics over HTTP: one path, figures alone."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.errors import ConfigurationError
from service.seeing.exposition import written
from service.seeing.figures import Figures
from service.seeing.metrics import Metrics

END_SECONDS = 1  # for answers under way
CONNECTIONS = 16  # at a time: whoever asks is a Prometheus or two


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Args:
        host: address.
        port: 0 takes a free one.

    Raises:
        ConfigurationError: if the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            f"metrics cannot be served at {host}:{port} ({said}): name another --metrics-port or "
            "--metrics-host"
        ) from None


@contextlib.asynccontextmanager
async def serving(
    listener: socket.socket, metrics: Metrics, figures: Figures
) -> AsyncIterator[None]:
    """Answer GET /metrics as long as the context lasts.

    Args:
        listener: a listening socket; closed at the end.
        metrics: what is counted.
        figures: what is read when somebody asks.
    """

    async def answer(request: Request) -> Response:
        await figures.refresh()
        body, media_type = await written(metrics.registry, request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    server = _Server(
        uvicorn.Config(
            Starlette(routes=[Route("/metrics", answer)]),
            lifespan="off",
            log_config=None,
            access_log=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=END_SECONDS,
        )
    )
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
        listener.close()


class _Server(uvicorn.Server):
    """Leaves signals to the worker."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
