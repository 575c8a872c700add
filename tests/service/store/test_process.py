"""The end of a process: from then on nothing of it may seem to live."""

import asyncio
import os

from service.settings import Settings
from service.state import State
from tests.service.store.keeping import SECRET
from tests.service.store.test_late_commands import Line


async def test_what_is_given_back_late_makes_nobody_live_again(place):
    one, two = await place(), await place()
    token = one.process.want()
    claim = one.store.key("claim", "x")
    assert await one.process.claim(claim, token)
    assert await two.process.lives(one.process.id)
    await one.process.end()
    assert not await two.process.lives(one.process.id)
    await one.process.give_back(claim, token)
    assert not await two.process.lives(one.process.id)
    assert await two.process.claim(claim, two.process.want())


async def test_a_sign_of_life_that_is_under_way_is_waited_for(tmp_path):
    settings = {"data_dir": tmp_path, "secret": SECRET, "lease_seconds": 1}
    async with Line(tmp_path, os.environ["SURETY_REDIS_URL"]).open() as line:
        one = await State.open(Settings(**settings, redis_url=line.url))
        two = await State.open(Settings(**settings))
        line.hold_next("EVALSHA", one.process.id)
        while not line.held:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        ending = asyncio.ensure_future(one.process.end())
        await asyncio.sleep(0.1)
        # Its answer would go to the line alone: here it is lost, and the connection with it.
        await line.deliver()
        await ending
        assert not await two.process.lives(one.process.id)
        await one.close()
        await two.close()
