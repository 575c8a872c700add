"""Ledgers in a real store: nothing lost, nothing doubled, nothing changed unseen."""

import pytest

from certification.errors import ClaimLost, LedgerConflict, LedgerSealed
from certification.protocols import CleanAnswer, Header, Rerolls
from tests.service.store.keeping import DRAFT, HEADER, VOTES, at_once, raw, rest


async def test_votes_are_read_back_by_another_process(place):
    one, two = await place(), await place()
    ledger = await one.ledgers.open(DRAFT, HEADER, {"cat": "Cat"})
    for start in range(0, 300, 7):
        await ledger.append(start, VOTES[start : start + 7], {"dog": "Dog"})
    await ledger.spend(0.01)
    await ledger.spend(0.001)
    other = await two.ledgers.find(DRAFT)
    assert (await other.read(), other.header) == (VOTES, HEADER)
    assert await other.read(290) == VOTES[290:]
    assert await other.names() == {"cat": "Cat", "dog": "Dog"}
    assert await other.spent() == 0.01


async def test_the_header_never_changes(place):
    one, two = await place(), await place()
    await one.ledgers.open(DRAFT, HEADER)
    changed = Header(HEADER.subject, CleanAnswer("dog", "1"), 50, 7, "2" * 64, HEADER.secret_id)
    assert (await two.ledgers.open(DRAFT, changed)).header == HEADER


async def test_gaps_and_differences_are_refused(place):
    ledger = await (await place()).ledgers.open(DRAFT, HEADER)
    await ledger.append(0, VOTES[:10])
    await ledger.append(0, VOTES[:10])
    await ledger.append(5, VOTES[5:15])
    with pytest.raises(LedgerConflict):
        await ledger.append(16, ["cat"])
    with pytest.raises(LedgerConflict):
        await ledger.append(14, ["bird"])
    assert await ledger.read() == VOTES[:15]


async def test_a_worker_that_was_taken_over_adds_nothing(place):
    one, two = await place(), await place()
    await one.ledgers.open(DRAFT, HEADER)
    slow = await one.ledgers.find(DRAFT)
    async with one.ledgers.hold(DRAFT, at_once):
        await slow.append(0, VOTES[:10])
        await one.process.end()  # it seems dead
        async with two.ledgers.hold(DRAFT, at_once):
            quick = await two.ledgers.find(DRAFT)
            await quick.append(len(await quick.read()), VOTES[10:20])
            await one.process.begin()
            with pytest.raises(ClaimLost):
                await slow.append(10, VOTES[10:12])
            await quick.append(20, VOTES[20:30])
    assert await slow.read() == VOTES[:30]


async def test_what_a_store_has_lost_is_written_again(place):
    state = await place()
    ledger = await state.ledgers.open(DRAFT, HEADER)
    await ledger.append(0, VOTES[:200])
    with raw() as (client, prefix):
        before = {k: client.dump(k) for k in client.scan_iter(f"{prefix}ledger:*")}
        await ledger.append(200, VOTES[200:260])
        for name, kept in before.items():
            client.restore(name, 0, kept, replace=True)
    await ledger.append(260, VOTES[260:])
    fresh = await (await place()).ledgers.find(DRAFT)
    assert await fresh.read() == VOTES


async def test_a_sealed_ledger_takes_no_more(place):
    ledger = await (await place()).ledgers.open(DRAFT, HEADER)
    await ledger.append(0, VOTES[:9])
    await ledger.seal("2026-11-24T00:00:00+00:00")
    other = await (await place()).ledgers.find(DRAFT)
    assert await other.read() == VOTES[:9]
    with pytest.raises(LedgerSealed, match="2026-11-24"):
        await other.append(9, ["cat"])


async def test_a_hundred_thousand_votes_are_small(place):
    ledger = await (await place()).ledgers.open(DRAFT, HEADER)
    await ledger.append(0, VOTES * 333 + VOTES[:100])
    with raw() as (client, prefix):
        total = sum(client.memory_usage(k) for k in client.scan_iter(f"{prefix}ledger:*"))
    assert total < 200_000


async def test_rerolls_and_spoilt_ledgers_are_remembered(place):
    one = await place()
    ledger = await one.ledgers.open(DRAFT, HEADER)
    await ledger.spend(0.01)
    assert await one.ledgers.reroll(DRAFT) == Rerolls(1, 0.01)
    assert await one.ledgers.find(DRAFT) is None
    again = Header({**HEADER.subject, "rerolls": {"count": 1, "alpha_spent": 0.01}}, *rest())
    await one.ledgers.open(DRAFT, again)
    await one.ledgers.spoil(DRAFT)
    two = await place()
    assert await two.ledgers.rerolls(DRAFT) == Rerolls(1, 0.01)
    assert await two.ledgers.spoiled(DRAFT) == 1
    assert len(await two.ledgers.subjects()) == 2


async def test_more_labels_than_a_byte_holds(place):
    ledger = await (await place()).ledgers.open(DRAFT, HEADER)
    many = [f"label {i % 400}" for i in range(1000)]
    for start in range(0, 1000, 90):
        await ledger.append(start, many[start : start + 90])
    assert await (await (await place()).ledgers.find(DRAFT)).read() == many
