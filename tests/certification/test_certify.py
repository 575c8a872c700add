"""The engine end to end: one certificate whatever the way, nothing lost, nothing paid twice."""

import asyncio
import itertools
import json

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from certification import noise
from certification.certificate import certificate_id, votes_sha256
from certification.certify import certify
from certification.confidence import recheck
from certification.decision import AnyOf, LabelMap
from certification.errors import (
    ClaimLost,
    InvalidParameter,
    LedgerConflict,
    ModelVersionChanged,
    ProviderFailed,
    ProviderUnreliable,
    RunInterrupted,
    StopRun,
)
from certification.interrupt import Interrupt
from certification.ledger import MemoryLedger
from certification.options import Options
from certification.patience import Patience
from certification.protocols import Refusal, Retry, Traits
from tests.certification.worlds import Clip, World, grey, half_space, label, machine, refuse_above

QUICK = Patience(attempts=6, first_wait=0.0001, longest_wait=0.001)
STUBBORN = Patience(attempts=1000, first_wait=0.0001, longest_wait=0.001)


async def run(world, place=None, image=None, denoiser=None, patience=QUICK, **options):
    place = place or machine()
    place.patience = patience
    extra = {k: options.pop(k) for k in ("interrupt", "on_progress") if k in options}
    return await certify(
        place,
        image or grey(),
        Options(**{"sigma": 0.1, **options}),
        denoiser=denoiser or Clip(),
        classifier=world,
        **extra,
    )


async def test_a_certificate_can_be_checked_from_its_own_numbers():
    place = machine()
    world = World(half_space(0.15))
    document = await run(world, place, max_votes=600)
    proof = document["proof"]
    look, confidence = proof["confidence"]["look"], proof["confidence"]
    assert proof["label"] == confidence["named_label"] == "in"
    assert recheck(
        confidence["pointer"], look["n"], look["s"], 0.001, True, True, confidence["margin"], None
    )
    assert not recheck(
        confidence["pointer"] + 40, look["n"], look["s"], 0.001, True, True, 1e-11, None
    )
    assert proof["radius"] == pytest.approx(0.1 * confidence["pointer"] / 200)
    assert proof["radius"] <= 0.15
    (ledger,) = place.ledgers._current.values()
    votes = (await ledger.read())[: proof["votes"]["n"]]
    assert proof["votes"]["sha256"] == votes_sha256(votes)
    assert proof["votes"]["counts"]["in"] == votes.count("in")
    assert document["id"] == certificate_id(document)
    assert json.loads(rfc8785.dumps(document)) == document
    key = noise.derive_key(place.secret, rfc8785.dumps(proof["subject"]))
    assert noise.key_sha256(key) == proof["noise"]["key_sha256"] == ledger.header.key_sha256


async def test_every_vote_can_be_made_again_from_the_key():
    place, image = machine(), grey()
    world = World(half_space(0.1))
    await run(world, place, image, max_votes=200, good_enough=None)
    (ledger,) = place.ledgers._current.values()
    key = noise.derive_key(place.secret, rfc8785.dumps(dict(ledger.header.subject)))
    votes = await ledger.read()
    for index, vote in enumerate(votes):
        noisy = noise.draw(key, index, image.pixels.shape, 0.1) + image.pixels
        answer = half_space(0.1)(noisy.clip(0, 255))
        assert answer.predictions[0].name == vote


ways = itertools.product([1, 3, 32, 64], [1, 5, 16], [1, 4])


@pytest.mark.parametrize(("chunk", "batch", "concurrency"), list(ways))
async def test_one_certificate_for_any_chunking_concurrency_and_order(chunk, batch, concurrency):
    world = World(half_space(0.12), max_batch=batch, concurrency=concurrency, delay=0.002)
    document = await run(world, denoiser=Clip(chunk), target_radius=0.06)
    plain = await run(World(half_space(0.12)), target_radius=0.06)
    assert document["proof"] == plain["proof"]
    assert document["id"] == plain["id"]
    assert document["proof"]["stop_reason"] == "target_reached"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), every=st.integers(2, 7), delay=st.sampled_from([0.0, 0.001]))
def test_faults_change_cost_and_never_the_certificate(seed, every, delay):
    def fail(call):
        return Retry("503") if (call * 7919 + seed) % every == 0 else None

    async def go():
        shaky = World(half_space(0.12), max_batch=4, delay=delay, seed=seed, fail=fail, price=0.1)
        document = await run(shaky, patience=STUBBORN, target_radius=0.05)
        plain = await run(World(half_space(0.12), price=0.1), target_radius=0.05)
        assert document["proof"] == plain["proof"]
        cost = document["accounting"]
        assert cost["images"] == shaky.images
        assert cost["retries"] == cost["images"] - round(cost["cost"] / 0.1)

    asyncio.run(go())


async def test_another_key_gives_other_noise_and_another_certificate():
    one = await run(World(half_space(0.1)), machine(bytes(32)), max_votes=300)
    two = await run(World(half_space(0.1)), machine(b"\1" * 32), max_votes=300)
    assert one["proof"]["votes"]["sha256"] != two["proof"]["votes"]["sha256"]


async def test_an_easy_picture_costs_what_the_mathematics_asks_for():
    world = World(lambda _: label("in"), max_batch=1, concurrency=8)
    document = await run(world, target_radius=0.05)
    assert document["proof"]["votes"]["n"] == 28
    assert world.images == 29  # and the clean picture
    assert document["accounting"]["calls"] == 29


@pytest.mark.parametrize(
    ("sigmas", "mean_votes"),
    [(1.2816, 67), (3.0, 28.5)],  # vote rates 0.9 and 0.999; what mathematics alone asks for
)
async def test_calls_stay_near_the_votes_that_the_mathematics_asks_for(sigmas, mean_votes):
    asked, runs = 0, 60
    for key in range(runs):
        world = World(half_space(sigmas * 0.1), max_batch=4, concurrency=8, delay=0.0001)
        document = await run(world, machine(key.to_bytes(32, "big")), target_radius=0.05)
        assert document["proof"]["stop_reason"] == "target_reached"
        asked += world.images
    assert asked / runs <= 1.5 * mean_votes


async def test_the_same_request_again_costs_nothing_and_gives_the_same_certificate():
    place, world = machine(), World(half_space(0.1))
    first = await run(world, place, max_votes=100)
    asked = world.images
    again = await run(world, place, max_votes=100)
    assert again["proof"] == first["proof"]
    assert world.images == asked
    assert again["accounting"]["calls"] == 0
    assert again["accounting"]["votes_reused"] == again["proof"]["votes"]["n"]


async def test_more_votes_and_other_alphas_pay_only_for_new_votes():
    place, world = machine(), World(half_space(0.1), price=0.01)
    await run(world, place, max_votes=100, good_enough=None)
    asked = world.images
    more = await run(world, place, max_votes=300, good_enough=None)
    assert world.images == asked + 200
    assert more["accounting"]["cost"] == pytest.approx(2.0)
    radii = {}
    for alpha in (0.0001, 0.001, 0.01):
        document = await run(world, place, max_votes=300, good_enough=None, alpha=alpha)
        radii[alpha] = document["proof"]["radius"]
    assert world.images == asked + 200
    assert radii[0.0001] < radii[0.001] < radii[0.01]  # nested


async def test_concurrent_requests_for_one_subject_share_one_run():
    place, world = machine(), World(half_space(0.1), delay=0.002)
    documents = await asyncio.gather(*(run(world, place, max_votes=120) for _ in range(5)))
    assert len({d["id"] for d in documents}) == 1
    assert world.images <= 121


async def test_a_hopeless_target_is_given_up_early():
    world = World(half_space(0.01))
    document = await run(world, target_radius=0.1, max_votes=10_000)
    assert document["proof"]["stop_reason"] == "hopeless"
    assert document["proof"]["votes"]["n"] < 200


async def test_abstentions_count_in_n_and_for_no_label():
    world = World(refuse_above(0.1))
    proof = (await run(world, max_votes=400, good_enough=None))["proof"]
    assert proof["label"] == "calm"
    votes = proof["votes"]
    assert votes["abstentions"] > 20
    assert votes["counts"] == {"calm": votes["n"] - votes["abstentions"]}
    assert proof["radius"] <= 0.1


async def test_a_clean_answer_that_abstains_names_no_label():
    # Refuses the clean picture and about half of the noisy ones; answers about plain grey.
    world = World(refuse_above(-0.001, base=136))
    document = await run(world, image=grey(level=136), max_votes=300)
    assert document["proof"]["subject"]["provider"]["model_version"] == "v1"
    confidence = document["proof"]["confidence"]
    assert confidence["named_label"] is None
    assert confidence["levels"] == {"named": None, "other": 0.0005}
    assert document["proof"]["abstained"]
    assert document["proof"]["radius"] is None


async def test_the_cap_on_money_is_never_passed():
    for batch, cap in [(1, 0.5), (16, 0.5), (7, 0.123), (16, 0.01)]:
        world = World(half_space(0.1), max_batch=batch, price=0.01, delay=0.001)
        document = await run(world, max_cost=cap, good_enough=None)
        assert world.images * 0.01 <= cap + 1e-9
        assert document["proof"]["stop_reason"] == "max_cost"
        assert document["proof"]["votes"]["n"] == world.images - 1
        assert document["accounting"]["cost"] == pytest.approx(world.images * 0.01)
    per_call = World(half_space(0.1), max_batch=16, price=1.0, unit="request")
    document = await run(per_call, max_cost=5, good_enough=None)
    assert len(per_call.calls) == 5
    assert document["proof"]["votes"]["n"] == 64


async def test_a_cap_below_the_first_call_is_refused_before_it():
    world = World(half_space(0.1), price=0.01)
    with pytest.raises(InvalidParameter, match="first call"):
        await run(world, max_cost=0.001)
    assert world.images == 0


async def test_cancelling_returns_the_certificate_valid_at_that_moment():
    place, world = machine(), World(half_space(0.15), max_batch=1, delay=0.004)
    stop = Interrupt()
    calls_at_cancel = 0

    def watch(progress):
        nonlocal calls_at_cancel
        if progress.n >= 60 and not calls_at_cancel:
            calls_at_cancel = len(world.calls)
            stop.cancel()

    document = await run(world, place, interrupt=stop, on_progress=watch, max_votes=5000)
    proof = document["proof"]
    assert proof["stop_reason"] == "cancelled"
    assert proof["label"] == "in"
    assert 60 <= proof["votes"]["n"] <= calls_at_cancel
    assert len(world.calls) == calls_at_cancel  # no call was started after the cancel
    (ledger,) = place.ledgers._current.values()
    assert proof["votes"]["sha256"] == votes_sha256(await ledger.read())


async def test_the_deadline_ends_a_run():
    await run(World(half_space(0.15)), max_votes=5)  # the tables of its noise are made by now
    world = World(half_space(0.15), max_batch=1, delay=0.02)
    document = await run(world, max_seconds=2, max_votes=100_000, good_enough=None)
    assert document["proof"]["stop_reason"] == "deadline"
    assert document["proof"]["votes"]["n"] > 0


async def test_interrupted_before_the_first_answer():
    stop = Interrupt()
    stop.cancel()
    with pytest.raises(RunInterrupted, match="cancelled"):
        await run(World(half_space(0.1), delay=0.1), interrupt=stop)
    with pytest.raises(RunInterrupted, match="deadline"):
        await run(World(half_space(0.1), delay=5.0), max_seconds=0.01)


async def test_a_waiting_request_can_be_cancelled_on_its_own():
    place, world = machine(), World(half_space(0.1), max_batch=1, concurrency=1, delay=0.01)
    first = asyncio.create_task(run(world, place, max_votes=40))
    await asyncio.sleep(0.02)
    # Others have begun its ledger, so it ends with the votes that are there.
    waited = await run(world, place, max_votes=40, max_seconds=0.03)
    assert waited["proof"]["stop_reason"] == "deadline"
    assert waited["accounting"]["calls"] == 0
    assert (await first)["proof"]["votes"]["n"] <= 40


async def test_a_failing_provider_ends_the_run_and_the_votes_are_kept():
    place = machine()
    dies = World(
        half_space(0.1), max_batch=4, fail=lambda call: Retry("down") if call > 20 else None
    )
    with pytest.raises(ProviderUnreliable, match="6 times"):
        await run(dies, place, max_votes=300)
    (ledger,) = place.ledgers._current.values()
    kept = len(await ledger.read())
    assert kept >= 40
    alive = World(half_space(0.1))
    document = await run(alive, place, max_votes=300, good_enough=None)
    plain = await run(World(half_space(0.1)), max_votes=300, good_enough=None)
    assert document["proof"] == plain["proof"]
    assert alive.images == 300 - kept


class Revoked(StopRun):
    """Raised on purpose."""


async def test_a_stop_error_comes_out_as_it_is_and_the_votes_are_kept():
    place = machine()
    world = World(
        half_space(0.1),
        max_batch=1,
        fail=lambda call: Revoked("key revoked") if call == 30 else None,
    )
    with pytest.raises(Revoked, match="revoked"):
        await run(world, place, max_votes=300)
    (ledger,) = place.ledgers._current.values()
    assert len(await ledger.read()) == 29


async def test_cancelling_the_task_keeps_the_votes_and_leaves_nothing_running():
    place, world = machine(), World(half_space(0.1), max_batch=1, delay=0.002)
    before = asyncio.all_tasks()
    task = asyncio.create_task(run(world, place, max_votes=5000))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (ledger,) = place.ledgers._current.values()
    assert len(await ledger.read()) >= 10
    assert asyncio.all_tasks() == before
    assert not place.ledgers._locks


async def test_a_new_model_version_voids_the_run_and_the_next_begins_a_new_subject():
    place = machine()
    plane = half_space(0.1)

    def changing(switch):
        answers = itertools.count()

        def answer(pixels):
            name = plane(pixels).predictions[0].name
            return label(name, "v1" if next(answers) < switch else "v2")

        return answer

    world = World(changing(40), max_batch=1, concurrency=1)
    with pytest.raises(ModelVersionChanged, match="'v2' after 'v1'"):
        await run(world, place, max_votes=200)
    (old,) = place.ledgers._all.values()
    assert len(await old.read()) == 39
    document = await run(world, place, max_votes=200)
    assert document["proof"]["subject"]["provider"]["model_version"] == "v2"
    assert document["accounting"]["votes_reused"] == 0
    assert document["proof"]["noise"]["key_sha256"] != old.header.key_sha256


async def test_a_milestone_cannot_be_chosen_afterwards():
    place = machine()
    await run(World(half_space(0.1)), place, milestone=100, max_votes=200)
    with pytest.raises(LedgerConflict, match="milestone 100"):
        await run(World(half_space(0.1)), place, milestone=50, max_votes=200)
    unsaid = await run(World(half_space(0.1)), place, max_votes=200)
    assert unsaid["proof"]["confidence"]["milestone"] == 100


async def test_the_milestone_helps_at_its_n():
    plain = await run(World(lambda _: label("in")), max_votes=100, good_enough=None)
    with_look = await run(
        World(lambda _: label("in")), milestone=100, max_votes=100, good_enough=None
    )
    assert plain["proof"]["confidence"]["pointer"] == 271
    assert with_look["proof"]["confidence"]["pointer"] == 289
    assert with_look["proof"]["confidence"]["look"]["by"] == "milestone"


async def test_the_truth_is_compared_and_never_given_a_level():
    place = machine()
    right = await run(World(half_space(0.1)), place, truth=" IN ", max_votes=200)
    wrong = await run(World(half_space(0.1)), place, truth="out", max_votes=200)
    assert right["proof"] == wrong["proof"]
    assert right["truth"] == {"label": " IN ", "correct": True}
    assert wrong["truth"]["correct"] is False


async def test_a_yes_no_rule_and_a_label_map():
    rule = AnyOf(("danger",), 0.5)
    labels = LabelMap.of({"in": "danger"})
    proof = (await run(World(half_space(0.1)), rule=rule, labels=labels, max_votes=200))["proof"]
    assert proof["label"] == "yes"
    assert proof["subject"]["rule"]["labels"] == ["danger"]
    assert proof["subject"]["label_map"] == {"in": "danger"}


async def test_progress_says_all_it_should():
    events = []
    world = World(half_space(0.12), price=0.01)
    document = await run(world, on_progress=events.append, target_radius=0.06)
    assert [e.n for e in events] == sorted(e.n for e in events)
    assert events[0].expected_remaining > 0
    last = events[-1].describe()
    assert last["n"] == document["proof"]["votes"]["n"]
    assert last["counts"] == document["proof"]["votes"]["counts"]
    assert last["radius"] == document["proof"]["radius"]
    assert last["label"] == "in"
    assert last["expected_remaining"] == 0
    assert last["votes_per_second"] > 0
    assert last["cost"] > 0


async def test_samples_are_enlarged_for_a_provider_that_needs_it():
    world = World(half_space(0.1, dimension=80 * 80 * 3), min_side=80)
    proof = (await run(world, max_votes=20))["proof"]
    assert proof["subject"]["postprocess"]["resize"] == {
        "height": 80,
        "width": 80,
        "filter": "bilinear",
    }
    assert len(world.seen[0]) == 80 * 80 * 3


async def test_too_large_for_the_provider_is_refused_before_any_call():
    world = World(half_space(0.1), max_side=3)
    with pytest.raises(InvalidParameter, match="smaller size"):
        await run(world)
    assert world.images == 0


class FlakyLedgers:
    """Real ledgers whose n-th append is lost on the way."""

    def __init__(self, place, lost):
        self._inner, self._lost, self._appends = place.ledgers, lost, 0

    def __getattr__(self, name):
        return getattr(self._inner, name)

    async def open(self, draft, header, names=None):
        ledger = await self._inner.open(draft, header, names)
        plain = ledger.append

        async def append(start, votes, names=None):
            self._appends += 1
            if self._appends == self._lost:
                raise ConnectionError("the store went away")
            await plain(start, votes, names)

        ledger.append = append
        return ledger


@pytest.mark.parametrize("lost", [1, 2, 5])
async def test_a_store_that_fails_for_a_moment_shifts_no_vote(lost):
    place = machine()
    inner = place.ledgers
    place.ledgers = FlakyLedgers(place, lost)
    with pytest.raises(ConnectionError):
        await run(World(half_space(0.1), max_batch=4), place, max_votes=200, good_enough=None)
    (ledger,) = inner._current.values()
    kept = await ledger.read()
    plain = machine()
    await run(World(half_space(0.1)), plain, max_votes=200, good_enough=None)
    (undisturbed,) = plain.ledgers._current.values()
    assert kept == (await undisturbed.read())[: len(kept)]


async def test_a_stuck_sample_does_not_eat_the_budget():
    place, image = machine(), grey()
    subject = (await run(World(half_space(0.1)), max_votes=1))["proof"]["subject"]
    key = noise.derive_key(place.secret, rfc8785.dumps(subject))
    stuck = noise.draw(key, 5, image.pixels.shape, 0.1) + image.pixels
    plane = half_space(0.1)

    def answer(pixels):
        return Retry("down") if (pixels == stuck).all() else plane(pixels)

    world = World(answer, max_batch=1, concurrency=4)
    with pytest.raises(ProviderUnreliable):
        await run(world, place, max_votes=1000, good_enough=None)
    assert world.images <= 1 + 5 + 2 * 4 + QUICK.attempts
    (ledger,) = place.ledgers._current.values()
    assert len(await ledger.read()) == 5


async def test_money_for_asking_again_is_kept_back():
    answers = itertools.count()

    def fail(call):
        return Retry("busy") if next(answers) % 3 == 2 else None

    world = World(half_space(0.1), max_batch=1, concurrency=8, delay=0.001, price=0.01, fail=fail)
    document = await run(world, max_cost=0.6, good_enough=None, patience=STUBBORN)
    assert document["proof"]["stop_reason"] == "max_cost"
    assert document["proof"]["votes"]["n"] == 59  # and the clean picture


async def test_a_model_version_that_comes_back_finds_its_old_ledger():
    place, versions = machine(), ["v1"]
    plane = half_space(0.1)

    def answer(pixels):
        return label(plane(pixels).predictions[0].name, versions[-1])

    await run(World(answer), place, max_votes=100, good_enough=None)
    versions.append("v2")
    with pytest.raises(ModelVersionChanged):
        await run(World(answer), place, max_votes=200, good_enough=None)
    versions.append("v1")
    with pytest.raises(LedgerConflict, match="milestone None"):
        await run(World(answer), place, max_votes=100, milestone=100)
    again = await run(World(answer), place, max_votes=100, good_enough=None)
    assert again["accounting"]["votes_reused"] == 100


async def test_votes_under_another_secret_are_not_gone_on_with():
    place = machine()
    await run(World(half_space(0.1)), place, max_votes=50)
    place.secret = b"another secret of thirty-two byte"
    world = World(half_space(0.1))
    with pytest.raises(LedgerConflict, match="secret"):
        await run(world, place, max_votes=100, good_enough=None)
    assert world.images == 0


async def test_a_provider_that_refuses_everything_is_told_at_once():
    world = World(lambda _: Refusal("closed"))
    with pytest.raises(ProviderFailed, match="refuses this picture \\(closed\\) and a plain grey"):
        await run(world)
    assert world.images == 2
    tells = World(lambda _: Refusal("closed", "v7"))
    proof = (await run(tells, max_votes=40))["proof"]
    assert proof["subject"]["provider"]["model_version"] == "v7"
    assert proof["votes"]["abstentions"] == proof["votes"]["n"]


async def test_an_interrupt_while_the_last_calls_end_is_heard():
    stop = Interrupt()

    class Sleepy(World):
        async def classify(self, images):
            if len(self.calls) >= 20:
                asyncio.get_running_loop().call_later(0.3, stop.cancel)
                await asyncio.sleep(60)
            return await super().classify(images)

    world = Sleepy(half_space(0.15), max_batch=1, concurrency=4)
    began = asyncio.get_running_loop().time()
    document = await run(world, interrupt=stop, max_votes=1000)
    assert document["proof"]["stop_reason"] == "cancelled"
    assert document["proof"]["votes"]["n"] == 19
    assert asyncio.get_running_loop().time() - began < 10


async def test_a_deadline_counts_with_an_interrupt_of_ones_own():
    world = World(half_space(0.15), max_batch=1, delay=0.02)
    document = await run(
        world, interrupt=Interrupt(), max_seconds=0.2, max_votes=100_000, good_enough=None
    )
    assert document["proof"]["stop_reason"] == "deadline"


async def test_a_ledger_is_free_again_however_the_wait_for_it_is_cancelled():
    for turns in range(8):
        place = machine()
        entered = asyncio.Event()

        async def user(place=place, entered=entered, hold=0.0):
            async with place.ledgers.hold("draft", Interrupt().unless):
                entered.set()
                await asyncio.sleep(hold)

        first = asyncio.create_task(user(hold=0.01))
        await entered.wait()
        second = asyncio.create_task(user())
        await first
        for _ in range(turns):
            await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        await asyncio.wait_for(user(), 1.0)
        assert not place.ledgers._locks


async def test_a_mapped_label_is_called_by_what_it_is_mapped_to():
    plane = half_space(0.0)
    labels = LabelMap.of({"in": "danger", "out": "danger"})
    document = await run(World(plane), labels=labels, max_votes=60)
    assert "answers 'danger'" in document["statement"]
    assert document["label_names"] == {"danger": "danger"}


async def test_the_spelling_is_the_first_in_index_order():
    seen = itertools.count()

    def answer(_):
        return label("Cat" if next(seen) == 0 else "cAT ")

    documents = [
        await run(World(answer, max_batch=1, concurrency=6, delay=0.001, seed=seed), max_votes=40)
        for seed in range(3)
    ]
    assert documents[0]["label_names"] == {"cat": "Cat"}


async def test_labels_that_no_json_can_hold():
    document = await run(World(lambda _: label("c\ud800t")), max_votes=40)
    assert document["proof"]["label"] == "c?t"
    rfc8785.dumps(document)


async def test_the_id_names_what_the_document_says():
    world = World(half_space(0.1))
    place = machine()
    one = await run(world, place, max_votes=100)
    again = await run(world, place, max_votes=100)
    assert one["id"] == again["id"]
    assert one["accounting"] != again["accounting"]
    other = await run(world, place, max_votes=100, truth="in")
    assert other["proof"] == one["proof"]
    assert other["id"] != one["id"]


async def test_large_pictures_take_small_batches(monkeypatch):
    monkeypatch.setattr("certification.sampling.MEMORY", 3 * 48)
    world = World(half_space(0.1), max_batch=16, concurrency=4)
    document = await run(world, max_votes=50, good_enough=None)
    assert max(world.calls) == world.most_in_flight == 3  # one call fills what it may take
    plain = await run(World(half_space(0.1)), max_votes=50, good_enough=None)
    assert document["proof"] == plain["proof"]


async def test_samples_that_could_be_too_many_bytes_are_refused_before_any_call():
    world = World(half_space(0.1))
    world.traits = Traits(payload="png", max_bytes=300)
    with pytest.raises(InvalidParameter, match="308 bytes, more than the 300"):
        await run(world)
    assert world.images == 0


async def test_votes_before_a_stuck_sample_of_the_same_batch_are_kept():
    place, image = machine(), grey()
    subject = (await run(World(half_space(0.1)), max_votes=1))["proof"]["subject"]
    key = noise.derive_key(place.secret, rfc8785.dumps(subject))
    stuck = noise.draw(key, 15, image.pixels.shape, 0.1) + image.pixels
    plane = half_space(0.1)

    class Batched(World):
        async def classify(self, images):
            await super().classify(images)
            return [Retry("busy", after=60) if (i == stuck).all() else plane(i) for i in images]

    world = Batched(plane, max_batch=16, price=0.01)
    document = await run(world, place, max_seconds=0.3, max_votes=500, good_enough=None)
    assert document["proof"]["stop_reason"] == "deadline"
    assert document["proof"]["votes"]["n"] == 15
    (ledger,) = place.ledgers._current.values()
    assert len(await ledger.read()) == 15


async def test_nothing_is_asked_after_a_cancel_that_came_first():
    for turns in range(12):
        place, world, stop = machine(), World(half_space(0.1), delay=0.05), Interrupt()
        task = asyncio.create_task(run(world, place, interrupt=stop, max_votes=50))
        for _ in range(turns):
            await asyncio.sleep(0)
        asked = len(world.calls)
        stop.cancel()
        with pytest.raises(RunInterrupted):
            await task
        assert len(world.calls) == asked
        assert not place.ledgers._current


async def test_a_cap_holds_on_when_the_claim_is_lost_in_the_middle(monkeypatch):
    append, lost = MemoryLedger.append, []
    world = World(half_space(0.1), max_batch=1, price=0.01)

    async def losing(self, start, votes, names=None):
        if start >= 10 and votes and not lost:
            lost.append(start)
            raise ClaimLost("taken over")
        await append(self, start, votes, names)

    monkeypatch.setattr(MemoryLedger, "append", losing)
    document = await run(world, max_votes=5000, good_enough=None, max_cost=0.5)
    assert lost
    assert world.images <= 50
    assert document["accounting"]["images"] == world.images
    assert document["proof"]["votes"]["n"] > 40
