"""What a job will take: figures that come true, and intervals that are as wide as they must be."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from certification.errors import InvalidParameter
from certification.protocols import Traits
from service.errors import BadRequest
from service.jobs.estimates import estimate_draws, estimate_pictures
from service.jobs.estimates.estimate import estimate, pilot_numbers
from service.jobs.estimates.estimate_draws import TAIL, alike, unseen
from service.jobs.estimates.estimate_time import Speed
from service.jobs.estimates.estimate_view import duration, money, view
from service.jobs.estimates.estimating import estimate_of
from service.jobs.rows import Row
from service.jobs.submit import spec_of
from tests.service.jobs.running import opened

AWS = Traits(price=0.001, concurrency=8, rate=20.0, names_version=True)
FREE = Traits(payload="pixels", max_batch=64, concurrency=1)
TARGET = {"sigma": 0.25, "target_radius": 0.125}


def row(number, n, *, reached=True, **changes):
    told = {
        "n": n,
        "images": n + 1,
        "calls": n + 1,
        "cost": (n + 1) * 0.001,
        "abstained": not reached,
        "radius": 0.125 if reached else 0.0,
        "stop_reason": "target_reached" if reached else "hopeless",
        "seconds": 1.0,
    }
    return Row(number, f"{number}.png", "", "done", **{**told, **changes})


@pytest.fixture(scope="module")
def guess():
    return estimate(TARGET, 1000, AWS, max_cost=100, cheaper=True)


def test_a_guess_says_that_it_is_one(guess):
    told = guess.describe()
    assert told["basis"] == "reference"
    assert told["pilot"] is None
    assert told["rests_on"][0].startswith("a guess")
    for part in ("job", "rest", "picture"):
        for figure in told[part].values():
            assert figure["low"] <= figure["expected"] <= figure["high"]
    assert told["worst"]["votes"] == 1000 * 1000
    assert told["job"]["images"]["expected"] >= told["job"]["votes"]["expected"] + 1000
    assert told["job"]["cost"]["expected"] == pytest.approx(
        0.001 * told["job"]["images"]["expected"], abs=0.001
    )
    assert json.loads(json.dumps(told)) == told


def test_time_is_that_of_the_slowest():
    rate = estimate(TARGET, 100, AWS)
    assert rate.bottleneck == "rate"
    assert rate.job.seconds.expected == pytest.approx(rate.job.images.expected / 19.0)
    own = estimate(TARGET, 100, AWS, rate=2.0)
    assert own.job.seconds.expected == pytest.approx(rate.job.images.expected / 2.0)
    slow = estimate(TARGET, 100, AWS, speed=Speed(latency=0.01, pictures=10.0, workers=1))
    assert slow.bottleneck == "denoiser"
    assert slow.job.seconds.expected == pytest.approx(slow.job.images.expected / 10.0)
    late = estimate(TARGET, 100, AWS, speed=Speed(latency=4.0))
    assert late.bottleneck == "latency"
    assert late.job.seconds.expected >= late.job.calls.expected * 4.0 / 8
    unknown = estimate(TARGET, 100, Traits(concurrency=8))
    assert "assumed" in unknown.rests_on[-2]
    assert unknown.job.seconds.high > 3 * unknown.job.seconds.expected


def test_price_0_and_calls_as_the_unit():
    free = estimate(TARGET, 10, FREE, max_cost=0.0)
    assert free.job.cost.high == 0
    assert free.budget.completes.low == 1
    assert free.budget.pictures.low == 10
    assert free.job.calls.expected < free.job.images.expected / 5
    calls = Traits(price=0.01, unit="request", max_batch=16)
    by_call = estimate(TARGET, 10, calls)
    assert by_call.job.cost.expected == pytest.approx(0.01 * by_call.job.calls.expected)


def test_canaries_are_counted():
    unnamed = replace(AWS, names_version=False)
    plain, watched = (estimate(TARGET, 10, traits) for traits in (AWS, unnamed))
    assert watched.worst.images.expected == plain.worst.images.expected + 10 * 4
    assert watched.job.votes == plain.job.votes
    assert watched.job.images.expected >= plain.job.images.expected + 10 * 1


@pytest.mark.usefixtures("small_providers")
async def test_a_guess_counts_the_canaries_of_a_provider_that_names_no_version(tmp_path):
    async with opened(tmp_path, provider="closed") as surety:
        spec = await spec_of(surety, {"sigma": 0.25, "max_votes": 500})
        found = await estimate_of(surety, spec, 10)
        named = replace((await surety.adapter("closed")).traits, names_version=True)
        assert found.worst.images.expected == 10 * (500 + 1 + 2)
        assert estimate(spec.arguments, 10, named).worst.images.expected == 10 * 501


def test_a_picture_s_own_cap_ends_its_votes():
    capped = estimate({**TARGET, "max_cost": 0.05}, 10, AWS)
    assert capped.worst.cost.expected == pytest.approx(10 * 0.05)


def test_cheaper_is_cheaper(guess):
    assert guess.cheaper
    for one in guess.cheaper:
        assert one.votes < guess.job.votes.expected
        changed = estimate({**TARGET, **one.change}, 1000, AWS)
        assert changed.job.votes.expected == pytest.approx(one.votes, rel=1e-9)


def test_a_pilot_of_all_is_the_bill():
    rows = [row(0, 28), row(1, 300, reached=False), row(2, 61)]
    found = estimate(TARGET, 3, AWS, rows, max_cost=0.392)
    for name, value in (("votes", 389), ("images", 392), ("reached", 2)):
        figure = getattr(found.job, name)
        assert figure.low == figure.expected == figure.high == value
    assert found.job.cost.high == pytest.approx(0.392)
    assert found.rest.votes.high == 0
    assert found.budget.completes.expected == 1
    assert estimate(TARGET, 3, AWS, rows, max_cost=0.39).budget.completes.high == 0


def test_three_pictures_alike_do_not_make_it_sure():
    """All took 28 votes: with 95 % at least 0.05^(1/3) of the pictures take so few."""
    found = estimate(TARGET, 1003, AWS, [row(i, 28) for i in range(3)], seed=1)
    assert found.job.votes.expected == pytest.approx(28 * 1003)
    least = 0.05 ** (1 / 3)
    most = 28 * least + 1000 * (1 - least)
    assert found.rest.votes.high / 1000 == pytest.approx(most, rel=0.05)
    assert found.rest.reached.low / 1000 == pytest.approx(least, rel=0.08)
    assert found.rest.reached.high == 1000
    assert found.picture.votes.high == 1000  # the next one may well be another


def test_votes_of_the_ledger_are_paid_for_by_the_others():
    reused = [row(i, 40, images=0, calls=0, cost=0.0) for i in range(4)]
    found = estimate(TARGET, 14, AWS, reused)
    assert found.spent.cost.expected == 0
    assert found.rest.cost.expected == pytest.approx(10 * 0.041)


def test_rows_without_an_end_are_no_pilot():
    waiting = Row(0, "0.png", "", "waiting")
    assert estimate(TARGET, 5, AWS, [waiting]).basis == "reference"
    failed = Row(1, "1.png", "", "failed", images=3, calls=3, cost=0.003)
    found = estimate(TARGET, 2, AWS, [row(0, 28), failed])
    assert found.job.cost.expected == pytest.approx(0.029 + 0.003)


def test_the_same_twice(guess):
    assert estimate(TARGET, 1000, AWS, max_cost=100, cheaper=True) == guess
    rows = [row(0, 28), row(1, 90)]
    assert estimate(TARGET, 50, AWS, rows) == estimate(TARGET, 50, AWS, rows)


def test_what_is_refused():
    with pytest.raises(BadRequest):
        estimate(TARGET, 0, AWS)
    with pytest.raises(BadRequest):
        estimate(TARGET, 1, AWS, [row(0, 28), row(1, 28)])
    with pytest.raises(InvalidParameter):
        estimate({"sigma": 0.25, "target_radius": 2.0}, 1, AWS)
    with pytest.raises(BadRequest):
        pilot_numbers(10, 0)


def test_pilot_numbers_are_spread():
    for count, m in ((10, 3), (1000, 30), (7, 7), (3, 10), (1, 1)):
        found = pilot_numbers(count, m, seed=4)
        assert len(found) == min(count, m)
        for i, number in enumerate(found):
            assert i * count // len(found) <= number < (i + 1) * count // len(found)
    assert pilot_numbers(1000, 5, 1) == pilot_numbers(1000, 5, 1) != pilot_numbers(1000, 5, 2)


@pytest.mark.parametrize("m", [3, 10, 40])
def test_intervals_cover(m, monkeypatch):
    """Most pictures are quick and some use up everything, as it is with real ones."""
    monkeypatch.setattr(estimate_draws, "DRAWS", 300)
    rng, hits, naive, trials, count = np.random.default_rng(m), 0, 0, 80, 60
    for trial in range(trials):
        slow = rng.random(count) < 0.15
        votes = np.where(slow, 1000.0, rng.integers(28, 120, count))
        seen, rest = votes[:m, None], votes[m:].sum()
        drawn = unseen(seen, count - m, np.array([8.0]), np.array([1000.0]), trial)
        hits += np.quantile(drawn.below, TAIL) <= rest <= np.quantile(drawn.above, 1 - TAIL)
        naive += np.quantile(drawn.middle, TAIL) <= rest <= np.quantile(drawn.middle, 1 - TAIL)
    assert hits / trials >= 0.87  # 90 % but for chance
    if m == 3:
        assert naive / trials < 0.7  # what the further picture is for


def test_many_alike_are_known_well():
    drawn = alike(np.array([[1.0], [3.0]]), 10_000)
    assert drawn.expected == 20_000
    assert np.std(drawn.middle) == pytest.approx(100, rel=0.1)


def test_the_reference_is_what_it_says():
    known = estimate_pictures.reference()
    assert {table.denoiser for table in known.tables} == {"cifar", "none"}
    assert known.nearest(0.3, None)[0].denoiser == "cifar"
    assert known.nearest(0.3, "none")[0].denoiser == "none"
    assert known.nearest(0.3, "photo")[0].sigma == 0.25


def test_view(guess):
    shown = io.StringIO()
    Console(file=shown, width=100).print(view(guess.describe()))
    text = shown.getvalue()
    assert "Estimate for 1,000 pictures" in text
    assert "a guess" in text
    assert "if no call fails" in text.replace("\n", " ")
    assert "never" not in text  # calls that fail may be billed
    assert "what is asked again comes on top" in " ".join(text.replace("│", " ").split())
    assert "reach 0.125" in text
    assert "certified" not in text  # means that there is a radius, whatever the target
    assert f"{guess.job.votes.expected:,.0f}" in text
    assert money(guess.describe()["job"]["cost"]["low"]) in text
    assert "chance that the job completes" in text
    assert re.search(r"With max votes|With at most votes|With target radius|With sigma", text)
    rows = [row(0, 28), row(1, 61)]
    shown = io.StringIO()
    Console(file=shown, width=100).print(view(estimate(TARGET, 20, AWS, rows).describe()))
    assert "The pilot of 2 has cost $0.091" in shown.getvalue()


def test_without_a_target_what_counts_is_any_radius():
    found = estimate({"sigma": 0.25}, 10, AWS)
    assert found.describe()["target_radius"] is None
    shown = io.StringIO()
    Console(file=shown, width=100).print(view(found.describe()))
    assert "certified" in shown.getvalue()
    assert "reach" not in shown.getvalue()


def test_words():
    assert [money(x) for x in (0, 0.004, 0.5, 1234.5)] == ["$0.00", "$0.004", "$0.50", "$1,234.50"]
    assert duration(3.21) == "3.2 s"
    assert duration(59) == "59 s"
    assert duration(150) == "2 min"
    assert duration(3 * 3600 + 60) == "3 h 1 min"
    assert duration(90_000) == "1 d 1 h"
