"""Runs that are killed go on: no vote is lost, none counted twice, and little is paid twice."""

import asyncio
import contextlib
import os
import random
import signal

import httpx
import pytest

from service.store.embedded import EmbeddedServer
from tests.service.command import PATIENCE
from tests.soak.place import FORM, PICTURE, RUN_AHEAD, SOAK, Place, times

pytestmark = pytest.mark.timeout(3600 if SOAK else 120)


async def begin(service, **fields):
    """Begin a run that nobody waits for; return its id, and the task that holds the line."""
    begun = asyncio.get_running_loop().create_future()

    async def hold():
        with contextlib.suppress(httpx.HTTPError):
            async with service.client() as client:
                files, headers = {"image": ("p.png", PICTURE)}, {"Accept": "text/event-stream"}
                request = client.stream(
                    "POST", "/certify", files=files, data=FORM | fields, headers=headers
                )
                async with request as answer:
                    if answer.status_code != 200:
                        begun.set_exception(AssertionError(await answer.aread()))
                        return
                    begun.set_result(answer.headers["surety-run"])
                    async for _ in answer.aiter_lines():
                        pass

    line = asyncio.create_task(hold())
    return await asyncio.wait_for(begun, PATIENCE), line


async def outcome(service, run):
    """Wait for what came of a run."""
    async with asyncio.timeout(PATIENCE), service.client() as client:
        while True:
            told = (await client.get(f"/runs/{run}")).json()
            if told["outcome"] is not None:
                return told["outcome"]
            await asyncio.sleep(0.05)


async def cancel(service, run):
    """End a run, wherever it stands; return its certificate and votes."""
    async with service.client() as client:
        while True:  # it has to be taken up first
            if (await client.delete(f"/runs/{run}")).status_code == 202:
                break
            await asyncio.sleep(0.05)
        ended = await outcome(service, run)
        name = ended["certificate"]
        certificate = (await client.get(f"/certificates/{name}")).json()
        votes = (await client.get(f"/certificates/{name}/votes")).json()["votes"]
    return certificate, votes


async def test_a_service_that_is_killed_goes_on_where_it_stood(tmp_path):
    kills = times(2, 100)  # one with the request that began it, one after it was taken up
    async with Place.at(tmp_path / "data") as place:
        service = await place.start()
        run, line = await begin(service)
        for _ in range(kills):
            await place.answered(random.randrange(1, 120))
            await service.kill()
            await line
            service = await place.start()
            line = asyncio.create_task(asyncio.sleep(0))
        await place.answered(50)  # so it was taken up, without anybody asking
        certificate, votes = await cancel(service, run)
        (length,) = place.ledgers().values()
        billed = place.billed
        assert certificate["proof"]["stop_reason"] == "cancelled"
        assert votes == await place.undisturbed(len(votes))
    excess = billed - length - 1  # the clean picture
    print(f"{kills} kills, {length} votes, {excess} pictures paid for twice")  # noqa: T201
    assert 0 <= excess <= kills * RUN_AHEAD


async def test_a_store_that_is_killed_loses_no_vote(tmp_path):
    """The server itself is killed; its parent, so that it is an orphan; a second start joins in."""
    kills = times(3, 20)
    async with Place.at(tmp_path / "data") as place:
        service = await place.start()
        run, line = await begin(service)
        crashes = 0
        for number in range(kills):
            await place.answered(random.randrange(20, 120))
            os.kill(EmbeddedServer(place.data_dir).pid, signal.SIGKILL)
            if number % 3 == 1:  # the service goes on by itself, and is then killed: an orphan
                await place.answered(60)
                await service.kill()
                crashes += 1
                service = await place.start()
            elif number % 3 == 2:
                second = await place.start()
                await second.stop()
        await place.answered(60)
        _, votes = await cancel(service, run)
        (length,) = place.ledgers().values()
        billed = place.billed
        assert votes == await place.undisturbed(len(votes))
        line.cancel()
        await asyncio.gather(line, return_exceptions=True)
    excess = billed - length - 1
    print(f"{kills} kills of the store, {length} votes, {excess} paid for twice")  # noqa: T201
    assert 0 <= excess <= crashes * RUN_AHEAD


async def test_two_processes_and_twenty_clients_share_one_ledger(tmp_path):
    async with Place.at(tmp_path / "data") as place:
        both = [await place.start(), await place.start()]
        most = times(60, 600)

        async def ask(number):
            async with both[number % 2].client() as client:
                form = FORM | {"max_votes": str(most + number)}
                answer = await client.post("/certify", files={"image": PICTURE}, data=form)
                assert answer.status_code == 200, answer.text
                return answer.json(), json_of(answer)

        found = await asyncio.gather(*(ask(number) for number in range(20)))
        (length,) = place.ledgers().values()
        assert place.billed == length + 1
        for number, (certificate, _) in enumerate(found):
            assert certificate["proof"]["votes"]["n"] == most + number
        bills = sum(bill["images"] for _, bill in found)
        assert bills == place.billed  # each run has its own bill, and they add up
        async with both[0].client() as client:
            name = found[-1][0]["id"]
            votes = (await client.get(f"/certificates/{name}/votes")).json()["votes"]
        assert votes == await place.undisturbed(most + 19)


def json_of(answer):
    """Return what the request itself cost."""
    import json

    return json.loads(answer.headers["surety-accounting"])
