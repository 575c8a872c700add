"""The gates of a key: what is set aside for a call that is not made comes back."""

import asyncio
import contextlib
from datetime import date

import pytest

from adapters.policy.gate import AccountGates
from certification.asking import AskingEndedError
from certification.protocols import Refusal, Retry
from service.usage.counts import Counts
from service.usage.gates import KeyGates
from tests.service.jobs.running import opened
from tests.service.providers import HalfSpace
from tests.service.usage.paying import UNITS, a_key, counted

pytestmark = pytest.mark.usefixtures("small_providers")


async def test_a_call_that_is_cancelled_at_any_point_leaves_no_money_behind(tmp_path):
    async with opened(tmp_path) as surety:
        owner = await a_key(surety, budget=1.0)  # money comes back a little later
        meter = surety.meter(owner, "half")
        gate = KeyGates(AccountGates(), meter).of(HalfSpace())
        for steps in range(40):
            entering = asyncio.ensure_future(gate.enter(3))
            for _ in range(steps):
                await asyncio.sleep(0)
            entering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                (await entering).unused()  # it came before that
        await meter.close()
        assert await counted(surety.state.usage, owner) == Counts()
        assert meter.refused is None


async def test_no_smaller_call_goes_where_a_larger_one_was_not_paid_for(tmp_path):
    async with opened(tmp_path) as surety:
        owner = await a_key(surety, budget=0.005)
        meter = surety.meter(owner, "half")
        gate = KeyGates(AccountGates(), meter).of(HalfSpace())
        first = await gate.enter(3)
        with pytest.raises(AskingEndedError):
            await gate.enter(3)
        with pytest.raises(AskingEndedError):
            await gate.enter(1)  # its votes would come after a gap
        first.done(
            [Retry("busy", throttled=True, after=0.0), Retry("no"), Refusal("not this", "1")]
        )
        await meter.close()
        found = await counted(surety.state.usage, owner)
        assert found == Counts(calls=1, images=3, retries=2, throttled=1, spent=UNITS)
        other = surety.meter(owner, "half")  # of another run, for which there is money again
        permit = await KeyGates(AccountGates(), other).of(HalfSpace()).enter(4)
        permit.unused()
        await other.close()
        assert await counted(surety.state.usage, owner) == found
        assert [
            e async for e in surety.state.usage.entries(date(2000, 1, 1), date(2000, 1, 2))
        ] == []
