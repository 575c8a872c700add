"""A budget over real processes, one of which is killed: the provider itself counts the calls."""

import asyncio
import contextlib
import dataclasses
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from service.core import Surety
from service.running import Running
from service.settings import Settings
from tests.service.pictures import png
from tests.service.usage.paying import counted, summed
from tests.soak.place import FORM, RUN_AHEAD, SECRET, Place, Service

PRICE, UNITS = 0.001, 10**6
ARGUMENTS = {"sigma": 0.5, "good_enough": None, "max_votes": 100_000}


@dataclass
class Paid(Place):
    """A place whose provider takes money."""

    @property
    def profile(self) -> dict:
        """The provider's profile."""
        return {**super().profile, "price": PRICE}


@dataclass
class Both:
    """Two processes of one deployment: `surety serve`, and this one."""

    place: Place
    service: Service
    here: Surety
    key: str
    shown: dict[str, str]

    async def ask_there(self, size: int) -> httpx.Response:
        async with self.service.client() as client:
            files = {"image": png(size, size)}
            return await client.post("/certify", files=files, data=FORM, headers=self.shown)

    async def ask_here(self, size: int) -> str:
        prepared = await self.here.prepare(png(size, size), **ARGUMENTS)
        issued = await self.here.certify(dataclasses.replace(prepared, owner=self.key))
        return issued.document["proof"]["stop_reason"]


@pytest.fixture
def both(tmp_path, monkeypatch):
    """Return a context with two processes and a key of some budget."""

    @asynccontextmanager
    async def opened(**limits):
        async with Paid.at(tmp_path / "data") as place:
            service = await place.start()
            for name, value in place.emulator.environment().items():
                monkeypatch.setenv(name, value)
            monkeypatch.delenv("SURETY_REDIS_URL")
            monkeypatch.delenv("SURETY_REDIS_PREFIX")
            settings = Settings(
                data_dir=place.data_dir,
                secret=SECRET,
                provider="http",
                providers_file=place.data_dir / "providers.toml",
                denoiser="none",
                lease_seconds=1,
            )
            async with Surety.opened(settings) as here:
                scopes = frozenset({"certify"})
                key, text = await here.state.api_keys.create("paying", scopes, **limits)
                shown = {"Authorization": f"Bearer {text}"}
                yield Both(place, service, here, key.id, shown)

    return opened


async def test_two_processes_share_the_budget_of_a_key_and_never_pass_it(both):
    async with both(budget=0.15) as two:
        there = [two.ask_there(16 + n) for n in range(3)]
        reasons = [two.ask_here(20 + n) for n in range(3)]
        answers, stopped = await asyncio.gather(asyncio.gather(*there), asyncio.gather(*reasons))
        found = [answer.json()["proof"]["stop_reason"] for answer in answers]
        assert {*found, *stopped} == {"max_cost"}
        assert two.place.billed == 150  # all of it, and not one more
        total = await counted(two.here.state.usage, two.key)
        assert (total.spent, total.reserved, total.images) == (150 * UNITS, 0, 150)
        last = await two.ask_there(40)
        assert (last.status_code, last.json()["type"]) == (402, "/problems/budget-spent")
        assert int(last.headers["retry-after"]) > 0
        assert two.place.billed == 150


async def test_what_a_killed_process_had_reserved_stays_spent_and_nothing_is_counted_twice(both):
    async with both(budget=0.2, budget_period="total") as two:

        async def hold():
            with contextlib.suppress(httpx.HTTPError):
                await two.ask_there(16)

        asking = asyncio.create_task(hold())
        await two.place.answered(60)
        await two.service.kill()
        await asking
        usage = two.here.state.usage
        async with Running(two.here), asyncio.timeout(30):  # it takes the run up
            while not (await summed(usage, two.key)).certificates:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        total = await counted(usage, two.key)
        billed, spent = two.place.billed, total.spent // UNITS
        assert spent == total.images == total.calls == 200
        assert spent - total.reserved // UNITS <= billed <= spent
        assert total.reserved // UNITS <= RUN_AHEAD
        assert (total.certificates, total.cached) == (1, 0)
        (length,) = two.place.ledgers().values()
        assert total.votes <= length < billed
