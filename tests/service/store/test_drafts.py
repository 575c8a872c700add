"""What is known of a draft: never forgotten, never begun again in silence."""

import asyncio
from dataclasses import replace

import pytest

from certification.errors import LedgerConflict, LedgerDamaged
from certification.protocols import CleanAnswer, Header, Rerolls
from tests.service.store.keeping import DRAFT, HEADER, SECRET, VOTES, at_once, raw, rest

NEW_SECRET = "6b" * 32


def other_version():
    return Header(
        {**HEADER.subject, "provider": {"name": "another"}}, CleanAnswer("cat", "2"), *rest()[1:]
    )


async def begin(state, header=HEADER, n=300):
    ledger = await state.ledgers.open(DRAFT, header, {"cat": "Cat"})
    await ledger.append(0, VOTES[:n], {"dog": "Dog"})
    await ledger.spend(0.01)
    await ledger.vouch(250)
    return ledger


def keys_of(client, prefix, subject):
    return [*client.scan_iter(f"{prefix}ledger:{subject}*")]


async def test_a_deleted_ledger_is_not_begun_again(place):
    subject = (await begin(await place())).subject_sha256
    with raw() as (client, prefix):
        client.delete(*keys_of(client, prefix, subject))
    fresh = await place()
    with pytest.raises(LedgerDamaged, match=f"{subject[:16]}.*it is gone"):
        await fresh.ledgers.find(DRAFT)
    with pytest.raises(LedgerDamaged, match=f"{subject[:16]}.*it is gone"):
        await fresh.ledgers.open(DRAFT, HEADER)
    with raw() as (client, prefix):
        assert keys_of(client, prefix, subject) == []


async def test_a_ledger_that_was_deleted_while_it_was_not_in_use_is_not_begun_again(place):
    one = await place()
    subject = (await begin(one)).subject_sha256
    await one.ledgers.retire(DRAFT)
    await begin(one, other_version())
    with raw() as (client, prefix):
        client.delete(*keys_of(client, prefix, subject))
    fresh = await place()
    assert await (await fresh.ledgers.find(DRAFT)).read() == VOTES
    with pytest.raises(LedgerDamaged, match="it is gone"):  # the first version is back
        await fresh.ledgers.open(DRAFT, HEADER)


async def test_a_ledger_of_which_all_else_was_deleted_is_not_begun_again(place):
    await begin(await place())
    with raw() as (client, prefix):
        client.delete(f"{prefix}drafts", f"{prefix}ledgers")
    fresh = await place()
    with pytest.raises(LedgerDamaged, match="what was known of its draft is gone"):
        await fresh.ledgers.open(DRAFT, HEADER)
    assert len(await fresh.ledgers.subjects()) == 1  # so it is found by a check


async def test_a_process_that_only_found_a_ledger_does_not_put_it_back_empty(place):
    subject = (await begin(await place())).subject_sha256
    fresh = await place()
    ledger = await fresh.ledgers.find(DRAFT)
    with raw() as (client, prefix):
        client.delete(*keys_of(client, prefix, subject))
    for act in (ledger.read(), ledger.spent(), ledger.spend(0.2), ledger.append(0, ["cat"])):
        with pytest.raises(LedgerDamaged, match="is gone"):
            await act


async def test_a_server_that_has_lost_everything_gets_it_again(place):
    one = await place()
    await begin(one, other_version())
    await one.ledgers.reroll(DRAFT)
    again = Header({**HEADER.subject, "rerolls": {"count": 1, "alpha_spent": 0.01}}, *rest())
    async with one.ledgers.hold(DRAFT, at_once):
        ledger = await begin(one, again)
        with raw() as (client, prefix):
            lost = f"{prefix}drafts", f"{prefix}ledgers"
            client.delete(*lost, *keys_of(client, prefix, ledger.subject_sha256))
        await ledger.append(300, VOTES[:20])
    fresh = await place()
    other = await fresh.ledgers.find(DRAFT)
    assert other.header == again
    assert await other.read() == VOTES + VOTES[:20]
    assert (await other.spent(), await other.vouched()) == (0.01, 250)
    assert await other.names() == {"cat": "Cat", "dog": "Dog"}
    assert await fresh.ledgers.rerolls(DRAFT) == Rerolls(1, 0.01)
    assert len(await fresh.ledgers.subjects()) == 2


async def test_a_server_that_has_lost_the_latest_gets_it_again(place):
    one = await place()
    ledger = await begin(one, n=200)
    with raw() as (client, prefix):
        names = [*keys_of(client, prefix, ledger.subject_sha256), f"{prefix}drafts".encode()]
        kept = {name: client.dump(name) for name in names}
        await ledger.append(200, VOTES[200:260], {"bird": "Bird"})
        await ledger.spend(0.02)
        await ledger.vouch(260)
        await one.ledgers.spoil(DRAFT)
        await ledger.seal("2026-11-24T00:00:00+00:00")
        for name, value in kept.items():
            client.restore(name, 0, value, replace=True)
    assert await ledger.read() == VOTES[:260]
    assert await ledger.spent() == 0.02
    assert await ledger.vouched() == 260
    assert await one.ledgers.spoiled(DRAFT) == 1
    fresh = await place()
    assert await fresh.ledgers.find(DRAFT) is None
    assert await fresh.ledgers.spoiled(DRAFT) == 1
    other = await fresh.ledgers.of_subject(ledger.subject_sha256)
    assert (await other.read(), other.sealed[:10]) == (VOTES[:260], "2026-11-24")
    assert (await other.spent(), await other.vouched()) == (0.02, 260)
    assert (await other.names())["bird"] == "Bird"


async def test_an_entry_that_was_put_back_is_seen_by_the_ledgers_begun_since(place):
    one = await place()
    await begin(one)
    with raw() as (client, prefix):
        kept = client.dump(f"{prefix}drafts")
        await one.ledgers.retire(DRAFT)
        await begin(one, other_version())
        client.restore(f"{prefix}drafts", 0, kept, replace=True)
    with pytest.raises(LedgerDamaged, match="from another time, or was changed"):
        await (await place()).ledgers.find(DRAFT)


async def test_changes_of_several_processes_all_count(place):
    both = await place(), await place()
    ledger = await begin(both[0])
    twin = await both[1].ledgers.find(DRAFT)

    def more(state):
        return replace(state, spoilt=state.spoilt + 1)

    changes = [state.ledgers.drafts.update(DRAFT, more) for state in both for _ in range(10)]
    raises = [one.spend(k / 100) for k in range(1, 20) for one in (ledger, twin)]
    raises += [one.vouch(250 + k) for k in range(20) for one in (twin, ledger)]
    await asyncio.gather(*changes, *raises)
    fresh = await place()
    assert await fresh.ledgers.spoiled(DRAFT) == 20
    other = await fresh.ledgers.find(DRAFT)
    assert (await other.spent(), await other.vouched()) == (0.19, 269)
    assert await fresh.ledgers.draft_of(other) == await both[0].ledgers.draft_of(ledger)


async def test_a_ledger_goes_on_when_the_secret_was_rotated(place):
    ledger = await begin(await place())
    rotated = await place(secret=NEW_SECRET, old_secrets=SECRET)
    other = await rotated.ledgers.find(DRAFT)
    await other.append(300, VOTES[:50], {"bird": "Bird"})
    await other.spend(0.03)
    assert await ledger.read() == VOTES + VOTES[:50]  # also by who has the old one alone
    assert await ledger.spent() == 0.03
    assert (await ledger.names())["bird"] == "Bird"
    await rotated.ledgers.retire(DRAFT)
    fresh = await place(secret=NEW_SECRET, old_secrets=SECRET)
    assert await fresh.ledgers.find(DRAFT) is None
    without = await place(secret=NEW_SECRET)
    with pytest.raises(LedgerConflict, match="SURETY_OLD_SECRETS"):
        await without.ledgers.open(DRAFT, HEADER)
