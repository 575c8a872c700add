"""The money of a picture's last call is there when the job's has ended, and never lost."""

import asyncio
from types import SimpleNamespace

import pytest

from adapters.policy.gate import AccountGates
from certification.asking import AskingEndedError
from certification.protocols import Retry
from service.jobs.engine.gates import JobGates
from service.jobs.engine.last_call import last_call
from tests.adapters.policy.clock import run
from tests.service.jobs.engine.test_gates import OK, Provider, Purse

JOB = SimpleNamespace(spec=SimpleNamespace(max_cost=5.0))


def gates_of(purse):
    return JobGates(AccountGates(), None, purse)


def test_one_call_can_still_be_made_when_the_money_has_ended():
    async def main():
        purse, provider = Purse(5), Provider()
        gates = gates_of(purse)
        async with last_call(JOB, gates, provider.traits) as last:
            (await gates.of(provider).enter(4)).done([OK] * 4)
            with pytest.raises(AskingEndedError):
                await gates.of(provider).enter(1)
            with pytest.raises(AskingEndedError):  # it is for one picture
                await last.of(provider).enter(2)
            (await last.of(provider).enter(1)).done([OK])
            with pytest.raises(AskingEndedError):
                await last.of(provider).enter(1)
        await gates.drain()
        assert (purse.reserved, purse.billed, purse.most) == (0, 5, 5)

    run(main)


def test_a_call_that_was_throttled_can_be_made_again():
    async def main():
        purse, provider = Purse(1), Provider()
        gates = gates_of(purse)
        async with last_call(JOB, gates, provider.traits) as last:
            (await last.of(provider).enter(1)).done([Retry("busy", throttled=True)])
            await last.drain()
            (await last.of(provider).enter(1)).done([OK])
            await last.drain()
            with pytest.raises(AskingEndedError):
                await last.of(provider).enter(1)
        await gates.drain()
        assert (purse.reserved, purse.billed, purse.most) == (0, 1, 1)

    run(main)


def test_what_nobody_needs_is_given_back():
    async def main():
        purse, provider = Purse(5, 0.01), Provider()
        gates = gates_of(purse)
        async with last_call(JOB, gates, provider.traits):
            assert purse.reserved == 1
        await gates.drain()
        entering = asyncio.ensure_future(last_call(JOB, gates, provider.traits).__aenter__())
        await asyncio.sleep(0.007)  # it is set aside, and nobody knows yet
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
        await gates.drain()
        assert (purse.reserved, purse.billed) == (0, 0)

    run(main)


@pytest.mark.parametrize(
    ("traits", "cap", "units"),
    [({"names_version": True}, 5.0, 5), ({"price": 0.0}, 5.0, 5), ({}, None, 5), ({}, 5.0, 0)],
    ids=["a version is named", "it is free", "no cap", "no money"],
)
def test_where_none_is_kept(traits, cap, units):
    async def main():
        purse = Purse(units)
        job = SimpleNamespace(spec=SimpleNamespace(max_cost=cap))
        async with last_call(job, gates_of(purse), Provider(**traits).traits) as last:
            assert last is None
            assert purse.reserved == 0

    run(main)
