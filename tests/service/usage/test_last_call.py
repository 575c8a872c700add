"""A run whose key's budget ends keeps the price of the canary that its votes need to count."""

import asyncio
import dataclasses

import pytest

from certification.protocols import Answer, Prediction, Retry
from service.errors import BudgetSpent
from service.usage.counts import Counts
from service.usage.last_call import going_on, wants_last_call
from tests.service import providers
from tests.service.jobs.running import opened
from tests.service.pictures import png
from tests.service.usage.paying import FORM, UNITS, a_key, counted, dollars, run

pytestmark = pytest.mark.usefixtures("small_providers", "nameless")


@pytest.fixture
def nameless(monkeypatch):
    """The provider "half" as one that does not tell its model's version."""
    traits = dataclasses.replace(providers.HalfSpace.traits, names_version=False)
    monkeypatch.setattr(providers.HalfSpace, "traits", traits)
    monkeypatch.setattr(providers, "answer", lambda name: Answer((Prediction(name, 0.9),), None))


@pytest.mark.parametrize("units", [3, 33, 34, 35])
async def test_all_votes_that_a_key_has_paid_for_count(tmp_path, units):
    async with opened(tmp_path) as surety:
        one_by_one = dataclasses.replace(providers.HalfSpace.traits, max_batch=1)
        (await surety.adapter("half")).traits = one_by_one
        owner = await a_key(surety, budget=units / 1000)
        issued = await run(surety, owner)
        proof, bill = issued.document["proof"], issued.accounting
        assert (proof["stop_reason"], proof["votes"]["n"]) == ("max_cost", units - 2)
        assert (bill["votes_reused"], bill["images"]) == (0, units)
        found = await counted(surety.state.usage, owner)
        assert (found.spent, found.reserved, found.votes) == (units * UNITS, 0, units - 2)
        assert (found.calls, found.images) == (bill["calls"], bill["images"])
        assert dollars(found) == pytest.approx(bill["cost"])


@pytest.mark.parametrize("units", [1, 2])
async def test_too_little_for_a_vote_is_not_spent_on_its_canary(tmp_path, units):
    async with opened(tmp_path) as surety:
        owner = await a_key(surety, budget=units / 1000)
        with pytest.raises(BudgetSpent):
            await run(surety, owner)
        found = await counted(surety.state.usage, owner)
        assert (found.spent, found.reserved) == ((units - 1) * UNITS, 0)


async def test_what_was_kept_comes_back_where_the_budget_lasts(tmp_path):
    async with opened(tmp_path) as surety:
        owner = await a_key(surety, budget=1.0)
        issued = await run(surety, owner)
        assert issued.document["proof"]["stop_reason"] == "votes_spent"
        found = await counted(surety.state.usage, owner)
        assert (found.spent, found.reserved) == (issued.accounting["images"] * UNITS, 0)
        assert await run(surety, owner) is not None
        assert await counted(surety.state.usage, owner) == found  # nothing was asked, nor kept


async def test_a_prediction_counts_them_too_and_progress_goes_on(tmp_path):
    async with opened(tmp_path) as surety:
        owner = await a_key(surety, budget=0.034)
        asked = await surety.prepare(png(8, 8), **FORM)
        events = []
        made = await surety.predict(dataclasses.replace(asked, owner=owner), None, events.append)
        assert made.document["n"] == 32
        assert (events[-1].n, events[-1].calls) == (32, made.accounting["calls"])
        assert events[-1].cost == pytest.approx(made.accounting["cost"])
        assert going_on(None, made.document) is None


async def test_a_last_call_that_was_throttled_is_made_again(tmp_path, monkeypatch):
    calls, classify = 0, providers.HalfSpace.classify

    async def throttled(self, images):
        nonlocal calls
        calls += 1
        return [Retry("busy")] if calls == 4 else await classify(self, images)

    monkeypatch.setattr(providers.HalfSpace, "classify", throttled)
    async with opened(tmp_path) as surety:
        surety.machine.patience.first_wait = 0.01
        owner = await a_key(surety, budget=0.034)
        issued = await run(surety, owner)
        assert issued.document["proof"]["votes"]["n"] == 32
        found = await counted(surety.state.usage, owner)
        assert (found.spent, found.retries, found.calls) == (34 * UNITS, 1, calls)


async def test_votes_of_a_run_before_count_with_the_last_money(tmp_path, monkeypatch):
    monkeypatch.setattr("service.core.wants_last_call", lambda *_: False)  # it died before that
    async with opened(tmp_path) as surety:
        owner = await a_key(surety, budget=0.034)
        with pytest.raises(BudgetSpent):
            await run(surety, owner)
        assert (await counted(surety.state.usage, owner)).spent == 33 * UNITS
        monkeypatch.setattr("service.core.wants_last_call", wants_last_call)
        issued = await run(surety, owner)
        assert issued.document["proof"]["votes"]["n"] == issued.accounting["votes_reused"] == 32
        assert (await counted(surety.state.usage, owner)).spent == 34 * UNITS


async def test_a_run_that_is_cancelled_keeps_nothing(tmp_path, monkeypatch):
    asked = asyncio.Event()

    async def stuck(self, images):
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(providers.HalfSpace, "classify", stuck)
    async with opened(tmp_path) as surety:
        owner = await a_key(surety, budget=1.0)
        running = asyncio.ensure_future(run(surety, owner))
        await asked.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        # Only the call that was cut off may have been billed.
        assert await counted(surety.state.usage, owner) == Counts(calls=1, images=1, spent=UNITS)
