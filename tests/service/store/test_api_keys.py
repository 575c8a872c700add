"""API keys in a real store: sealed, without their secrets, and compared in the same steps."""

import asyncio
import json
import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import redis

from certification.errors import LedgerConflict, LedgerDamaged
from service.access.token import Token
from service.errors import BadRequest, KeyNameTaken, NotFound
from service.settings import Settings
from service.state import State
from tests.service.conftest import SECRET

OTHER = "b7" * 32
CERTIFY = frozenset({"certify"})


@asynccontextmanager
async def opened(tmp_path, **settings):
    state = await State.open(Settings(**({"data_dir": tmp_path, "secret": SECRET} | settings)))
    try:
        yield state
    finally:
        await state.close()


@pytest.fixture
async def keys(tmp_path):
    async with opened(tmp_path) as state:
        yield state.api_keys


@pytest.fixture
def raw():
    with redis.Redis.from_url(os.environ["SURETY_REDIS_URL"]) as client:
        yield client


def name():
    return os.environ["SURETY_REDIS_PREFIX"] + "apikeys"


async def test_a_key_is_known_by_its_secret_alone(keys):
    key, text = await keys.create("ci", CERTIFY, rate=5.0, budget=40.0, budget_period="day")
    assert await keys.check(Token.of(text)) == key
    assert await keys.get(key.id) == key
    assert (key.rate, key.budget, key.budget_period, key.state()) == (5, 40, "day", "active")
    assert await keys.check(Token.new(key.id)) is None
    assert await keys.check(Token.new()) is None


async def test_the_store_never_holds_a_secret(keys, raw):
    key, text = await keys.create("ci", CERTIFY)
    _, after = await keys.rotate(key.id, timedelta(hours=1))
    dump = b"".join(
        raw.dump(found) + b"".join(raw.hgetall(found).values())
        for found in raw.scan_iter(os.environ["SURETY_REDIS_PREFIX"] + "*")
        if raw.type(found) == b"hash"
    )
    assert key.id.encode() in dump
    for secret in (Token.of(text).secret, Token.of(after).secret):
        assert secret.encode() not in dump


async def test_whoever_can_write_to_the_store_makes_no_key(keys, raw):
    """Nor a larger one of theirs, nor one under another id."""
    weak, text = await keys.create("weak", CERTIFY)
    strong, _ = await keys.create("strong", frozenset({"admin"}))
    told = raw.hget(name(), weak.id)
    token = Token.of(text)
    forged = [
        told.replace(b'"certify"', b'"admin"'),
        told.replace(weak.id.encode(), strong.id.encode()),
        told.split(b".", 2)[2],
        b"",
        b"\xff.\xff.{}",
        json.dumps({"key": strong.describe(), "digests": [[token.digest, None]]}).encode(),
    ]
    for entry in forged:
        raw.hset(name(), weak.id, entry)
        assert await keys.check(token) is None
        with pytest.raises(LedgerDamaged):
            await keys.get(weak.id)
    raw.hset(name(), strong.id, told)  # a whole entry in another's place
    assert await keys.check(Token(strong.id, token.secret)) is None
    raw.hset(name(), weak.id, told)
    assert (await keys.check(token)).scopes == CERTIFY


async def test_a_foreign_deployment_makes_no_key(tmp_path, raw, monkeypatch):
    async with opened(tmp_path / "ours") as state:
        ours, _ = await state.api_keys.create("ours", CERTIFY)
        prefix = os.environ["SURETY_REDIS_PREFIX"]
        async with opened(tmp_path, secret=OTHER, redis_prefix=prefix + "theirs:") as theirs:
            key, text = await theirs.api_keys.create("admin", frozenset({"admin"}))
        entry = raw.hget(prefix + "theirs:apikeys", key.id)
        raw.hset(name(), key.id, entry)
        assert await state.api_keys.check(Token.of(text)) is None
        with pytest.raises(LedgerDamaged):
            await state.api_keys.list()
        assert (await state.api_keys.get(ours.id)).name == "ours"


async def test_unknown_and_wrong_take_the_same_steps(keys, monkeypatch):
    """As many commands, seals and comparisons, so that time tells nothing about ids."""
    key, _ = await keys.create("ci", CERTIFY)
    steps = []

    def counted(owner, attribute):
        real = getattr(owner, attribute)

        def call(*args, **more):
            steps.append(attribute)
            return real(*args, **more)

        monkeypatch.setattr(owner, attribute, call)

    counted(keys._store, "brisk")
    counted(keys._seals, "unseal")
    monkeypatch.setattr("service.store.api_keys.hmac", compare := _Comparing(steps))
    assert await keys.check(Token.new(key.id)) is None
    wrong, steps[:] = [*steps], []
    assert await keys.check(Token.new()) is None
    assert steps == wrong == ["brisk", "unseal", "compare_digest"]
    assert compare.lengths == {64}


class _Comparing:
    """Python's own hmac, with a note of what is compared."""

    def __init__(self, steps):
        self.steps, self.lengths = steps, set()

    def compare_digest(self, one, other):
        import hmac

        self.steps.append("compare_digest")
        self.lengths |= {len(one), len(other)}
        return hmac.compare_digest(one, other)


async def test_revoking_is_for_good(keys):
    key, text = await keys.create("ci", CERTIFY)
    assert (await keys.revoke(key.id)).state() == "revoked"
    assert await keys.check(Token.of(text)) is None
    once = await keys.get(key.id)
    assert await keys.revoke(key.id) == once
    for change in (keys.change(key.id, expires=None), keys.rotate(key.id, timedelta(hours=1))):
        with pytest.raises(BadRequest, match="revoked"):
            await change
    assert await keys.any()


async def test_an_expired_key_counts_no_more(keys):
    key, text = await keys.create("ci", CERTIFY, expires=datetime.now(UTC) + timedelta(hours=1))
    assert await keys.check(Token.of(text)) == key
    await keys.change(key.id, expires=datetime.now(UTC))
    assert await keys.check(Token.of(text)) is None
    await keys.change(key.id, expires=None)
    assert (await keys.check(Token.of(text))).expires is None


async def test_rotation_lets_the_present_secret_count_for_a_while_and_none_before_it(keys):
    key, first = await keys.create("ci", CERTIFY, rate=5.0)
    rotated, second = await keys.rotate(key.id, timedelta(hours=1))
    assert rotated.id == key.id
    assert rotated.rate == 5
    for text in (first, second):
        assert (await keys.check(Token.of(text))).overlap == rotated.overlap
    _, third = await keys.rotate(key.id, timedelta(hours=1))
    assert await keys.check(Token.of(first)) is None
    assert await keys.check(Token.of(second))
    at_once, fourth = await keys.rotate(key.id, timedelta())
    assert at_once.overlap is None
    assert await keys.check(Token.of(third)) is None
    assert await keys.check(Token.of(fourth))
    await keys.rotate(key.id, timedelta(microseconds=1))
    assert await keys.check(Token.of(fourth)) is None  # its overlap is over


async def test_changes_at_the_same_time_are_all_made(keys):
    key, text = await keys.create("ci", CERTIFY)
    changes = [{"rate": 5.0}, {"budget": 40.0}, {"name": "other"}]
    await asyncio.gather(*(keys.change(key.id, **change) for change in changes))
    found = await keys.check(Token.of(text))
    assert (found.rate, found.budget, found.name) == (5, 40, "other")
    with pytest.raises(BadRequest):
        await keys.change(key.id, rate=-1.0)
    assert (await keys.get(key.id)).rate == 5


async def test_keys_are_listed_by_date_and_missing_ones_are_told(keys):
    made = [(await keys.create(f"k{place}", CERTIFY))[0] for place in range(3)]
    assert await keys.list() == sorted(made, key=lambda key: (key.created, key.id))
    for missing in (keys.get("0" * 16), keys.revoke("nobody"), keys.change("", rate=None)):
        with pytest.raises(NotFound):
            await missing


async def test_no_two_keys_that_count_have_the_same_name(keys):
    first, _ = await keys.create("ci", CERTIFY)
    second, _ = await keys.create("night", CERTIFY)
    for taking in (
        keys.create("ci", CERTIFY),
        keys.create(" ci ", CERTIFY),
        keys.change(second.id, name="ci"),
    ):
        with pytest.raises(KeyNameTaken, match=first.id):
            await taking
    assert await keys.list() == [first, second]
    await keys.change(first.id, name="ci", rate=5.0)  # its own
    await keys.change(second.id, expires=datetime.now(UTC))
    third, _ = await keys.create("night", CERTIFY)
    with pytest.raises(KeyNameTaken, match=third.id):
        await keys.change(second.id, expires=None)  # it would count again
    await keys.change(second.id, rate=1.0)
    await keys.revoke(third.id)
    assert (await keys.change(second.id, expires=None)).state() == "active"
    await keys.revoke(first.id)
    assert (await keys.create("ci", CERTIFY))[0].name == "ci"


async def test_of_many_processes_that_take_a_name_one_gets_it(tmp_path):
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        kept = [(await one.api_keys.create(f"k{n}", CERTIFY))[0] for n in range(4)]
        takes = [state.api_keys.create("ci", CERTIFY) for state in (one, other) for _ in range(8)]
        takes += [other.api_keys.change(key.id, name="ci") for key in kept]
        told = await asyncio.gather(*takes, return_exceptions=True)
        assert sum(isinstance(answer, KeyNameTaken) for answer in told) == len(told) - 1, told
        assert [key.name for key in await one.api_keys.list()].count("ci") == 1
        free = [state.api_keys.create(f"x{n}", CERTIFY) for n in range(8) for state in (one, other)]
        told = await asyncio.gather(*free, return_exceptions=True)
        assert sum(isinstance(answer, KeyNameTaken) for answer in told) == 8


async def test_a_key_that_is_not_ours_takes_no_name(keys, raw):
    key, _ = await keys.create("ci", CERTIFY)
    raw.hset(name(), key.id, raw.hget(name(), key.id)[:-1] + b" ")
    assert (await keys.create("ci", CERTIFY))[0].name == "ci"


async def test_forgetting_needs_that_none_counts(keys):
    assert not await keys.any()
    key, _ = await keys.create("ci", CERTIFY)
    with pytest.raises(BadRequest, match=key.id):
        await keys.forget()
    await keys.revoke(key.id)
    assert await keys.forget() == 1
    assert not await keys.any()
    assert await keys.forget() == 0


async def test_keys_survive_the_rotation_of_the_deployment_secret(tmp_path):
    async with opened(tmp_path) as state:
        _, text = await state.api_keys.create("ci", CERTIFY)
    async with opened(tmp_path, secret=OTHER, old_secrets=SECRET) as state:
        assert await state.api_keys.check(Token.of(text))
    async with opened(tmp_path, secret=OTHER) as state:  # sealed again, so the old one may go
        assert await state.api_keys.check(Token.of(text))


async def test_a_key_sealed_with_an_unknown_secret_is_refused(tmp_path, raw):
    async with opened(tmp_path) as state:
        key, text = await state.api_keys.create("ci", CERTIFY)
        entry = raw.hget(name(), key.id)
        raw.hset(name(), key.id, b"0" * 16 + entry[16:])
        assert await state.api_keys.check(Token.of(text)) is None
        with pytest.raises((LedgerConflict, LedgerDamaged)):
            await state.api_keys.get(key.id)


@pytest.mark.parametrize("name", ["none", " None ", "NONE"])
async def test_no_key_is_named_as_usage_without_a_key_is(keys, name):
    with pytest.raises(BadRequest, match="no key may be named none"):
        await keys.create(name, CERTIFY)
    key, _ = await keys.create("nonesuch", CERTIFY)
    with pytest.raises(BadRequest, match="no key may be named none"):
        await keys.change(key.id, name=name)
    assert [kept.name for kept in await keys.list()] == ["nonesuch"]
