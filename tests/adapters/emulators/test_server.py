"""What all emulators share: starting, stopping, the control server, cut replies."""

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web

from adapters.emulators.brain import Brain
from adapters.emulators.faults import Faults
from adapters.emulators.server import Emulator, drop, truncated
from tests.adapters.emulators.test_brain import Mean, png

BODY = b'{"answer": "' + b"x" * 1000 + b'"}'


class Plain(Emulator):
    """Speaks a protocol of its own: POST a picture."""

    provider = "plain"
    closed = 0

    async def listen(self):
        application = web.Application()
        application.router.add_post("/", self.answer)
        port = await self.serve_http(application, self.port)
        self.addresses["rest"] = f"http://{self.host}:{port}"

    async def close(self):
        self.closed += 1

    def environment(self):
        return {"PLAIN_ENDPOINT": self.addresses["rest"]}

    async def answer(self, request):
        async with self.desk.call([await request.read()]) as call:
            if call.fault == "truncate":
                return await truncated(request, BODY, "application/json")
            if call.fault in ("drop", "timeout"):
                drop(request)
            self.desk.answered(call, call.images)
            return web.Response(body=BODY)


def plain(**faults) -> Plain:
    return Plain(Brain(Mean()), Faults(**faults))


async def post(client, emulator):
    async with client.post(emulator.addresses["rest"], data=png(1)) as reply:
        return await reply.read()


async def test_the_control_server_counts_and_takes_another_plan():
    async with plain() as emulator, aiohttp.ClientSession() as client:
        control = emulator.addresses["control"]
        assert await post(client, emulator) == BODY
        health = await (await client.get(f"{control}/health")).json()
        assert health == {"provider": "plain", "addresses": emulator.addresses}
        counts = await (await client.get(f"{control}/counts")).json()
        assert (counts["calls"], counts["images_answered"]) == (1, 1)
        assert (await client.delete(f"{control}/counts")).status == 204
        assert (await (await client.get(f"{control}/counts")).json())["calls"] == 0
        reply = await client.put(f"{control}/faults", json={"shares": {"drop": 1.0}})
        assert (await reply.json())["shares"] == {"drop": 1.0}
        assert emulator.desk.faults.shares == {"drop": 1.0}
        assert (await (await client.get(f"{control}/faults")).json())["shares"] == {"drop": 1.0}
        with pytest.raises(aiohttp.ClientError):
            await post(client, emulator)


@pytest.mark.parametrize("body", [b"{", b'{"shares": 1}', b"[]", b"[" * 100_000, b"\xff", b"null"])
async def test_a_wrong_plan_is_refused_and_the_old_one_stays(body):
    async with plain(seed=9) as emulator, aiohttp.ClientSession() as client:
        reply = await client.put(f"{emulator.addresses['control']}/faults", data=body)
        assert reply.status == 422
        assert (await reply.json())["error"]
        assert emulator.desk.faults.seed == 9


async def test_half_of_a_right_answer_arrives_then_nothing():
    async with plain(script=["truncate"] * 2) as emulator, aiohttp.ClientSession() as client:
        for _ in range(2):
            async with client.post(emulator.addresses["rest"], data=png(1)) as reply:
                assert reply.status == 200
                assert reply.content_length == len(BODY)
                with pytest.raises(aiohttp.ClientPayloadError):
                    await reply.read()
                assert BODY.startswith(bytes(await _left(reply)))
        assert await post(client, emulator) == BODY


async def _left(reply):
    try:
        return await reply.content.readany()
    except aiohttp.ClientPayloadError:
        return b""


async def test_a_dropped_connection():
    async with plain(script=["drop"]) as emulator, aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.ClientError):
            await post(client, emulator)
        assert await post(client, emulator) == BODY


async def test_it_stops_at_once_with_a_call_that_hangs():
    emulator = plain(script=["timeout"], timeout=60)
    async with aiohttp.ClientSession() as client:
        await emulator.start()
        hanging = asyncio.create_task(post(client, emulator))
        while not emulator.desk.counts.calls:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        started = time.monotonic()
        await emulator.stop()
        assert time.monotonic() - started < 5
        with pytest.raises(aiohttp.ClientError):
            await hanging
    assert not emulator.addresses


async def test_it_can_be_started_again():
    emulator = plain()
    for _ in range(2):
        async with emulator, aiohttp.ClientSession() as client:
            assert await post(client, emulator) == BODY
    assert emulator.closed == 2


async def test_what_was_started_is_stopped_where_the_rest_cannot_be():
    async with plain() as other:
        port = int(other.addresses["control"].rpartition(":")[2])
        emulator = Plain(Brain(Mean()), control_port=port)
        with pytest.raises(OSError, match="address already in use"):
            await emulator.start()
        assert emulator.closed == 1
        assert emulator._runners == []


async def test_its_servers_are_stopped_even_if_its_own_part_cannot_be():
    class Stubborn(Plain):
        async def close(self):
            raise RuntimeError("no")

    emulator = Stubborn(Brain(Mean()))
    await emulator.start()
    address = emulator.addresses["rest"]
    with pytest.raises(RuntimeError):
        await emulator.stop()
    async with aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.post(address, data=b"")
