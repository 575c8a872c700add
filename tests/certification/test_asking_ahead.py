"""What a run pays for, replayed without a clock; the real engine beside it."""

import itertools

import numpy as np
import pytest

from certification.asking_ahead import ask_ahead, canaries
from certification.certify import certify, stop_rules
from certification.confidence import ConfidenceProcess
from certification.options import Options
from tests.certification.worlds import Clip, World, grey, half_space, label, machine

TARGET = Options(sigma=0.1, target_radius=0.05, max_votes=400)


def replay(votes, options, named="in", **how):
    return ask_ahead(ConfidenceProcess(0.001, named), iter(votes), stop_rules(options), **how)


@pytest.mark.parametrize("distance", [0.05, 0.2])
@pytest.mark.parametrize("max_batch", [1, 16])
async def test_one_call_at_a_time_is_the_engine_exactly(distance, max_batch):
    world = World(half_space(distance), max_batch=max_batch, concurrency=1)
    home = machine()
    document = await certify(home, grey(), TARGET, denoiser=Clip(), classifier=world)
    proof = document["proof"]
    # Its votes once more, by the same key: those counted, and what was asked about behind.
    seen = World(half_space(distance), max_batch=1, concurrency=1)
    longest = Options(sigma=0.1, max_votes=400, good_enough=None)
    await certify(machine(), grey(), longest, denoiser=Clip(), classifier=seen)
    answer = half_space(distance)
    votes = [answer(_pixels(one)).predictions[0].name for one in seen.seen[1:]]
    found = replay(
        [*votes, *itertools.repeat("out", 400)], TARGET, max_batch=max_batch, concurrency=1
    )
    assert (found.votes, found.reason) == (proof["votes"]["n"], proof["stop_reason"])
    assert (found.images + 1, found.calls + 1) == (world.images, len(world.calls))


def _pixels(data):
    return np.frombuffer(data, np.uint8).reshape(4, 4, 3)


def test_no_call_is_in_vain_where_all_agree():
    found = replay(itertools.repeat("in"), TARGET, max_batch=16, concurrency=4)
    assert (found.votes, found.images, found.calls) == (28, 28, 2)


def test_what_is_on_its_way_at_the_stop_is_paid_for():
    hopeless = itertools.repeat(None)
    found = replay(hopeless, TARGET, max_batch=4, concurrency=4)
    assert found.reason == "hopeless"
    assert found.votes < found.images <= found.votes + 16
    one = replay(hopeless, TARGET, max_batch=1, concurrency=1)
    assert one.images == one.votes == found.votes


def test_votes_that_end_are_a_mistake():
    with pytest.raises(ValueError, match="ended"):
        replay(["in"] * 5, TARGET, max_batch=4, concurrency=2)


@pytest.mark.parametrize("votes", [250, 251])
async def test_canaries_are_as_many_as_the_engine_asks_for(votes):
    # An answer that is the same for every picture, from a provider that names no version.
    world = World(lambda pixels: label("in", None), max_batch=1, concurrency=1)
    options = Options(sigma=0.1, max_votes=votes, good_enough=None)
    await certify(machine(), grey(), options, denoiser=Clip(), classifier=world)
    assert world.images == votes + 1 + canaries(votes)
