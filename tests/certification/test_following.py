"""A run that waits for another one of its subject: what it counts, and what that costs its α."""

import asyncio
from decimal import Decimal

import pytest

from certification import canary, following
from certification.bill import Bill
from certification.following import Enough, Follower
from certification.interrupt import Interrupt
from certification.ledger import MemoryLedgers
from certification.progress import Meter
from certification.protocols import CleanAnswer, Header
from certification.tally import FixedTally
from tests.certification.worlds import label


async def test_it_counts_what_the_canary_has_vouched_for_and_notes_its_alpha(monkeypatch):
    monkeypatch.setattr(following, "HEAD_START_SECONDS", 0.0)
    monkeypatch.setattr(following, "POLL_SECONDS", 0.001)
    header = Header(
        subject={"a": 1},
        clean=CleanAnswer("in", canary.version_of(label("in", None))),
        milestone=None,
        predict_n=50,
        key_sha256="0" * 64,
        secret_id="x",  # noqa: S106
    )
    ledgers = MemoryLedgers()
    ledger = await ledgers.open("draft", header)
    await ledger.append(0, ["in"] * 100)
    await ledger.vouch(40)
    events = []
    follower = Follower(
        ledgers,
        "draft",
        lambda _: FixedTally(50),
        alpha=0.01,
        meter=Meter(0.1, Bill(Decimal(0))),
        on_progress=events.append,
        interrupt=Interrupt(),
    )
    waiting = asyncio.create_task(follower.unless(asyncio.sleep(3600, result=True)))
    while not events:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    assert events[-1].n == 40
    assert ledger.alpha == 0.01
    await ledger.vouch(100)
    with pytest.raises(Enough) as caught:
        await waiting
    assert len(caught.value.collected.votes) == 50
