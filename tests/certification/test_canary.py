"""Providers that name no model version: the clean picture is asked about again and again."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certification import canary
from certification.certify import certify
from certification.decision import Prediction
from certification.errors import ModelVersionChanged
from certification.interrupt import Interrupt
from certification.options import Options
from certification.protocols import Answer, Refusal
from tests.certification.worlds import Clip, World, grey, half_space, label, machine

scores = st.dictionaries(st.text(min_size=1, max_size=8), st.floats(0, 1), max_size=12)


def answer(told: dict[str, float]) -> Answer:
    return Answer(tuple(Prediction(name, score) for name, score in told.items()))


@given(scores)
def test_an_answer_agrees_with_itself(told):
    version = canary.version_of(answer(told))
    assert canary.is_canary(version)
    assert canary.same_model(version, answer(told))
    assert canary.same_model(canary.version_of(answer(told), epoch=3), answer(told))


@given(scores, st.data())
def test_a_score_that_moved_by_more_than_the_tolerance_does_not_agree(told, data):
    told = {f"n{i}": score for i, score in enumerate(sorted(told.values(), reverse=True))}
    if not told:
        return
    name = data.draw(st.sampled_from(list(told)[: canary.KEPT]))
    for shift in (-0.05, 0.05):
        moved = {**told, name: told[name] + shift}
        if max(moved[name], told[name]) > min(sorted(told.values())[-canary.KEPT :]) + 0.05:
            assert not canary.same_model(canary.version_of(answer(told)), answer(moved))


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ({"cat": 0.9}, {"cat": 0.91}, True),
        ({"cat": 0.9}, {"cat": 0.93}, False),
        ({"cat": 0.9}, {"dog": 0.9}, False),
        ({"cat": 0.9}, {}, False),
        ({}, {}, True),
        ({}, {"cat": 0.01}, True),
        ({}, {"cat": 0.5}, False),
        ({"cat": 0.9, "faint": 0.015}, {"cat": 0.9}, True),
        ({'quo"te]': 0.9}, {'quo"te]': 0.9}, True),
    ],
)
def test_what_counts_as_the_same_model(before, now, same):
    assert canary.same_model(canary.version_of(answer(before)), answer(now)) is same


def test_a_label_that_is_told_twice_agrees_with_itself():
    """A detector may tell "person" for each one it sees, also beyond the labels that are kept."""
    others = [(f"n{i}", 0.8 - i / 100) for i in range(canary.KEPT)]
    told = [("person", 0.9), *others, ("person", 0.1)]
    said = Answer(tuple(Prediction(name, score) for name, score in told))
    assert canary.same_model(canary.version_of(said), said)


def test_a_providers_own_version_is_no_canary_whatever_it_is_called():
    assert not canary.is_canary("canary 2")
    assert not canary.is_canary(None)


def test_a_refusal_agrees_with_a_refusal_alone():
    version = canary.version_of(Refusal("too dark"))
    assert canary.same_model(version, Refusal("for another reason"))
    assert not canary.same_model(version, answer({"cat": 0.5}))


def silent(distance: float, changes_at: int | None = None, back_at: int | None = None):
    """A world without versions whose scores change at a call, and perhaps back again."""
    inner = half_space(distance)
    asked = 0

    def reply(pixels):
        nonlocal asked
        asked += 1
        new = changes_at is not None and asked > changes_at
        if new and back_at is not None and asked > back_at:
            new = False
        told = inner(pixels)
        shifted = [Prediction(p.name, p.score - 0.3 * new) for p in told.predictions]
        return Answer(tuple(shifted), None)

    return World(reply)


async def run(world, place=None, interrupt=None, **options):
    place = place or machine()
    chosen = Options(**{"sigma": 0.1, "max_votes": 600, "good_enough": None} | options)
    return await certify(
        place, grey(), chosen, denoiser=Clip(), classifier=world, interrupt=interrupt
    )


async def test_the_clean_picture_is_asked_before_during_and_after():
    world = silent(0.1)
    document = await run(world)
    clean = grey().pixels.tobytes()
    assert document["proof"]["subject"]["provider"]["model_version"].startswith(canary.PREFIX)
    assert world.seen.count(clean) == 1 + 600 // canary.EVERY + 1
    assert world.seen[0] == clean == world.seen[-1]
    assert document["accounting"]["images"] == len(world.seen)


async def test_a_provider_with_versions_gets_no_canary():
    world = World(half_space(0.1))
    await run(world)
    assert world.seen.count(grey().pixels.tobytes()) == 1


@pytest.mark.parametrize("changes_at", [1, 100, 400, 600])
async def test_a_change_of_the_model_voids_the_run(changes_at):
    place = machine()
    with pytest.raises(ModelVersionChanged, match="its model has changed"):
        await run(silent(0.1, changes_at), place)
    after = silent(0.1, 0)
    document = await run(after, place)  # the new model, from its first vote on
    assert document["accounting"]["votes_reused"] == 0


async def test_a_spoilt_ledger_never_comes_back_even_if_the_model_does():
    place = machine()
    with pytest.raises(ModelVersionChanged):
        await run(silent(0.1, changes_at=300), place)
    (spoilt,) = place.ledgers._all.values()
    document = await run(silent(0.1), place)  # answers as at first
    assert document["accounting"]["votes_reused"] == 0
    version = document["proof"]["subject"]["provider"]["model_version"]
    assert version == f"{spoilt.header.clean.model_version} #1"


async def test_the_same_request_again_asks_nothing():
    place, world = machine(), silent(0.1)
    first = await run(world, place)
    asked = len(world.seen)
    assert (await run(world, place))["id"] == first["id"]
    assert len(world.seen) == asked


async def test_an_extended_run_asks_the_canary_before_the_first_new_vote():
    place, world = machine(), silent(0.1)
    await run(world, place, max_votes=100)
    asked = len(world.seen)
    await run(world, place, max_votes=200)
    assert world.seen[asked] == grey().pixels.tobytes()


async def test_a_cancelled_run_counts_only_votes_between_two_equal_answers():
    place, interrupt = machine(), Interrupt()
    world = silent(0.1)

    def watch(progress):
        if progress.n > canary.EVERY + 40:
            interrupt.cancel()

    chosen = Options(sigma=0.1, max_votes=600, good_enough=None)
    document = await certify(
        place,
        grey(),
        chosen,
        denoiser=Clip(),
        classifier=world,
        interrupt=interrupt,
        on_progress=watch,
    )
    (ledger,) = place.ledgers._all.values()
    counted = document["proof"]["votes"]["n"]
    assert counted == await ledger.vouched() < len(await ledger.read())
    assert document["proof"]["stop_reason"] == "cancelled"
    # The votes behind are kept, and count once the canary has answered again.
    assert (await run(world, place))["accounting"]["votes_reused"] >= len(await ledger.read()) - 600


async def test_votes_that_the_last_canary_could_not_vouch_for_are_not_why_the_run_ended():
    place, interrupt = machine(), Interrupt()
    world = silent(0.1)
    chosen = Options(sigma=0.1, max_votes=600, good_enough=None)

    def watch(progress):
        if progress.n == 600:
            interrupt.cancel()

    document = await certify(
        place,
        grey(),
        chosen,
        denoiser=Clip(),
        classifier=world,
        interrupt=interrupt,
        on_progress=watch,
    )
    assert document["proof"]["votes"]["n"] < 600
    assert document["proof"]["stop_reason"] == "cancelled"
    # The next run asks the canary once before it goes on, not twice.
    asked, clean = len(world.seen), grey().pixels.tobytes()
    await run(world, place, max_votes=700)
    assert world.seen[asked] == clean
    assert world.seen[asked + 1] != clean


async def test_a_version_called_canary_is_a_version():
    document = await run(World(lambda pixels: label("in", "canary 2")))
    assert document["proof"]["subject"]["provider"]["model_version"] == "canary 2"


async def test_the_last_canary_is_paid_for_within_the_cap():
    for cap in (0.02, 0.03, 0.10, 3.0):
        world = silent(0.1)
        world.traits = World(half_space(0.1), price=0.01).traits
        document = await run(world, max_cost=cap)
        assert len(world.seen) * 0.01 <= cap + 1e-9
        assert world.seen[-1] == grey().pixels.tobytes()
        assert document["proof"]["stop_reason"] == "max_cost"
        assert document["accounting"]["cost"] == pytest.approx(len(world.seen) * 0.01)


async def test_a_canary_that_names_a_version_at_last_is_a_change():
    calls = 0

    def reply(pixels):
        nonlocal calls
        calls += 1
        told = half_space(0.1)(pixels)
        return Answer(told.predictions, None if calls < 50 else "v2")

    with pytest.raises(ModelVersionChanged):
        await run(World(reply))
    await asyncio.sleep(0)


def moderated(changes_at: int | None = None):
    """A world that refuses the clean picture, which is lighter than its samples may be."""
    inner, asked = half_space(0.1, base=140.0), 0

    def reply(pixels):
        nonlocal asked
        asked += 1
        if pixels.min() == pixels.max() == 140:
            return Refusal("not today")
        (told,) = inner(pixels).predictions
        new = changes_at is not None and asked > changes_at
        return Answer((Prediction(told.name, told.score - 0.3 * new),), None)

    return World(reply)


async def certified(world, place):
    options = Options(sigma=0.1, max_votes=600, good_enough=None)
    light = grey(level=140)
    return await certify(place, light, options, denoiser=Clip(), classifier=world)


async def test_where_the_clean_picture_is_refused_a_grey_one_tells_models_apart():
    """Any model may refuse it: nothing would ever be seen to change."""
    world = moderated()
    document = await certified(world, machine())
    version = document["proof"]["subject"]["provider"]["model_version"]
    assert version.startswith('canary [["')
    assert version.endswith("] of grey")
    assert canary.is_canary(version)
    assert world.seen.count(grey(level=140).pixels.tobytes()) == 1
    assert world.seen.count(grey().pixels.tobytes()) == 1 + 600 // canary.EVERY + 1
    place = machine()
    with pytest.raises(ModelVersionChanged, match="about the same picture"):
        await certified(moderated(changes_at=400), place)
    again = await certified(moderated(), place)
    assert again["accounting"]["votes_reused"] == 0
    assert again["proof"]["subject"]["provider"]["model_version"] == f"{version} #1"
    asked = moderated()
    assert (await certified(asked, place))["id"] == again["id"]
    assert not asked.seen


@pytest.mark.parametrize("fault", [None, OSError("the store is away")])
async def test_a_ledger_of_two_models_is_given_up_before_anybody_else_may_use_it(fault):
    """Answered by the old model again, the next run would vouch for votes of both."""
    place, held = machine(), []
    hold, spoil = place.ledgers.hold, place.ledgers.spoil

    @contextlib.asynccontextmanager
    async def watched(draft, unless):
        async with hold(draft, unless):
            held.append(draft)
            try:
                yield
            finally:
                held.clear()

    async def spoilt(draft):
        assert held == [draft]
        if fault is not None:
            raise fault
        await spoil(draft)

    place.ledgers.hold, place.ledgers.spoil = watched, spoilt
    with pytest.raises(ModelVersionChanged if fault is None else OSError):
        await run(silent(0.1, changes_at=300), place)
    assert not held


@pytest.mark.parametrize("of_grey", [False, True])
@pytest.mark.parametrize("epoch", [0, 1, 12])
def test_a_version_tells_its_picture_and_how_many_were_before(epoch, of_grey):
    told, clean = answer({"cat #7": 0.9, "] of grey": 0.3}), grey(level=140).pixels
    version = canary.version_of(told, epoch, of_grey=of_grey)
    assert canary.epoch_of(version) == epoch
    assert canary.is_canary(version)
    assert canary.same_model(version, told)
    picture = canary.picture_of(version, clean)
    assert picture.min() == picture.max() == (128 if of_grey else 140)
    assert picture.shape == clean.shape
    assert canary.epoch_of(None) == canary.epoch_of("v1 #3x") == 0
