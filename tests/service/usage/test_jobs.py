"""What jobs count, and where the budget of their key holds them up."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from service.jobs import actions
from service.jobs.engine.stops import BUDGET_SECONDS
from service.usage.counts import ALPHA_UNIT, Counts
from tests.service.jobs.running import grey, opened, rows, submitted, until, working
from tests.service.usage.paying import UNITS, a_key, counted, dollars

pytestmark = pytest.mark.usefixtures("small_providers")


async def test_a_job_counts_for_its_key_what_its_figures_say(tmp_path):
    async with opened(tmp_path) as surety, working(surety):
        owner = await a_key(surety)
        job = await until(surety, (await submitted(surety, grey(4), owner=owner)).id)
        found = await counted(surety.state.usage, owner)
        assert (found.calls, found.images) == (job.calls, job.images)
        assert (found.spent, found.reserved) == (job.spent, 0)
        done = await rows(surety, job)
        assert found.certificates == len(done) == 4
        assert found.certified == sum(row.radius > 0 for row in done)
        assert found.abstained == sum(row.abstained for row in done)
        assert (found.cached, found.alpha) == (0, 4 * ALPHA_UNIT // 1000)
        assert found.votes == job.images - 4
        again = await until(surety, (await submitted(surety, grey(4), owner=owner)).id)
        assert again.images == 0
        twice = await counted(surety.state.usage, owner)
        assert (twice.certificates, twice.cached, twice.spent) == (8, 4, found.spent)
        assert await counted(surety.state.usage, None) == Counts()


async def test_a_picture_that_goes_on_is_counted_once_with_each_certificate(tmp_path):
    async with opened(tmp_path) as surety, working(surety):
        owner = await a_key(surety)
        asked = {"target_radius": 0.6, "max_votes": 200}
        job = await submitted(surety, grey(3), asked, owner=owner, allocation="closest")
        job = await until(surety, job.id)
        found = await counted(surety.state.usage, owner)
        assert (found.certificates, found.cached) == (3, 0)
        assert found.votes == job.images - 3
        await actions.extend(surety, job.id, {"target_radius": 0.1})
        job = await until(surety, job.id)
        found = await counted(surety.state.usage, owner)
        assert (found.certificates, found.cached) == (6, 3)  # the votes of before were enough
        assert found.images == job.images


async def test_a_job_without_money_waits_and_goes_on_when_there_is_more(tmp_path, monkeypatch):
    monkeypatch.setattr("service.usage.budget.FRESH_SECONDS", 0.0)
    monkeypatch.setattr("service.jobs.engine.stops.BUDGET_SECONDS", 0.5)
    async with opened(tmp_path) as surety, working(surety):
        owner = await a_key(surety, budget=0.1, budget_period="day")
        asked = {"good_enough": None}
        job = await submitted(surety, grey(5), asked, owner=owner)
        job = await until(surety, job.id, lambda job: job.problem is not None)
        assert job.state == "running"
        assert job.problem["type"] == "/problems/budget-spent"
        assert job.problem["status"] == 402
        assert "renewed at" in job.problem["detail"]
        found = await counted(surety.state.usage, owner)
        assert 0 < found.spent <= 100 * UNITS
        done = [row for row in await rows(surety, job) if row.state == "done"]
        assert {row.stop_reason for row in done} <= {"votes_spent"}  # none ends for want of money
        await surety.state.api_keys.change(owner, budget=1.0)
        job = await until(surety, job.id)
        assert job.counts["done"] == 5
        found = await counted(surety.state.usage, owner)
        assert job.images == found.images == 5 * 41  # nothing was paid for twice
        assert dollars(found) == pytest.approx(job.cost)
        assert (found.certificates, found.cached, found.votes) == (5, 0, 200)


async def test_a_job_whose_budget_is_never_renewed_is_paused_and_can_be_resumed(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("service.usage.budget.FRESH_SECONDS", 0.0)
    async with opened(tmp_path) as surety, working(surety):
        owner = await a_key(surety, budget=0.02, budget_period="total")
        job = await submitted(surety, grey(2), owner=owner)
        job = await until(surety, job.id, lambda job: job.state == "paused")
        assert job.problem["type"] == "/problems/budget-spent"
        assert "have it raised" in job.problem["detail"]
        await until(surety, job.id, lambda job: not job.counts["working"])
        await surety.state.api_keys.change(owner, budget=1.0)
        await actions.resume(surety, job.id)
        job = await until(surety, job.id)
        assert job.counts["done"] == 2
        assert job.spent == (await counted(surety.state.usage, owner)).spent


async def test_a_job_is_held_no_longer_than_until_the_renewal(tmp_path):
    async with opened(tmp_path) as surety, working(surety):
        owner = await a_key(surety, budget=0.0, budget_period="day")
        job = await submitted(surety, grey(1), owner=owner)
        await until(surety, job.id, lambda job: job.problem is not None)
        key = surety.state.jobs.key(job.id)
        held = int(await surety.state.store.brisk(lambda redis: redis.hget(key, "held")))
        now = datetime.now(UTC)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=1)
        latest = min(now + timedelta(seconds=BUDGET_SECONDS), midnight)
        assert now.timestamp() < held / 1000 <= latest.timestamp()


async def test_the_money_of_the_job_comes_before_that_of_the_key(tmp_path):
    async with opened(tmp_path) as surety, working(surety):
        owner = await a_key(surety, budget=1.0)
        asked = {"good_enough": None}
        job = await submitted(surety, grey(4), asked, owner=owner, max_cost=0.08)
        job = await until(surety, job.id)
        assert job.problem is None
        assert job.cost_at_most <= 0.08
        assert job.counts["unpaid"] > 0
        found = await counted(surety.state.usage, owner)
        assert (found.spent, found.reserved, found.calls) == (job.spent, 0, job.calls)
        assert json.dumps(found.describe())
