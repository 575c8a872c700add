"""Whoever can write to the store, but has no secret, changes every entry of it in every way.

The entries are those that a real server lists, so none that comes later can be forgotten: each
must be known here, as one whose change is refused and named, or as one that does no harm.
"""

import os
import random
import re
from functools import partial

import pytest
import redis

from certification.deployment_secret import secret_id
from certification.errors import LedgerDamaged
from certification.protocols import CleanAnswer, Header, Rerolls
from certification.subject import subject_sha256
from service.settings import Settings
from service.state import State
from service.store.ledgers import RedisLedgers
from service.store.seals import Seals
from service.transfer import entry_of

SECRET = "5a" * 32
NAMES = {"cat": "Cat", "dog": "Dog", "bird": "Bird"}
VOTES = ["cat", "dog", None, "cat", "bird", "cat"] * 50
SEALED_ON = "2026-11-24T00:00:00+00:00"
OURS, OTHER = "a" * 64, "b" * 64  # drafts

# What is said of a changed entry, by its key or, after a space, its field.
SAID = {
    "ledger:*": "its header is|it is gone",
    "ledger:* header": "its header is",
    "ledger:* end": r"its end \(length, last MAC, revealed or not\) is",
    "ledger:* alpha": "its alpha is",
    "ledger:* vouched": "its vouched length is",
    "ledger:*:votes": r"holds \d+ votes|votes \d+ to \d+|its votes are not",
    "ledger:*:macs": "their MAC|one MAC for every",
    "ledger:*:labels": "labels",
    "ledger:*:names": "names of labels|the name of its label",
    "drafts": "draft|what was known of it is gone",
    "ledgers": "the index (of ledgers|still)",
}
KIND = {
    "ledger:*": "of another kind are its header",
    "drafts": "drafts, or the index of ledgers, is of another kind",
    "ledgers": "drafts, or the index of ledgers, is of another kind",
} | {
    f"ledger:*:{part}": f"of another kind are its {part}"
    for part in ("votes", "macs", "labels", "names")
}
HARMLESS = {
    "deployment": "ids of secrets: another one may join, and can read nothing that is here",
    "keys": "public keys, each sealed; tests of keys go through them",
    "process:*": "a living process gives its sign again; until then its claims are void",
    "ledger:* added": "nobody reads a field of another name",
    "drafts added": "nobody reads what is of no draft",
    "ledgers added": "a line of no draft is an entry of `surety ledgers check`, and damaged",
}


def header(draft, rerolls=None):
    subject = {"image": {"sha256": draft}, "provider": {"name": "none"}}
    again = {} if rerolls is None else {"rerolls": rerolls.describe()}
    secret = secret_id(bytes.fromhex(SECRET))
    return Header({**subject, **again}, CleanAnswer("cat", "1"), None, 100, "1" * 64, secret)


async def fill(state, draft, votes):
    """Make a draft with two ledgers, one from before a re-roll; return their subjects."""
    first = await state.ledgers.open(draft, header(draft), NAMES)
    await first.append(0, votes[:200])
    await first.spend(0.01)
    told = await state.ledgers.reroll(draft)
    ledger = await state.ledgers.open(draft, header(draft, told), {"cat": "Cat"})
    await ledger.append(0, votes, NAMES)
    await ledger.spend(0.001)
    await ledger.vouch(250)
    await ledger.seal(SEALED_ON)
    return first.subject_sha256, ledger.subject_sha256


class Reader:
    """A process that remembers nothing."""

    def __init__(self, state):
        self.state = state
        self._seals = Seals(state.keyring.current_secret, state.keyring.secrets)

    def forget(self):
        """Begin anew."""
        self.state.ledgers = RedisLedgers(self.state.store, self._seals, self.state.process)
        return self.state.ledgers

    async def run(self):
        """Read what a run does."""
        ledgers = self.forget()
        ledger = await ledgers.find(OURS)
        assert ledger is not None, "it would begin anew"
        assert await ledgers.rerolls(OURS) == Rerolls(1, 0.01)
        assert await ledger.read() == VOTES
        assert (await ledger.spent(), await ledger.vouched()) == (0.001, 250)
        assert (await ledger.names(), ledger.sealed) == (NAMES, SEALED_ON)

    async def check(self):
        """Read what `surety ledgers check` does of the ledgers of this draft."""
        for subject in await self.forget().subjects():
            if subject in self.subjects:
                await entry_of(self.state, subject)


async def refusal(act):
    """Return what is said when something is done, None if it is done."""
    try:
        await act()
    except LedgerDamaged as error:
        return str(error)
    return None


@pytest.fixture
async def reader(tmp_path):
    state = await State.open(Settings(data_dir=tmp_path, secret=SECRET))
    yield Reader(state)
    await state.close()


@pytest.fixture
def client():
    with redis.Redis.from_url(os.environ["SURETY_REDIS_URL"]) as connected:
        yield connected


def changes(value, twin):
    """Yield other values: cut off, emptied, with one bit changed, and another entry's."""
    yield "truncated", value[:-1]
    yield "emptied", b""
    for at in sorted({0, 20, len(value) // 2, len(value) - 1}):
        if at < len(value):
            yield f"byte {at}", value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
    if twin not in (None, value):
        yield "another's", twin


def attacks(client, key, twin, only=b""):
    """Yield every change of an entry: its field, what is done, and how."""
    kind = client.type(key)
    yield "", "deleted", lambda: client.delete(key)
    yield "", "another kind", lambda: (client.delete(key), client.xadd(key, {"a": "b"}))
    if twin is not None:
        yield "", "another's", lambda: client.restore(key, 0, client.dump(twin), replace=True)
    by_kind = {b"hash": of_hash, b"string": of_string, b"list": of_list, b"zset": of_lines}
    yield from by_kind[kind](client, key, twin, only)


def of_hash(client, key, twin, only):
    theirs = client.hgetall(twin or key)
    for field, value in client.hgetall(key).items():
        if field.startswith(only):
            name, other = field.decode(), theirs.get(OTHER.encode() if only else field)
            yield name, "deleted", partial(client.hdel, key, field)
            for what, changed in changes(value, other):
                yield name, what, partial(client.hset, key, field, changed)
    yield "", "added", lambda: client.hset(key, "frog", "Frog")


def of_string(client, key, *_):
    for what, changed in changes(client.get(key), None):
        yield "", what, partial(client.set, key, changed)


def of_list(client, key, *_):
    for place, value in enumerate(client.lrange(key, 0, -1)):
        for what, changed in changes(value, b"frog"):
            yield "", what, partial(client.lset, key, place, changed)
    yield "", "added", lambda: client.rpush(key, "frog")
    yield "", "deleted at the end", lambda: client.rpop(key)


def of_lines(client, key, twin, only):
    def replaced(line, other):
        client.zrem(key, line)
        client.zadd(key, {other: 0})

    for line in client.zrange(key, 0, -1):
        if line.startswith(only):
            yield "", "deleted line", partial(client.zrem, key, line)
            for what, changed in changes(line, None):
                yield "", what, partial(replaced, line, changed)
    yield "", "added to ours", lambda: client.zadd(key, {OURS + ":" + "0" * 64: 0})
    yield "", "added", lambda: client.zadd(key, {"frog": 0})


def called(name):
    """Return how an entry is called in the tables."""
    return re.sub(r"\b[0-9a-f]{16,64}\b", "*", name)


async def test_every_change_of_every_entry_is_named_or_harmless(reader, client):
    prefix = os.environ["SURETY_REDIS_PREFIX"].encode()
    reader.subjects = before, ours = await fill(reader.state, OURS, VOTES)
    *_, other = await fill(reader.state, OTHER, VOTES[::-1])
    seen, wrong = set(), []
    for key in sorted(client.scan_iter(prefix + b"*")):
        name = key.removeprefix(prefix).decode()
        seen.add(called(name))
        in_use = ours in name or name in ("drafts", "ledgers")
        if called(name) in HARMLESS or not (in_use or before in name):
            continue
        twin = key.replace((ours if in_use else before).encode(), other.encode())
        only = OURS.encode() if name in ("drafts", "ledgers") else b""
        kept = client.dump(key)
        for field, what, attack in [*attacks(client, key, twin if twin != key else None, only)]:
            entry = next(e for e in (f"{called(name)} {field}", called(name)) if e in SAID)
            seen.add(entry)
            attack()
            # What is in use must be refused to a run; the rest is not read by one.
            said = await refusal(reader.run if in_use else reader.check)
            client.restore(key, 0, kept, replace=True)
            if said is None:
                if f"{called(name)} {what}" not in HARMLESS:
                    wrong.append((name, field, what, said))
            elif not re.search(KIND[called(name)] if what == "another kind" else SAID[entry], said):
                wrong.append((name, field, what, said))
    assert not wrong, "\n".join(map(str, wrong))
    assert seen == {*SAID} | {name for name in HARMLESS if " " not in name}
    assert await refusal(reader.run) is await refusal(reader.check) is None
    assert subject_sha256(header(OURS, Rerolls(1, 0.01))) == ours


async def test_a_change_of_any_byte_of_the_votes_is_found(reader, client):
    _, ours = await fill(reader.state, OURS, VOTES)
    rng, found = random.Random(0), []
    for part in ("votes", "macs"):
        name = reader.state.store.key("ledger", ours, part)
        kept = client.get(name)
        for place in rng.sample(range(len(kept)), 40):
            client.setrange(name, place, bytes([kept[place] ^ 1 << rng.randrange(8)]))
            found.append(await refusal(reader.run))
            client.set(name, kept)
    assert all(found), found
    assert any("votes 128 to 255" in said for said in found)
