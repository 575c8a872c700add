"""What single runs count, and where the budget of their key ends them."""

import asyncio
import dataclasses

import pytest

from certification.errors import ModelVersionChanged, ProviderFailed
from certification.interrupt import Interrupt
from service.errors import BudgetSpent
from service.usage.counts import Counts
from tests.service import providers
from tests.service.jobs.running import opened
from tests.service.pictures import png
from tests.service.usage.paying import FORM, UNITS, a_key, counted, dollars, run, summed

pytestmark = pytest.mark.usefixtures("small_providers")


async def test_a_run_counts_what_its_bill_says_and_the_votes_of_its_ledger(tmp_path):
    async with opened(tmp_path) as surety:
        owner = await a_key(surety)
        issued = await run(surety, owner)
        bill, found = issued.accounting, await counted(surety.state.usage, owner)
        assert (found.calls, found.images) == (bill["calls"], bill["images"])
        assert dollars(found) == pytest.approx(bill["cost"])
        assert (found.reserved, found.spent) == (0, found.images * UNITS)
        assert found.votes == found.images - 1 == 100  # the clean picture is no vote
        again = await run(surety, owner)
        assert again.document == issued.document
        assert await counted(surety.state.usage, owner) == found  # nothing was asked
        assert await counted(surety.state.usage, None) == Counts()


async def test_a_run_without_a_key_and_one_that_costs_nothing_count_too(tmp_path):
    async with opened(tmp_path, provider="closed") as surety:
        issued = await run(surety, None)
        found = await summed(surety.state.usage, None, "closed")
        assert found == Counts(
            calls=issued.accounting["calls"], images=issued.accounting["images"], votes=100
        )


async def test_a_run_that_fails_counts_its_calls(tmp_path, monkeypatch):
    monkeypatch.setattr(providers.Failing, "error", ProviderFailed("it broke"))
    monkeypatch.setattr(providers.Failing, "good", 6)
    async with opened(tmp_path) as surety:
        owner = await a_key(surety)
        with pytest.raises(ProviderFailed):
            await run(surety, owner, provider="failing")
        found = await counted(surety.state.usage, owner)
        assert (found.calls, found.votes, found.certificates) == (7, 5, 0)
        with pytest.raises(ModelVersionChanged):
            await run(surety, owner, provider="fickle", size=9)
        paid = await summed(surety.state.usage, owner, "fickle")
        assert paid.calls >= 2
        assert paid.spent == UNITS * paid.images


async def test_retries_are_counted(tmp_path, monkeypatch):
    async with opened(tmp_path) as surety:
        surety.machine.patience.attempts = 2
        surety.machine.patience.first_wait = 0.01
        owner = await a_key(surety)
        with pytest.raises(ProviderFailed):
            await run(surety, owner, provider="flaky")
        found = await counted(surety.state.usage, owner)
        assert (found.calls, found.images, found.retries, found.votes) == (2, 2, 2, 0)
        assert found.spent == 0  # a call that was not answered is not billed


async def test_a_budget_ends_a_run_with_the_certificate_of_what_it_paid_for(tmp_path):
    async with opened(tmp_path) as surety:
        owner = await a_key(surety, budget=0.049, budget_period="day")
        issued = await run(surety, owner)
        proof = issued.document["proof"]
        assert proof["stop_reason"] == "max_cost"
        assert 0 < proof["votes"]["n"] < 50
        found = await counted(surety.state.usage, owner)
        assert found.spent == found.images * UNITS == 49 * UNITS
        assert found.votes == proof["votes"]["n"]
        again = await run(surety, owner)  # of its ledger, as long as no further vote is wanted
        assert again.document["proof"]["votes"] == proof["votes"]
        with pytest.raises(BudgetSpent, match=r"0\.049 US dollars a day") as error:
            await run(surety, owner, size=9, provider="reading")
        assert error.value.renewed is not None
        assert 0 < error.value.retry_after <= 86_400
        assert await counted(surety.state.usage, owner) == found


async def test_the_own_cap_of_a_request_stays_its_own(tmp_path):
    async with opened(tmp_path) as surety:
        owner = await a_key(surety, budget=1.0)
        issued = await run(surety, owner, max_cost=0.04)
        assert issued.document["proof"]["stop_reason"] == "max_cost"
        with pytest.raises(Exception, match="max_cost does not pay"):
            await run(surety, owner, size=9, max_cost=0.0001)


async def test_a_larger_budget_counts_soon_and_a_budget_in_all_is_never_renewed(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("service.usage.budget.FRESH_SECONDS", 0.0)
    async with opened(tmp_path) as surety:
        owner = await a_key(surety, budget=0.0, budget_period="total")
        with pytest.raises(BudgetSpent, match="have it raised") as error:
            await run(surety, owner)
        assert (error.value.renewed, error.value.retry_after) == (None, None)
        await surety.state.api_keys.change(owner, budget=1.0)
        issued = await run(surety, owner)
        assert issued.document["proof"]["stop_reason"] == "votes_spent"


async def test_runs_at_once_share_a_budget_and_all_that_is_reserved_comes_back(tmp_path):
    async with opened(tmp_path) as surety:
        owner = await a_key(surety, budget=0.1)
        found = await asyncio.gather(
            *(run(surety, owner, size) for size in range(8, 16)), return_exceptions=True
        )
        assert all(isinstance(f, BudgetSpent) or f.document for f in found)
        total = await counted(surety.state.usage, owner)
        assert total.reserved == 0
        assert 100 * UNITS - 16 * UNITS < total.spent <= 100 * UNITS
        bills = [f.accounting["cost"] for f in found if not isinstance(f, BudgetSpent)]
        clean = 0.001 * (len(found) - len(bills))  # that runs without a vote may have asked
        assert sum(bills) - 1e-9 <= dollars(total) <= sum(bills) + clean + 1e-9


async def test_a_run_that_is_cancelled_leaves_nothing_reserved_but_the_call_it_cut_off(tmp_path):
    async with opened(tmp_path) as surety:
        owner = await a_key(surety, budget=1.0)
        interrupt = Interrupt()
        asked = await surety.prepare(png(8, 8), **(FORM | {"provider": "slow"}))
        asked = dataclasses.replace(asked, owner=owner)
        running = asyncio.ensure_future(surety.certify(asked, interrupt))
        while providers.Slow.calls < 10:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        interrupt.cancel()
        issued = await running
        found = await counted(surety.state.usage, owner)
        assert found.calls == issued.accounting["calls"] == providers.Slow.calls
        assert found.votes == issued.document["proof"]["votes"]["n"]
