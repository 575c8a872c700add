"""A TCP relay in front of a gRPC server, so that a connection can be really cut.

A gRPC server offers no way to close one client's connection without an answer; the relay does.
The server sees the relay's port as its peer, which names the connection.
"""

import asyncio
import contextlib

from adapters.emulators.server import LOOPBACK

CHUNK = 2**16


class Relay:
    """Passes bytes between clients and a server on the loopback.

    Args:
        target: port of the server.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._connections: dict[int, tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._accept, host, port)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def stop(self) -> None:
        """Cut every connection and stop listening."""
        if self._server is not None:
            self._server.close()
        for port in [*self._connections]:
            self._cut(port)
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut(self, peer: str) -> None:
        """Cut one connection.

        Args:
            peer: as a gRPC context names it, "ipv4:127.0.0.1:PORT".
        """
        self._cut(int(peer.rpartition(":")[2]))

    def _cut(self, port: int) -> None:
        for writer in self._connections.pop(port, ()):
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: one of asyncio's would log its cancellation as an error.
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                writer.transport.abort()

        task.add_done_callback(ended)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            writer.transport.abort()
            return
        port: int = forth.get_extra_info("sockname")[1]
        self._connections[port] = (writer, forth)
        both = [
            asyncio.create_task(_pass(reader, forth)),
            asyncio.create_task(_pass(back, writer)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for end in (writer, forth):
                end.close()
            # Last words have to arrive: only a cut loses what was written.
            await asyncio.gather(writer.wait_closed(), forth.wait_closed(), return_exceptions=True)
        finally:
            self._cut(port)
            for half in both:
                half.cancel()
            await asyncio.gather(*both, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
