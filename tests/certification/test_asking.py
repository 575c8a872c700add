"""Asking: the same bytes again, only the failed ones, never past the cap."""

import asyncio
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certification.asking import Asker, AskingEndedError
from certification.errors import ProviderFailed, ProviderUnreliable
from certification.patience import Patience
from certification.protocols import Answer, Refusal, Retry, Traits
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
