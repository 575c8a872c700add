"""Jobs that are really worked on: by workers in this process, with small providers."""

import asyncio

import pytest

from adapters.errors import AuthenticationFailed, NotConfigured, ProviderDown
from service.jobs import actions
from service.jobs.engine.queue import Queue
from service.jobs.engine.stops import HOLD_SECONDS
from service.jobs.submit import Handed
from tests.service import providers
from tests.service.jobs.running import (
    eventually,
    grey,
    opened,
    plain,
    rows,
    submitted,
    until,
    working,
)

pytestmark = pytest.mark.usefixtures("small_providers")


async def test_every_picture_gets_its_certificate_and_a_bad_one_fails_alone(tmp_path):
    pictures = [*grey(5), Handed("bad.png", b"nothing"), Handed("gone.png", None, "too large")]
    async with opened(tmp_path) as surety, working(surety):
        job = await until(surety, (await submitted(surety, pictures, name="all")).id)
        found = await rows(surety, job)
        assert [r.state for r in found] == ["done"] * 5 + ["failed"] * 2
        assert found[5].problem["type"] == "/problems/not-an-image"
        assert found[6].problem["detail"] == "too large"
        for row in found[:5]:
            kept = await surety.state.certificates.get(row.certificate)
            assert kept["image"]["source"]["name"] == row.name
            assert kept["proof"]["votes"]["n"] == row.n
            assert row.correct == (row.label == "dark")
        assert job.counts["done"] == 5
        assert job.images == sum(r.images for r in found)
        assert job.calls == sum(r.calls for r in found)
        assert job.cost == pytest.approx(sum(r.cost for r in found))
        assert job.cost == job.cost_at_most == pytest.approx(0.001 * job.images)


async def test_the_same_job_again_costs_nothing_and_gives_the_same_certificates(tmp_path):
    async with opened(tmp_path) as surety, working(surety):
        first = await until(surety, (await submitted(surety, grey(3))).id)
        second = await until(surety, (await submitted(surety, grey(3))).id)
        assert second.images == 0
        assert second.cost_at_most == 0
        ids = [[r.certificate for r in await rows(surety, job)] for job in (first, second)]
        assert ids[0] == ids[1]


async def test_the_money_of_a_job_is_never_passed_and_more_money_pays_for_new_votes(tmp_path):
    async with opened(tmp_path) as surety, working(surety, pictures=4):
        job = await submitted(surety, grey(6), {"good_enough": None}, max_cost=0.1)
        job = await until(surety, job.id)
        assert job.cost_at_most <= 0.1
        found = await rows(surety, job)
        assert job.counts["unpaid"] > 0
        assert {r.stop_reason for r in found if r.state == "done"} <= {"votes_spent", "max_cost"}
        paid = job.images
        await actions.extend(surety, job.id, {"max_cost": 1.0})
        job = await until(surety, job.id)
        found = await rows(surety, job)
        assert {r.stop_reason for r in found} == {"votes_spent"}
        assert job.images == 6 * 41  # each picture once, and 40 votes of each: none paid twice
        assert job.images > paid
        assert sum(r.images for r in found) == job.images


async def test_a_larger_target_pays_for_new_votes_alone(tmp_path):
    async with opened(tmp_path) as surety, working(surety):
        chosen = {"target_radius": 0.2, "max_votes": 500}
        job = await until(surety, (await submitted(surety, grey(3), chosen)).id)
        before = await rows(surety, job)
        await actions.extend(surety, job.id, {"target_radius": 0.8})
        job = await until(surety, job.id)
        after = await rows(surety, job)
        for old, new in zip(before, after, strict=True):
            assert new.n > old.n
            assert new.radius >= 0.8
            assert new.images <= 1 + new.n + 2 * 16 * 2  # one clean picture; some run ahead
            assert new.certificate != old.certificate


async def test_pause_loses_nothing_and_resume_goes_on(tmp_path):
    async with opened(tmp_path, provider="slow") as surety, working(surety, pictures=3):
        job = await submitted(surety, grey(4), {"good_enough": None, "max_votes": 30})
        await until(surety, job.id, lambda _: providers.Slow.calls > 30)
        await actions.pause(surety, job.id)
        job = await until(surety, job.id, lambda job: not job.counts["working"])
        assert (job.state, job.left) == ("paused", 4)
        calls = providers.Slow.calls
        await asyncio.sleep(0.5)
        assert providers.Slow.calls == calls
        await actions.resume(surety, job.id)
        job = await until(surety, job.id)
        assert job.counts["done"] == 4
        assert providers.Slow.calls == job.images == 4 * 31


async def test_after_a_cancel_no_call_starts_within_a_second(tmp_path):
    async with opened(tmp_path, provider="slow") as surety, working(surety, pictures=3):
        job = await submitted(surety, grey(9), {"good_enough": None, "max_votes": 1000})
        await until(surety, job.id, lambda _: providers.Slow.calls > 10)
        await actions.cancel(surety, job.id)
        await asyncio.sleep(1)
        calls = providers.Slow.calls
        await asyncio.sleep(0.5)
        assert providers.Slow.calls == calls
        job = await until(surety, job.id, lambda job: not job.counts["working"])
        assert job.counts["cancelled"] == 9
        await actions.delete(surety, job.id)


async def test_a_worker_that_ends_gives_its_pictures_back(tmp_path):
    async with opened(tmp_path, provider="slow") as surety:
        async with working(surety, pictures=2):
            job = await submitted(surety, grey(3), {"good_enough": None, "max_votes": 50})
            await until(surety, job.id, lambda _: providers.Slow.calls > 20)
        job = await surety.state.jobs.get(job.id)
        assert job.state == "running"
        assert job.counts["working"] == 0
        assert await surety.state.workers.list() == []
        async with working(surety, pictures=2):
            job = await until(surety, job.id)
        assert providers.Slow.calls == job.images == 3 * 51


async def test_closest_spends_a_fixed_budget_on_what_can_be_reached(tmp_path):
    """Of 12 pictures the first 4 have a vote rate about that of the target: no budget helps."""
    hard = [plain(n, 170) for n in range(4)]
    easy = [plain(n, 140) for n in range(8)]
    pictures = [*hard, *easy]
    chosen = {"sigma": 0.5, "target_radius": 0.3, "max_votes": 1000}
    reached = {}
    for allocation in ("in_order", "closest"):
        async with (
            opened(tmp_path / allocation, redis_prefix=f"test-{allocation}:") as surety,
            working(surety, pictures=1),
        ):
            job = await submitted(surety, pictures, chosen, allocation=allocation, max_cost=0.6)
            found = await rows(surety, await until(surety, job.id))
            reached[allocation] = sum(r.stop_reason == "target_reached" for r in found)
            keys = await surety.state.store.brisk(lambda r, a=allocation: r.keys(f"test-{a}:*"))
            await surety.state.store.brisk(lambda r, keys=keys: r.delete(*keys))
    assert reached["closest"] == 8
    assert reached["in_order"] < 8


@pytest.mark.parametrize(("count", "max_cost", "least"), [(24, 0.836, 32), (12, 0.14, 9)])
async def test_closest_gives_every_picture_its_first_slice_before_any_gets_a_second(
    tmp_path, count, max_cost, least
):
    """After 32 votes each lacks about six, fewer than there are pictures."""
    chosen = {"sigma": 0.5, "target_radius": 0.35, "max_votes": 1000}
    async with opened(tmp_path) as surety, working(surety, pictures=4):
        job = await submitted(surety, grey(count), chosen, allocation="closest", max_cost=max_cost)
        job = await until(surety, job.id)
        found = [row.n for row in await rows(surety, job)]
        assert job.counts["unpaid"] == 0
        assert min(found) >= least
        assert max(found) > least  # what was left went to a second one
        assert job.cost_at_most <= max_cost


async def test_closest_with_no_money_for_all_pays_for_as_many_as_it_can(tmp_path):
    chosen = {"sigma": 0.5, "target_radius": 0.5, "max_votes": 1000}
    async with opened(tmp_path) as surety, working(surety):
        job = await submitted(surety, grey(9), chosen, allocation="closest", max_cost=0.012)
        job = await until(surety, job.id)
        found = [row.n for row in await rows(surety, job)]
        assert found[:6] == [1] * 6
        assert job.counts["unpaid"] == 3


async def test_closest_bears_a_milestone_beyond_the_first_slice(tmp_path):
    chosen = {"sigma": 0.5, "target_radius": 0.3, "max_votes": 200, "milestone": 50}
    async with opened(tmp_path) as surety, working(surety):
        job = await until(
            surety, (await submitted(surety, grey(2), chosen, allocation="closest")).id
        )
        assert job.counts["done"] == 2


@pytest.mark.parametrize("error", [AuthenticationFailed("no"), ProviderDown("down")])
async def test_what_stops_every_picture_stops_the_job_and_not_its_pictures(
    tmp_path, error, monkeypatch
):
    monkeypatch.setattr(providers.Failing, "error", error)
    async with opened(tmp_path, provider="failing") as surety, working(surety):
        job = await submitted(surety, grey(6))
        if isinstance(error, ProviderDown):
            held = await until(surety, job.id, lambda job: job.problem and job.left == 6)
            assert held.state == "running"
            assert held.problem["type"] == "/problems/provider-down"
            assert HOLD_SECONDS > 10
        else:
            held = await until(surety, job.id, lambda job: job.state == "paused")
            assert held.problem["type"] == "/problems/provider-authentication"
        held = await until(surety, job.id, lambda job: not job.counts["working"])
        assert held.counts["waiting"] == 6


async def test_a_picture_that_is_lost_on_its_way_is_found(tmp_path, monkeypatch):
    async with opened(tmp_path) as surety:
        job = await submitted(surety, grey(2))
        lost = await surety.state.pictures.take("cpu/int16", 1, 1)  # and its worker dies
        assert len(lost) == 1
        async with working(surety) as worker:
            monkeypatch.setattr(worker, "_idle", 0.2)
            job = await until(surety, job.id)
            assert job.counts["done"] == 2


async def test_a_second_delivery_of_an_ended_picture_does_nothing(tmp_path):
    async with opened(tmp_path) as surety, working(surety) as worker:
        job = await submitted(surety, grey(1))
        taken = []
        put = Queue.put

        async def noted(queue, compute, pictures):
            taken.extend(pictures)
            await put(queue, compute, pictures)

        worker._queue.put = noted.__get__(worker._queue)
        job = await until(surety, job.id)
        assert taken
        before = await rows(surety, job)
        await worker.work(taken[0], 2)
        assert await rows(surety, job) == before


async def test_a_picture_that_kills_its_workers_ends(tmp_path):
    async with opened(tmp_path) as surety:
        job = await submitted(surety, grey(1))
        (taken,) = await surety.state.pictures.take("cpu/int16", 1, 1)
        async with working(surety) as worker:
            await worker.work(taken, 6)
        (row,) = await rows(surety, await surety.state.jobs.get(job.id))
        assert row.state == "failed"
        assert "5 workers in a row" in row.problem["detail"]


async def test_only_workers_of_the_jobs_compute_type_take_it(tmp_path):
    async with opened(tmp_path) as surety:
        job = await submitted(surety, grey(2))
        async with working(surety) as worker:
            worker.computes.remove("cpu/int16")
            await asyncio.sleep(0.6)
            assert (await surety.state.jobs.get(job.id)).counts["waiting"] == 2
            worker.computes.append("cpu/int16")
            assert (await until(surety, job.id)).counts["done"] == 2


async def test_workers_tell_what_they_do(tmp_path):
    async with opened(tmp_path, provider="slow") as surety, working(surety, pictures=2):
        job = await submitted(surety, grey(3), {"good_enough": None, "max_votes": 1000})

        async def busy():
            found = await surety.state.workers.list()
            return bool(found) and found[0].busy == 2 and found[0].rates["images"] > 10

        await eventually(busy)
        await actions.cancel(surety, job.id)


async def test_a_process_without_the_credential_leaves_the_job_to_others(tmp_path, monkeypatch):
    async def not_here(_):
        raise NotConfigured("no credential here")

    async with opened(tmp_path) as surety:
        job = await submitted(surety, grey(2))
        with monkeypatch.context() as patch:
            patch.setattr(surety, "adapter", not_here)
            async with working(surety):
                held = await until(surety, job.id, lambda job: job.problem and job.left == 2)
        assert held.state == "running"  # whoever has it may go on
        assert "no credential here" in held.problem["detail"]


async def test_what_was_certified_stays_where_a_larger_target_is_hopeless(tmp_path):
    async with opened(tmp_path) as surety, working(surety):
        chosen = {"target_radius": 0.2, "max_votes": 500}
        job = await until(surety, (await submitted(surety, [plain(0, 165)], chosen)).id)
        (before,) = await rows(surety, job)
        assert before.radius >= 0.2
        await actions.extend(surety, job.id, {"target_radius": 2.5})
        (after,) = await rows(surety, await until(surety, job.id))
        assert after.radius >= before.radius
        kept = await surety.state.certificates.get(after.certificate)
        assert kept["proof"]["radius"] == after.radius
