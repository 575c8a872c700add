"""What a run costs: noted before it is spent, and never more than the cap, over restarts too."""

import asyncio
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from certification.asking import Asker, AskingEndedError
from certification.bill import STEP, Allowance, Bill
from certification.errors import ProviderUnreliable, StopRun
from certification.patience import Patience
from certification.protocols import Refusal, Retry
from tests.certification.worlds import World

amounts = st.lists(st.integers(1, 100), max_size=30)


class Notes:
    """Takes its time to note what may be spent, as a store does."""

    def __init__(self, seconds=0.0):
        self.told, self.kept, self._seconds = [], 0, seconds

    async def __call__(self, units):
        self.told.append(units)
        await asyncio.sleep(self._seconds)
        self.kept = max(self.kept, units)


@given(amounts, st.integers(0, 500))
def test_whatever_is_spent_was_noted_with_what_came_before(used, before):
    async def run():
        notes = Notes()
        allowance = Allowance(before, notes)
        for units in used:
            await allowance.cover(units)
            assert notes.kept >= before + units
        assert len(notes.told) <= max(used, default=0) // STEP + 1
        assert notes.told == sorted(notes.told)

    asyncio.run(run())


async def test_nobody_needs_to_be_told():
    await Allowance().cover(1000)


async def test_what_could_not_be_noted_is_not_covered():
    async def refuse(units):
        raise StopRun("away")

    allowance = Allowance(0, refuse)
    for _ in range(2):
        with pytest.raises(StopRun):
            await allowance.cover(1)


class Spending(World):
    """Checks at every call that it has been noted."""

    def __init__(self, notes, **more):
        super().__init__(lambda image: Refusal("no"), price=0.01, delay=0.001, **more)
        self.notes, self.before, self.most = notes, 0, 0

    async def classify(self, images):
        self.most = max(self.most, self.before + self.images + len(images) - self.notes.kept)
        return await super().classify(images)


async def test_calls_one_after_the_other_are_noted_before_they_are_made():
    notes = Notes()
    world = Spending(notes)
    asker = Asker(world, max_cost=100.0, allowance=Allowance(0, notes))
    for _ in range(20):
        await asker.ask([b"x"] * 16)
    assert (world.images, world.most <= 0) == (320, True)
    assert len(notes.told) <= 320 // STEP


@pytest.mark.parametrize("seconds", [0.0, 0.003])
async def test_calls_at_once_are_all_noted_before_they_are_made(seconds):
    notes = Notes(seconds)
    world = Spending(notes)
    asker = Asker(world, max_cost=100.0, allowance=Allowance(0, notes))
    await asyncio.gather(*(asker.ask([b"x"] * 16) for _ in range(20)))
    assert world.images == 320
    assert world.most <= 0


@pytest.mark.parametrize("spent", [0, 1, 8, 9])
def test_what_came_before_counts_against_the_cap(spent):
    bill = Bill(Decimal("0.1"), Decimal("1.0"), before=spent)
    assert bill.affordable(10 - spent)
    assert not bill.affordable(11 - spent)
    bill.reserved = 1
    assert bill.affordable(9 - spent)
    assert not bill.affordable(10 - spent)
    assert not Bill(Decimal("0.1"), Decimal("1.0"), before=10 + spent).affordable(1)


def test_the_bill_says_what_came_before():
    told = Bill(Decimal("0.1"), units=3, before=7).describe()
    assert (told["cost"], told["cost_before_interruption_at_most"]) == (0.3, 0.7)
    assert "cost_before_interruption_at_most" not in Bill(Decimal("0.1")).describe()


class Billed(World):
    """Knows what it will charge, calls that were cut off included."""

    paid = 0

    async def classify(self, images):
        self.paid += len(images)
        outcomes = await super().classify(images)
        self.paid -= sum(isinstance(o, Retry) and not o.billed for o in outcomes)
        return outcomes


@settings(max_examples=60, deadline=None)
@example(cap=68, kills=[2], batch=2, failing=0, billed=False)
@given(
    cap=st.integers(1, 400),
    kills=st.lists(st.integers(0, 40), max_size=5),
    batch=st.integers(1, 16),
    failing=st.sampled_from([0, 3, 5]),
    billed=st.booleans(),
)
def test_the_cap_holds_over_any_number_of_restarts(cap, kills, batch, failing, billed):
    """A run is killed in mid-call again and again; each time it goes on with what was noted."""

    async def run():
        notes, paid = Notes(), 0
        for turns in [*kills, None]:

            def fail(call):
                return Retry("x", billed=billed) if failing and call % failing == 0 else None

            world = Billed(lambda image: Refusal("no"), price=0.01, max_batch=16, fail=fail)
            asker = Asker(
                world,
                max_cost=cap / 100,
                patience=Patience(attempts=50, first_wait=0.0, longest_wait=0.0),
                allowance=Allowance(notes.kept, notes),
            )

            async def ask(asker=asker):
                for _ in range(30):
                    await asker.ask([b"x"] * batch)

            asking = [asyncio.create_task(ask()) for _ in range(8)]
            if turns is None:
                done = await asyncio.gather(*asking, return_exceptions=True)
                # Failures that come in step with the calls may hit one sample again and again.
                ended = AskingEndedError | ProviderUnreliable
                assert all(d is None or isinstance(d, ended) for d in done)
            else:
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in asking:
                    task.cancel()
                await asyncio.gather(*asking, return_exceptions=True)
            paid += world.paid
            assert paid <= cap
            assert asker.bill.reserved == 0 or turns is not None

    asyncio.run(run())
