"""The gates of a job: its rate and its money are never passed, and nothing of them is lost."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.policy.gate import AccountGates
from adapters.policy.limit import LocalLimit
from certification.asking import Asker, AskingEndedError
from certification.protocols import Answer, Retry, Traits
from service.jobs.engine.gates import JobGates
from tests.adapters.policy.clock import START, now, run
from tests.adapters.policy.test_window import most_in_window

OK, FREE, BILLED = Answer(()), Retry("busy"), Retry("lost", billed=True)


class Purse:
    """A job's money in one process; the store may take its time."""

    def __init__(self, units, seconds=0.0):
        self.units, self.seconds = units, seconds
        self.reserved = self.billed = self.most = 0
        self.calls = {}

    async def reserve(self, call, units):
        await asyncio.sleep(self.seconds / 2)
        enough = self.reserved + self.billed + units <= self.units
        if enough:
            self.reserved += units
            self.calls[call] = units
            self.most = max(self.most, self.reserved + self.billed)
        await asyncio.sleep(self.seconds / 2)
        return enough

    async def settle(self, call, billed):
        await asyncio.sleep(self.seconds)
        self.reserved -= self.calls.pop(call)
        self.billed += billed


class Provider:
    name, options = "world", {}

    def __init__(self, account="one", outcomes=(), **traits):
        self.account = account
        self.traits = Traits(**({"concurrency": 8, "max_batch": 4, "price": 0.5} | traits))
        self.outcomes, self.images = [*outcomes], 0

    async def classify(self, images):
        self.images += len(images)
        await asyncio.sleep(0.1)
        return self.outcomes.pop(0) if self.outcomes else [OK] * len(images)


def in_flight(accounts, provider):
    return accounts.of(provider).account.concurrency.in_flight


@pytest.mark.parametrize(
    ("unit", "outcomes", "billed"),
    [
        ("image", [OK, OK, FREE, BILLED], 3),
        ("image", [FREE] * 4, 0),
        ("image", None, 4),
        ("request", [OK] * 4, 1),
        ("request", [FREE] * 4, 0),
        ("request", None, 1),
    ],
)
def test_a_call_is_settled_at_what_it_was_billed(unit, outcomes, billed):
    async def main():
        purse = Purse(100)
        gates = JobGates(AccountGates(), None, purse)
        permit = await gates.of(Provider(unit=unit)).enter(4)
        assert purse.reserved == (4 if unit == "image" else 1)
        permit.done(outcomes)
        await gates.drain()
        assert (purse.reserved, purse.billed) == (0, billed)

    run(main)


def test_when_the_money_ends_everything_is_given_back():
    async def main():
        accounts, purse = AccountGates(), Purse(9)
        provider, limit = Provider(), LocalLimit(10, 4)
        gates = JobGates(accounts, limit, purse)
        way = gates.of(provider)
        for _ in range(2):
            (await way.enter(4)).done([OK] * 4)
        places = len(limit._window._slots)
        with pytest.raises(AskingEndedError, match="max_cost"):
            await way.enter(4)
        assert in_flight(accounts, provider) == 0
        assert len(limit._window._slots) <= places
        with pytest.raises(AskingEndedError):  # its votes would come after a gap
            await way.enter(1)
        (await gates.of(provider).enter(1)).unused()  # another run's do not
        await gates.drain()
        assert (purse.reserved, purse.billed) == (0, 8)

    run(main)


def test_a_run_ends_with_the_money_of_its_job_and_both_keep_the_same_bill():
    async def main():
        purse = Purse(50, 0.01)
        gates = JobGates(AccountGates(), LocalLimit(100, 4), purse)
        provider = Provider(outcomes=[[FREE] * 4, [OK, FREE, BILLED, OK]])
        askers = [Asker(provider, gate=gates.of(provider)) for _ in range(3)]

        async def ask_on(asker):
            while True:
                await asker.ask([b"x"] * 4)

        results = await asyncio.gather(*map(ask_on, askers), return_exceptions=True)
        assert all(isinstance(result, AskingEndedError) for result in results)
        await gates.drain()
        assert purse.reserved == 0
        assert purse.billed == sum(asker.bill.units for asker in askers)
        assert 46 < purse.billed <= purse.most <= 50

    run(main)


@pytest.mark.parametrize("unit", ["image", "request"])
def test_a_job_keeps_to_its_own_rate_and_its_runs_take_turns(unit):
    async def main():
        order = []
        provider = Provider(rate_unit=unit)
        gates = JobGates(AccountGates(), LocalLimit(4, 4))
        many, few = gates.of(provider), gates.of(provider)

        async def one(way, who):
            permit = await way.enter(4)
            order.append((now(), who))
            permit.done([OK] * 4)

        tasks = [asyncio.create_task(one(many, "many")) for _ in range(19)]
        await asyncio.sleep(0.01)
        await asyncio.gather(*tasks, asyncio.create_task(one(few, "few")))
        seconds = order[-1][0] - START
        assert seconds >= (18 if unit == "image" else 3)
        assert [who for _, who in order].index("few") <= 4 + 1

    run(main)


def test_calls_do_not_gather_behind_the_limit_of_the_job():
    """The account opens late; then the job's calls must not all go at once."""

    async def main():
        provider, accounts, starts = Provider(), AccountGates(), []
        permit = await accounts.of(provider).enter(1)
        permit.done([Retry("wait", after=60.0, throttled=True)])
        way = JobGates(accounts, LocalLimit(1, 1)).of(provider)

        async def one():
            permit = await way.enter(1)
            starts.append(now())
            permit.done([OK])

        await asyncio.gather(*(one() for _ in range(10)))
        assert starts[0] >= START + 60
        assert starts[2] - starts[1] >= 1
        assert starts[-1] - starts[0] >= 8

    run(main)


class Away(Purse):
    """The store is away for a while, and then answers all who have asked it."""

    async def reserve(self, call, units):
        if 1 <= now() - START < 4:
            await asyncio.sleep(START + 4 - now())
        return await super().reserve(call, units)


@pytest.mark.parametrize("of", ["account", "job"])
def test_calls_whose_money_comes_late_do_not_all_go_at_once(of):
    async def main():
        starts, limit = [], LocalLimit(8, 1) if of == "job" else None
        provider = Provider(rate=8 if of == "account" else None, max_batch=1, concurrency=16)
        gates = JobGates(AccountGates(), limit, Away(100))

        async def one():
            permit = await gates.of(provider).enter(1)
            starts.append(SimpleNamespace(at=now(), units=1))
            await asyncio.sleep(0.1)
            permit.done([OK])

        await asyncio.gather(*(one() for _ in range(40)))
        await gates.drain()
        between = int(of == "job")  # one call stood between the job's rate and the account's gate
        assert most_in_window(starts, 1.0) <= 8 + between
        assert starts[-1].at < START + 4 + 40 / 8 + 1  # and places that passed are not lost

    run(main)


def test_money_that_always_comes_late_costs_no_places():
    async def main():
        provider, ended = Provider(rate=8, max_batch=1, concurrency=16), 0
        gates = JobGates(AccountGates(), None, Purse(1000, 0.06))

        async def one_run():
            nonlocal ended
            way = gates.of(provider)
            while now() < START + 30:
                permit = await way.enter(1)
                await asyncio.sleep(0.1)
                permit.done([OK])
                ended += 1

        await asyncio.gather(*(one_run() for _ in range(6)))
        await gates.drain()
        assert ended > 0.9 * 8 * 30

    run(main)


@settings(deadline=None, max_examples=60)
@given(
    calls=st.lists(
        st.tuples(
            st.floats(0, 3),  # comes at
            st.floats(0, 1),  # lasts
            st.integers(1, 4),
            st.sampled_from(["done", "failed", "unused"]),
            st.one_of(st.none(), st.floats(0, 5)),  # cancelled at
        ),
        max_size=30,
    ),
    money=st.integers(0, 60),
    slow=st.sampled_from([0.0, 0.5]),
    rate=st.one_of(st.none(), st.integers(1, 20)),
)
def test_whatever_happens_no_money_is_lost_and_none_too_much_spent(calls, money, slow, rate):
    async def main():
        accounts, purse, provider = AccountGates(), Purse(money, slow), Provider()
        limit = None if rate is None else LocalLimit(rate, 4)
        gates = JobGates(accounts, limit, purse)
        billed = 0

        async def one(arrival, seconds, images, end):
            nonlocal billed
            await asyncio.sleep(arrival)
            permit = await gates.of(provider).enter(images)
            if end == "unused":
                permit.unused()
                return
            outcomes = None
            try:
                await asyncio.sleep(seconds)
                outcomes = None if end == "failed" else [OK] * images
            finally:
                billed += images
                permit.done(outcomes)

        loop, tasks = asyncio.get_running_loop(), []
        for *call, cancelled in calls:
            tasks.append(asyncio.create_task(one(*call)))
            if cancelled is not None:
                loop.call_later(cancelled, tasks[-1].cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        allowed = (type(None), AskingEndedError, asyncio.CancelledError)
        assert all(isinstance(result, allowed) for result in results), results
        await gates.drain()
        assert (purse.reserved, purse.billed) == (0, billed)
        assert purse.most <= money
        assert in_flight(accounts, provider) == 0
        if limit is not None:
            assert gates.line._free == 1

    run(main)


class Broken(Purse):
    async def settle(self, call, billed):
        raise OSError("the store is gone")


def test_a_purse_that_fails_leaves_the_money_set_aside():
    async def main():
        purse = Broken(10)
        gates = JobGates(AccountGates(), None, purse)
        (await gates.of(Provider()).enter(4)).done([OK] * 4)
        await gates.drain()
        assert purse.reserved == 4

    run(main)
