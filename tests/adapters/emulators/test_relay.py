"""The relay: passes bytes on, cuts one connection, leaves nothing behind."""

import asyncio
import contextlib

import pytest

from adapters.emulators.relay import Relay
from adapters.emulators.server import LOOPBACK

LARGE = bytes(range(256)) * 20_000


@contextlib.asynccontextmanager
async def relayed(serve):
    """Put a relay in front of a server; yields the relay, its port and the peers it saw."""
    peers: list[str] = []

    async def served(reader, writer):
        peers.append("ipv4:{}:{}".format(*writer.get_extra_info("peername")))
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(served, LOOPBACK, 0)
    relay = Relay(server.sockets[0].getsockname()[1])
    port = await relay.start(LOOPBACK, 0)
    try:
        yield relay, port, peers
    finally:
        await relay.stop()
        server.close()
        await server.wait_closed()


async def echo(reader, writer):
    while data := await reader.read(2**16):
        writer.write(data)
        await writer.drain()


async def test_bytes_go_both_ways():
    async with relayed(echo) as (_, port, _):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        for data in (b"hello", LARGE):
            writer.write(data)
            assert await asyncio.wait_for(reader.readexactly(len(data)), 10) == data
        writer.close()


async def test_the_last_words_of_a_server_that_hangs_up_arrive():
    async def bye(reader, writer):
        await reader.readexactly(2)
        writer.write(LARGE)

    async with relayed(bye) as (relay, port, _):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(b"hi")
        await asyncio.sleep(0.1)  # a slow reader
        assert len(await asyncio.wait_for(reader.read(-1), 10)) == len(LARGE)
        writer.close()
        await asyncio.sleep(0.05)
        assert not relay._connections
        assert not relay._tasks


async def test_one_connection_is_cut_by_the_name_that_the_server_knows():
    async with relayed(echo) as (relay, port, peers):
        pairs = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(b"x")
            await reader.readexactly(1)
            pairs.append((reader, writer))
        relay.cut(peers[1])
        relay.cut(peers[1])  # once more does no harm
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(pairs[1][0].readexactly(1), 5)
        for reader, writer in (pairs[0], pairs[2]):
            writer.write(b"y")
            assert await asyncio.wait_for(reader.readexactly(1), 5) == b"y"
        for _, writer in pairs:
            writer.close()


async def test_a_server_that_is_not_there():
    relay = Relay(1)
    port = await relay.start(LOOPBACK, 0)
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await relay.stop()


@pytest.mark.parametrize("steps", range(8))
async def test_nothing_runs_on_once_it_has_stopped(steps):
    """Also if a connection was just coming in."""
    async with relayed(echo) as (relay, port, _):
        before = asyncio.all_tasks()
        _, writer = await asyncio.open_connection(LOOPBACK, port)
        for _ in range(steps):
            await asyncio.sleep(0)
        await relay.stop()
        assert not relay._tasks
        assert not relay._connections
        names = [task.get_coro().__qualname__ for task in asyncio.all_tasks() - before]
        assert not [name for name in names if "Relay" in name or name == "_pass"]
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, port)
        await asyncio.sleep(0.02)  # what was aborted is closed


async def test_a_client_that_reads_nothing_does_not_hold_up_the_end():
    async def talk(reader, writer):
        writer.write(LARGE * 3)

    async with relayed(talk) as (relay, port, _):
        _, writer = await asyncio.open_connection(LOOPBACK, port, limit=1024)
        await asyncio.sleep(0.05)
        await asyncio.wait_for(relay.stop(), 5)
        assert not relay._connections
        writer.close()
        await asyncio.sleep(0.02)
