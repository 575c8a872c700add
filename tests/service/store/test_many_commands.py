"""More commands than connections, and a server that does not answer."""

import asyncio
import os
import secrets
import signal

import pytest

from service.errors import StoreUnavailable
from service.store import connection
from service.store.connection import Store


@pytest.fixture
async def store(redis_url):
    name = f"many-{secrets.token_hex(4)}"
    mark = "&" if "?" in redis_url else "?"
    opened = Store(f"{redis_url}{mark}client_name={name}", os.environ["SURETY_REDIS_PREFIX"])
    await opened.open()
    opened.name = name
    yield opened
    await opened.close()


@pytest.mark.parametrize("manner", ["brisk", "patient"])
async def test_commands_wait_for_each_other_and_none_fails(store, manner):
    do = getattr(store, manner)
    key = store.key("count")
    found = await asyncio.gather(*(do(lambda redis: redis.incr(key)) for _ in range(500)))
    assert sorted(found) == [*range(1, 501)]
    clients = await store.brisk(lambda redis: redis.client_list())
    mine = sum(client["name"] == store.name for client in clients)
    assert 2 <= mine <= connection.CONNECTIONS


async def test_an_address_may_ask_for_fewer_connections(redis_url):
    mark = "&" if "?" in redis_url else "?"
    store = Store(f"{redis_url}{mark}max_connections=2", os.environ["SURETY_REDIS_PREFIX"])
    await store.open()
    key = store.key("count")
    await asyncio.gather(*(store.brisk(lambda redis: redis.incr(key)) for _ in range(100)))
    await store.close()


async def test_a_server_that_does_not_answer_holds_nobody_up_for_long(server, monkeypatch):
    """Neither the one who asks, nor those behind whom it would have to wait."""
    monkeypatch.setattr(connection, "BRISK_SECONDS", 0.3)
    monkeypatch.setattr(connection, "CONNECTIONS", 2)
    monkeypatch.setattr(connection, "MOST_WAITING", 6)
    store = Store(f"unix://{server.start()}", "x:")
    await store.open()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        asked = [store.brisk(lambda redis: redis.ping()) for _ in range(8)]
        said = await asyncio.gather(*asked, return_exceptions=True)
        waiting = asyncio.create_task(store.patient(lambda redis: redis.incr("x:count")))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert {type(one) for one in said} == {StoreUnavailable}
    late = [one for one in said if "did not answer within 0.3 s" in str(one)]
    refused = [one for one in said if "too many requests" in str(one)]
    assert (len(late), len(refused)) == (6, 2)
    assert await waiting == 1
    await store.close()
