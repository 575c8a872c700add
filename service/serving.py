"""Runs the HTTP service until a signal ends it, in order."""

import asyncio
import contextlib
import math
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI

from service.edges.protocol import ConnectionLimits, config_of, watch_connections
from service.errors import ConfigurationError
from service.log_writer import LOG
from service.signals import HANG_UP, answer
from service.terminal import complain

LAST_WORDS_SECONDS = 0.5  # for the log, where nothing else is waited for


class _Server(uvicorn.Server):
    """Tells when it answers, and leaves signals to us.

    uvicorn's own handler sends the signal again at the end, so that SIGTERM would kill.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_until_signal(
    app: FastAPI, listener: socket.socket, when_started: Callable[[], Awaitable[None]]
) -> None:
    """Serve; SIGINT, SIGTERM or SIGHUP ends it, and every run in order: see `edges.ending`.

    A second signal waits no longer for a balancer, a third one for nobody.

    Args:
        app: the application, as `create_app` makes it.
        listener: a listening socket; closed at the end.
        when_started: runs beside the server once it answers.

    Raises:
        ConfigurationError: if the application cannot start.
    """
    settings, ending = app.state.settings, app.state.ending
    server = _Server(
        config_of(
            app,
            settings,
            lifespan="on",
            timeout_graceful_shutdown=math.ceil(settings.grace_seconds),
        )
    )
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        if ending.begun and number == HANG_UP:
            return  # both the terminal and the shell send one
        if server.started and not ending.begun and settings.drain_seconds:
            loop.call_later(settings.drain_seconds, end)
        else:
            server.force_exit = server.should_exit
            end()
        ending.begin()

    def end() -> None:
        server.should_exit = True
        if server.started:
            app.state.running.runs.shut_down()
            app.state.inside.shut_down()

    answer(stop)
    beside = asyncio.ensure_future(_once_started(server, when_started))
    limits = ConnectionLimits.of(settings)
    watching = asyncio.ensure_future(watch_connections(server.server_state, limits))
    try:
        await server.serve(sockets=[listener])
    except SystemExit:  # what uvicorn raises if the lifespan fails; it has told the log why
        raise ConfigurationError("the service could not start; the lines above say why") from None
    finally:
        for task in (beside, watching):
            task.cancel()
        await asyncio.gather(beside, watching, return_exceptions=True)
        listener.close()


async def _once_started(server: _Server, then: Callable[[], Awaitable[None]]) -> None:
    await server.answers.wait()
    try:
        await then()
    except Exception as error:  # noqa: BLE001  told now, not when the service ends
        complain(error)


async def until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Do something until SIGINT, SIGTERM or SIGHUP, which cancel it and wait for its end.

    A second signal ends the process at once, unless the work answers them itself by then.

    Args:
        work: runs until it is cancelled; what it raises is raised.
    """
    task, asked = asyncio.ensure_future(work), False

    def stop(number: int) -> None:
        nonlocal asked
        if asked and number == HANG_UP:
            return  # both the terminal and the shell send one
        if asked:
            LOG.finish(LAST_WORDS_SECONDS)
            os._exit(128 + signal.SIGINT)
        asked = True
        task.cancel()

    answer(stop)
    try:
        await task
    except asyncio.CancelledError:
        if not asked:
            raise
