"""Ledgers in a real store: nothing lost, nothing doubled, nothing changed unseen."""

import contextlib
import os
import random

import pytest
import redis

from certification.deployment_secret import secret_id
from certification.errors import ClaimLost, LedgerConflict, LedgerDamaged, LedgerSealed
from certification.protocols import CleanAnswer, Header, Rerolls
from service.lasting import whole
from service.settings import Settings
from service.state import State

SECRET, DRAFT = "5a" * 32, "d" * 64
HEADER = Header(
    {"image": {"sha256": "0" * 64}, "provider": {"name": "none"}},
    CleanAnswer("cat", "1"),
    None,
    100,
    "1" * 64,
    secret_id(bytes.fromhex(SECRET)),
)
VOTES = ["cat", "dog", None, "cat", "bird", "cat"] * 50


@pytest.fixture
async def place(tmp_path):
    """Open any number of processes of one deployment."""
    async with contextlib.AsyncExitStack() as stack:

        async def another(**settings):
            chosen = {"data_dir": tmp_path, "secret": SECRET, "lease_seconds": 1} | settings
            state = await State.open(Settings(**chosen))
            stack.push_async_callback(state.close)
            return state

        yield another


async def at_once(entering):
    return await entering


@contextlib.contextmanager
def raw():
    with redis.Redis.from_url(os.environ["SURETY_REDIS_URL"]) as client:
        yield client, os.environ["SURETY_REDIS_PREFIX"]


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


async def test_a_change_of_any_byte_is_found(place):
    ledger = await (await place()).ledgers.open(DRAFT, HEADER, {"cat": "Cat"})
    await ledger.append(0, VOTES)
    rng = random.Random(0)
    found = []
    with raw() as (client, prefix):
        name = next(k for k in client.scan_iter(f"{prefix}ledger:*") if k.count(b":") == 2)
        for part in (b":votes", b":macs"):
            kept = client.get(name + part)
            for place_ in rng.sample(range(len(kept)), 40):
                changed = bytearray(kept)
                changed[place_] ^= 1 << rng.randrange(8)
                client.set(name + part, bytes(changed))
                found.append(await damage(place))
            client.set(name + part, kept)
        fields = client.hgetall(name)
        for field in (b"header", b"mac", b"n", b"head", b"alpha", b"vouched"):
            changed = bytearray(fields[field])
            changed[rng.randrange(len(changed))] ^= 1
            client.hset(name, field, bytes(changed))
            found.append(await damage(place))
            client.hset(name, field, fields[field])
        client.lset(name + b":labels", 1, "frog")
        found.append(await damage(place))
        client.lset(name + b":labels", 1, "dog")
        names = client.hgetall(name + b":names")
        client.hset(name + b":names", "cat", names[b"cat"][:-1] + b"x")
        found.append(await damage(place))
        client.delete(name + b":names")
        found.append(await damage(place))
    assert all(found), found
    assert any("votes 128 to 255" in said for said in found)


async def damage(place):
    """Return what a fresh reader says."""
    state = await place()
    try:
        await whole(await state.ledgers.find(DRAFT))
    except (LedgerDamaged, LedgerConflict) as error:
        return str(error)
    return ""


async def test_a_sealed_ledger_takes_no_more(place):
    ledger = await (await place()).ledgers.open(DRAFT, HEADER)
    await ledger.append(0, VOTES[:9])
    await ledger.seal("2026-11-24T00:00:00+00:00")
    other = await (await place()).ledgers.find(DRAFT)
    assert await other.read() == VOTES[:9]
    with pytest.raises(LedgerSealed, match="2026-11-24"):
        await other.append(9, ["cat"])
    with raw() as (client, prefix):
        name = next(k for k in client.scan_iter(f"{prefix}ledger:*") if k.count(b":") == 2)
        client.hdel(name, "sealed")
    assert "seal" in await damage(place)


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


def rest():
    return (HEADER.clean, None, 100, HEADER.key_sha256, HEADER.secret_id)


async def test_more_labels_than_a_byte_holds(place):
    ledger = await (await place()).ledgers.open(DRAFT, HEADER)
    many = [f"label {i % 400}" for i in range(1000)]
    for start in range(0, 1000, 90):
        await ledger.append(start, many[start : start + 90])
    assert await (await (await place()).ledgers.find(DRAFT)).read() == many
