"""A budget over real processes, some of which are killed: the provider itself counts the calls."""

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from service.settings import Settings
from service.state import State
from tests.service.pictures import png
from tests.service.usage.paying import counted
from tests.soak.place import FORM, RUN_AHEAD, SECRET, Place
from tests.soak.test_kills import outcome

PRICE, UNITS = 0.001, 10**6

pytestmark = pytest.mark.timeout(120)


@dataclass
class Paid(Place):
    """A place whose provider takes money, and an API key for it."""

    @property
    def profile(self) -> dict:
        """The provider's profile."""
        return {**super().profile, "price": PRICE}


@asynccontextmanager
async def deployment(tmp_path, **limits):
    """Yield the place, the state of the deployment, the key's id and the header that shows it."""
    settings = Settings(data_dir=tmp_path / "data", secret=SECRET, redis_url=None)
    settings = settings.model_copy(update={"redis_prefix": "surety:"})
    async with Paid.at(tmp_path / "data") as place:
        (tmp_path / "data").mkdir()
        state = await State.open(settings)
        try:
            key, text = await state.api_keys.create("paying", frozenset({"certify"}), **limits)
            yield place, state, key.id, {"Authorization": f"Bearer {text}"}
        finally:
            await state.close()


async def ask(service, headers, size):
    async with service.client() as client:
        files = {"image": png(size, size)}
        return await client.post("/certify", files=files, data=FORM, headers=headers)


async def test_two_processes_share_the_budget_of_a_key_and_never_pass_it(tmp_path):
    async with deployment(tmp_path, budget=0.25) as (place, state, key, headers):
        both = [await place.start(), await place.start()]
        asked = (ask(both[n % 2], headers, 16 + n) for n in range(6))
        answers = await asyncio.gather(*asked)
        refused = [answer for answer in answers if answer.status_code != 200]
        assert {answer.status_code for answer in refused} <= {402}
        total = await counted(state.usage, key)
        assert (total.spent, total.reserved) == (place.billed * UNITS, 0)
        assert place.billed == 250  # all of it, and not one more
        paid = [answer.json()["proof"] for answer in answers if answer.status_code == 200]
        assert {proof["stop_reason"] for proof in paid} == {"max_cost"}
        assert total.images == place.billed
        last = await ask(both[0], headers, 40)
        assert (last.status_code, last.json()["type"]) == (402, "/problems/budget-spent")
        assert int(last.headers["retry-after"]) > 0
        assert place.billed == 250


async def begun(service, headers):
    """Begin a run whose client goes with the service; return its id."""
    found = asyncio.get_running_loop().create_future()

    async def hold():
        with contextlib.suppress(httpx.HTTPError):
            async with service.client() as client:
                events = headers | {"Accept": "text/event-stream"}
                request = client.stream(
                    "POST", "/certify", files={"image": png(16, 16)}, data=FORM, headers=events
                )
                async with request as answer:
                    found.set_result(answer.headers["surety-run"])
                    async for _ in answer.aiter_lines():
                        pass

    line = asyncio.create_task(hold())
    return await found, line


async def test_what_a_killed_process_had_reserved_stays_spent_and_nothing_is_counted_twice(
    tmp_path,
):
    async with deployment(tmp_path, budget=0.4, budget_period="total") as made:
        place, state, key, headers = made
        service = await place.start()
        run, line = await begun(service, headers)
        for _ in range(2):
            await place.answered(60)
            await service.kill()
            await line
            service = await place.start()
            line = asyncio.create_task(asyncio.sleep(0))
        told = await outcome(service, run, headers)
        assert told["certificate"]
        async with asyncio.timeout(10):
            while (total := await counted(state.usage, key)).certificates == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        confirmed = (total.spent - total.reserved) // UNITS
        assert confirmed <= place.billed <= total.spent // UNITS <= 400
        assert total.reserved // UNITS <= 2 * RUN_AHEAD  # of two deaths
        assert total.spent // UNITS == 400
        assert total.images == total.calls == 400
        assert (total.certificates, total.cached) == (1, 0)
        (length,) = place.ledgers().values()
        assert total.votes <= length < place.billed
