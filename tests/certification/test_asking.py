"""Asking: the same bytes again, only the failed ones, never past the cap."""

import asyncio
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certification.asking import Asker, AskingEndedError
from certification.bill import Allowance
from certification.errors import ProviderFailed, ProviderUnreliable, StopRun
from certification.patience import Patience
from certification.protocols import Answer, Refusal, Retry, Traits
from tests.adapters.policy import clock
from tests.certification.worlds import World, label

QUICK = Patience(attempts=4, first_wait=0.0001, longest_wait=0.001)


class Scripted:
    """Fails the n-th picture of its script as often as the script says."""

    name = "scripted"
    options: dict = {}

    def __init__(self, failures: list[int], billed: bool = False, **traits):
        self.left, self.billed = dict(enumerate(failures)), billed
        self.traits = Traits(payload="png", max_batch=16, **traits)
        self.batches: list[list[bytes]] = []

    async def classify(self, images):
        self.batches.append(list(images))
        out = []
        for image in images:
            which = int(image)
            if self.left[which] > 0:
                self.left[which] -= 1
                out.append(Retry("throttled", billed=self.billed))
            else:
                out.append(label(str(which)))
        return out


def payloads(count: int) -> list[bytes]:
    return [str(i).encode() for i in range(count)]


async def test_only_the_failed_ones_are_asked_again_with_the_same_bytes():
    provider = Scripted([0, 2, 0, 1])
    asker = Asker(provider, patience=QUICK)
    answers = await asker.ask(payloads(4))
    assert [a.predictions[0].name for a in answers] == ["0", "1", "2", "3"]
    assert provider.batches == [[b"0", b"1", b"2", b"3"], [b"1", b"3"], [b"1"]]
    assert (asker.bill.calls, asker.bill.images, asker.bill.retries) == (3, 7, 3)


async def test_a_refusal_is_an_answer_and_not_asked_again():
    provider = World(lambda _: Refusal("no"))
    asker = Asker(provider, patience=QUICK)
    assert await asker.ask([np.zeros((1, 1, 3), np.uint8)]) == [Refusal("no")]
    assert provider.calls == [1]


async def test_a_sample_that_keeps_failing_ends_the_run():
    asker = Asker(Scripted([99]), patience=QUICK)
    with pytest.raises(ProviderUnreliable, match=r"4 times.*throttled"):
        await asker.ask(payloads(1))


async def test_an_adapter_that_loses_pictures_is_found_out():
    class Lossy(Scripted):
        async def classify(self, images):
            return (await super().classify(images))[:-1]

    with pytest.raises(ProviderFailed, match="2 outcomes for 3"):
        await Asker(Lossy([0, 0, 0]), patience=QUICK).ask(payloads(3))


async def test_an_adapter_that_gives_no_list_is_found_out():
    class Lazy(Scripted):
        async def classify(self, images):
            return (outcome for outcome in await super().classify(images))

    with pytest.raises(ProviderFailed, match=r"the adapter of .* is broken"):
        await Asker(Lazy([0]), patience=QUICK).ask(payloads(1))


async def test_a_fault_of_the_adapter_is_told_as_one_and_counts_as_billed():
    provider = World(lambda _: label("a"), fail=lambda _: RuntimeError("stop"), price=1.0)
    asker = Asker(provider, max_cost=5, patience=QUICK)
    with pytest.raises(ProviderFailed, match=r"the adapter of world is broken.*RuntimeError$"):
        await asker.ask([np.zeros((1, 1, 3), np.uint8)] * 2)
    assert asker.bill.cost == 2
    assert asker.bill.reserved == 0


async def test_close_stops_the_wait_for_another_attempt():
    asker = Asker(Scripted([9]), patience=Patience(first_wait=60.0, longest_wait=60.0))
    task = asyncio.create_task(asker.ask(payloads(1)))
    await asyncio.sleep(0.01)
    asker.close()
    with pytest.raises(AskingEndedError):
        await asyncio.wait_for(task, 1.0)
    assert asker.bill.calls == 1


def test_retry_after_is_honoured_and_backoff_grows_with_jitter():
    patience = Patience(first_wait=1.0, longest_wait=4.0)
    assert patience.wait(1, after=30.0) == 30.0
    for attempt, top in [(1, 1.0), (2, 2.0), (3, 4.0), (9, 4.0)]:
        waits = [patience.wait(attempt, None) for _ in range(50)]
        assert all(top / 2 <= w <= top for w in waits)
        assert len(set(waits)) > 10


@settings(max_examples=60, deadline=None)
@given(
    failures=st.lists(st.integers(0, 2), min_size=1, max_size=12),
    price=st.sampled_from([0.001, 0.0015, 1.0, 1 / 3]),
    budget=st.integers(0, 40),
    unit=st.sampled_from(["image", "request"]),
    billed=st.booleans(),
    width=st.integers(1, 4),
)
def test_the_cap_is_never_passed_with_calls_in_flight(failures, price, budget, unit, billed, width):
    provider = Scripted(failures, billed, unit=unit, price=price)
    cap = budget * price
    most = 0.0

    async def go():
        nonlocal most
        asker = Asker(provider, max_cost=cap, patience=QUICK)
        groups = [payloads(len(failures))[i : i + width] for i in range(0, len(failures), width)]
        results = await asyncio.gather(*(asker.ask(g) for g in groups), return_exceptions=True)
        most = float(asker.bill.cost)
        assert asker.bill.reserved == 0
        assert asker.affordable >= 0
        for group, result in zip(groups, results, strict=True):
            if isinstance(result, AskingEndedError):
                continue
            assert all(isinstance(a, Answer) for a in result)
            assert len(result) == len(group)

    asyncio.run(go())
    assert most <= cap or math.isclose(most, cap)


async def test_what_was_answered_is_kept_where_the_rest_comes_to_nothing():
    asker = Asker(Scripted([0, 0, 99, 0]), patience=QUICK)
    found = await asker.ask_each(payloads(4))
    assert [isinstance(f, Answer) for f in found] == [True, True, False, True]
    assert isinstance(found[2].error, ProviderUnreliable)
    capped = Asker(Scripted([0, 1], billed=True, price=1.0), max_cost=2, patience=QUICK)
    found = await capped.ask_each(payloads(2))
    assert isinstance(found[0], Answer)
    assert isinstance(found[1].error, AskingEndedError)


async def test_an_sdk_that_cancels_its_own_call_cancels_nobody_else():
    class Leaky(Scripted):
        async def classify(self, images):
            raise asyncio.CancelledError

    with pytest.raises(ProviderFailed, match="cancelled its own call"):
        await Asker(Leaky([0]), patience=QUICK).ask(payloads(1))
    hanging = World(lambda _: label("a"), delay=100.0)
    task = asyncio.create_task(Asker(hanging).ask([np.zeros((1, 1, 3), np.uint8)]))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Turnstile:
    """A gate that counts what is out; opens when told."""

    def __init__(self, open_at_once: bool = True):
        self.out = self.entered = self.unused_ones = 0
        self.told: list = []
        self.opened = asyncio.Event()
        if open_at_once:
            self.opened.set()

    async def enter(self, images):
        await self.opened.wait()
        self.out += 1
        self.entered += 1
        return self

    def done(self, outcomes):
        self.out -= 1
        self.told.append(outcomes)

    def unused(self):
        self.out -= 1
        self.unused_ones += 1


async def test_the_gate_is_told_what_came_of_each_call():
    gate = Turnstile()
    await Asker(Scripted([1]), patience=QUICK, gate=gate).ask(payloads(1))
    assert [type(told[0]) for told in gate.told] == [Retry, Answer]
    crashing = World(lambda _: label("a"), fail=lambda _: RuntimeError("no"))
    with pytest.raises(ProviderFailed):
        await Asker(crashing, gate=gate).ask([np.zeros((1, 1, 3), np.uint8)])
    hanging = Asker(World(lambda _: label("a"), delay=100.0, price=1.0), gate=gate)
    task = asyncio.create_task(hanging.ask([np.zeros((1, 1, 3), np.uint8)]))
    await asyncio.sleep(0.01)
    assert gate.out == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert hanging.bill.units == 1  # it was sent, so it may have been billed
    assert gate.told[2:] == [None, None]
    assert gate.out == 0


@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_no_call_starts_or_is_billed_once_it_has_ended_at_the_gate(how):
    provider, gate = Scripted([0], price=1.0), Turnstile(open_at_once=False)
    asker = Asker(provider, max_cost=5, gate=gate)
    task = asyncio.create_task(asker.ask(payloads(1)))
    await asyncio.sleep(0.01)
    assert asker.bill.reserved == 0  # money is kept for calls that are made
    assert asker.affordable == 4
    # In the moment that the gate opens.
    gate.opened.set()
    if how == "close":
        asker.close()
    else:
        task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(result, AskingEndedError if how == "close" else asyncio.CancelledError)
    await asyncio.sleep(0)
    assert provider.batches == []
    assert (asker.bill.calls, asker.bill.units, asker.bill.reserved) == (0, 0, 0)
    assert gate.out == 0


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("second", [0, 1, 2, 3])
@pytest.mark.parametrize("first", [0, 1, 2, 3, 4, 5])
async def test_a_permit_is_returned_at_whatever_moments_the_run_is_cancelled(first, second, close):
    gate = Turnstile(open_at_once=False)
    asker = Asker(Scripted([0]), gate=gate)
    task = asyncio.create_task(asker.ask(payloads(1)))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(gate.opened.set)
    for steps in (first, second):
        for _ in range(steps):
            await asyncio.sleep(0)
        if close and steps == first:
            asker.close()
        else:
            task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for _ in range(5):
        await asyncio.sleep(0)
    assert gate.out == 0
    assert gate.entered == gate.unused_ones + len(gate.told)
    assert asker.bill.reserved == 0
    assert len(asyncio.all_tasks()) == 1


async def test_what_a_gate_raises_ends_the_run():
    class Down(Turnstile):
        async def enter(self, images):
            raise StopRun("down")

    asker = Asker(Scripted([0], price=1.0), gate=Down())
    with pytest.raises(StopRun, match="down"):
        await asker.ask(payloads(1))
    assert asker.bill.cost == asker.bill.calls == 0


class Throttling(Scripted):
    """Fails as its script says, but asks for fewer calls in between."""

    def __init__(self, outcomes, **traits):
        super().__init__([0], **traits)
        self.outcomes = list(outcomes)

    async def classify(self, images):
        self.batches.append(list(images))
        return [self.outcomes.pop(0) if self.outcomes else label("a") for _ in images]


SLOWER, BROKEN = Retry("slow down", throttled=True), Retry("broken")


async def test_throttles_use_up_no_attempts():
    provider = Throttling([SLOWER] * 30 + [BROKEN] * 3 + [SLOWER] * 5)
    await Asker(provider, patience=QUICK).ask(payloads(1))
    assert len(provider.batches) == 39
    with pytest.raises(ProviderUnreliable, match=r"failed 4 times on one sample \(broken\)"):
        await Asker(Throttling([BROKEN, SLOWER] * 8), patience=QUICK).ask(payloads(1))


async def test_each_picture_of_a_batch_has_attempts_of_its_own():
    """One that is only throttled does not pay for its neighbours' failures."""
    provider = Throttling([SLOWER, BROKEN, SLOWER, BROKEN, SLOWER, BROKEN, SLOWER, label("b")])
    provider.outcomes += [BROKEN] * 3
    await Asker(provider, patience=QUICK).ask(payloads(2))
    assert len(provider.batches) == 8


def test_a_provider_that_throttles_for_too_long_is_given_up():
    async def main():
        started = clock.now()
        asker = Asker(Throttling([SLOWER] * 10**4), patience=Patience(throttled=600.0))
        with pytest.raises(ProviderUnreliable, match=r"throttled one sample.*at a lower rate"):
            await asker.ask(payloads(1))
        assert 600 < clock.now() - started < 630

    clock.run(main)


@pytest.mark.parametrize("throttled", [True, False])
def test_the_time_that_a_provider_names_is_waited_for_but_not_any_time(throttled):
    async def main():
        started = clock.now()
        asker = Asker(Throttling([Retry("later", after=250.0, throttled=throttled)]))
        await asker.ask(payloads(1))
        assert clock.now() - started == pytest.approx(250.0)
        asker = Asker(Throttling([Retry("later", after=301.0, throttled=throttled)]))
        with pytest.raises(ProviderUnreliable, match="left alone for 301 s"):
            await asker.ask(payloads(1))
        assert clock.now() - started == pytest.approx(250.0)

    clock.run(main)


def test_a_call_that_hangs_becomes_a_billed_retry():
    class Hanging(Scripted):
        async def classify(self, images):
            self.batches.append(list(images))
            await asyncio.sleep(1e6 if len(self.batches) == 1 else 0.0)
            return [label("a")]

    async def main():
        provider, gate = Hanging([0], timeout=7.0, price=1.0), Turnstile()
        asker, started = Asker(provider, patience=QUICK, gate=gate), clock.now()
        await asker.ask(payloads(1))
        assert clock.now() - started == pytest.approx(12.0, abs=0.1)  # and five of grace
        assert (asker.bill.calls, asker.bill.units, gate.out) == (2, 2, 0)
        assert gate.told[0] == [Retry("no answer within 12 s", billed=True)]

    clock.run(main)


@pytest.mark.parametrize("reply", [None, 7, ["cat"], [None]])
async def test_an_adapter_that_answers_with_something_else_is_told_so(reply):
    class Odd(Scripted):
        async def classify(self, images):
            return reply

    with pytest.raises(ProviderFailed, match="adapter"):
        await Asker(Odd([0]), patience=QUICK).ask(payloads(1))


def test_waits_grow_no_further_than_they_may_and_odd_figures_do_no_harm():
    patience = Patience(longest_wait=1.0)
    assert patience.wait(10**6, None) <= 1.0
    assert 0 < patience.wait(1, math.nan) <= 1.0
    assert 0 < patience.wait(1, -5.0) <= 1.0


async def test_a_timeout_of_the_adapters_own_is_a_fault_of_it():
    class Impatient(Scripted):
        async def classify(self, images):
            raise TimeoutError

    with pytest.raises(ProviderFailed, match="TimeoutError"):
        await Asker(Impatient([0]), patience=QUICK).ask(payloads(1))


class OneByOne:
    """A gate that lets one call through at a time."""

    def __init__(self):
        self._lock = asyncio.Lock()

    async def enter(self, images):
        await self._lock.acquire()
        return self

    def done(self, outcomes):
        self._lock.release()

    def unused(self):
        self._lock.release()


async def test_what_failed_is_paid_for_before_what_has_not_begun():
    provider = Scripted([1], billed=True, price=1.0)
    asker = Asker(provider, max_cost=3, patience=QUICK, gate=OneByOne())
    first, *others = await asyncio.gather(
        *(asker.ask(payloads(1)) for _ in range(5)), return_exceptions=True
    )
    assert not isinstance(first, BaseException)  # its failure cost one, its answer another
    assert [isinstance(o, AskingEndedError) for o in others].count(False) == 1
    assert (asker.bill.units, asker.bill.reserved) == (3, 0)


class Gate:
    """Lets calls through after times of its own, the first one last."""

    def __init__(self, *seconds):
        self.seconds = list(seconds)

    async def enter(self, images):
        await asyncio.sleep(self.seconds.pop(0))
        return Permit()


class Permit:
    def done(self, outcomes):
        pass

    def unused(self):
        pass


@pytest.mark.parametrize("slow", ["the note", "the gate", "the picture"])
async def test_calls_start_in_the_order_of_their_samples(slow):
    """Else a run that ends has paid for votes behind one that was never asked for."""
    waits = [0.05, 0.02, 0.0]

    async def note(units):
        if slow == "the note":
            await asyncio.sleep(waits.pop(0))

    provider = Scripted([0] * 3, price=1.0)
    gate = Gate(*(waits if slow == "the gate" else [0.0] * 3))
    asker = Asker(provider, max_cost=1e6, gate=gate, allowance=Allowance(0, note))

    async def ask(image):
        with asker.turn() as turn:
            if slow == "the picture":
                await asyncio.sleep(waits.pop(0))
            await asker.ask_each([image], turn)

    await asyncio.gather(*(ask(image) for image in payloads(3)))
    assert provider.batches == [[b"0"], [b"1"], [b"2"]]


async def test_who_asks_again_does_not_wait_in_line():
    """The first sample is what all later votes need."""
    entered = asyncio.Event()

    class Stuck(Gate):
        async def enter(self, images):
            if images == 2:  # the second call, until the first one has been asked again
                await entered.wait()
            return Permit()

    class Again(Scripted):
        async def classify(self, images):
            if len(self.batches) == 1:
                entered.set()
            return await super().classify(images)

    provider = Again([1, 0, 0])
    asker = Asker(provider, patience=QUICK, gate=Stuck())
    first, second = payloads(3)[:1], payloads(3)[1:]
    async with asyncio.timeout(10):
        await asyncio.gather(asker.ask(first), asker.ask(second))
    assert provider.batches == [[b"0"], [b"0"], [b"1", b"2"]]
