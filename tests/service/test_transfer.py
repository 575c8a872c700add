"""Export and import: two deployments with two secrets, and whatever may stand in the way."""

import contextlib
import io
import json
from pathlib import Path

import pytest

import adapters.registry
from certification.errors import InvalidParameter, LedgerConflict, LedgerDamaged
from certification.protocols import CleanAnswer, Header, Rerolls
from service.core import Surety
from service.ledger_entry import draft_of, from_line, to_line
from service.ledger_file import Writer
from service.transfer import entry_of, export_ledgers, import_ledgers
from tests.service.auditing import Turning, install
from tests.service.pictures import png
from tests.service.transferring import (
    SECRETS,
    begin,
    deployment,
    everything,
    exported,
    header,
    imported,
    settings,
    subject,
    trusted,
    votes,
)

THEIRS = bytes.fromhex(SECRETS["there"])


@pytest.fixture
async def here(tmp_path):
    async with deployment(tmp_path, "here") as state:
        yield state


@pytest.fixture
async def there(tmp_path):
    async with deployment(tmp_path, "there") as state:
        yield state


async def carried(there, here, subjects=None):
    """Carry ledgers over; returns what came of each, by the subject."""
    data = await exported(there, subjects)
    return {one.subject: one for one in await imported(here, data, trusted(there))}


async def kept(state, subject_sha256):
    ledger = await state.ledgers.of_subject(subject_sha256)
    return await ledger.read()


def signed(state, *entries):
    """Write a file with these entries, whatever they are."""
    out = io.BytesIO()
    writer = Writer(out, state.keyring.signer)
    writer.begin(len(entries), [])
    for entry in entries:
        writer.add(entry if isinstance(entry, bytes) else to_line(entry))
    writer.end()
    return out.getvalue()


async def test_all_of_a_ledger_comes_over(here, there):
    ledger = await begin(there, subject(), votes(300), milestone=100, alpha=0.01)
    await ledger.vouch(250)
    await begin(there, subject("b"), [])
    found = await carried(there, here)
    assert {one.outcome for one in found.values()} == {"added"}
    assert found[ledger.subject_sha256].votes == 300
    for name in found:
        assert await entry_of(here, name) == await entry_of(there, name)
    ours = await here.ledgers.find(ledger.draft)
    assert ours.header_bytes == ledger.header_bytes
    assert (await ours.read(), dict(await ours.names())) == (
        votes(300),
        {"cat": "Cat", "dog": "Dog"},
    )
    assert (await ours.spent(), await ours.vouched()) == (0.01, 250)
    assert ours.keeper == here.keyring.current_secret_id
    assert ours.header.secret_id == there.keyring.current_secret_id


async def test_an_import_can_be_repeated(here, there):
    ledger = await begin(there, subject(), votes(200))
    await ledger.seal("2026-01-02T03:04:05+00:00")
    await begin(there, subject("b"), votes(130))
    await carried(there, here)
    before = await everything(here)
    assert {one.outcome for one in (await carried(there, here)).values()} == {"left"}
    assert await everything(here) == before


async def test_many_labels_and_odd_ones_survive(here, there):
    labels = [f"label {i}" for i in range(200)] + [
        "",
        " ",
        "\n\u2028\0",
        'a"\\b',
        "é",
        "\U0001f600",
    ]
    cast = [labels[i % len(labels)] for i in range(500)]
    ledger = await begin(there, subject(), cast)
    await carried(there, here)
    assert await kept(here, ledger.subject_sha256) == cast


async def test_a_hundred_thousand_votes_take_less_than_a_megabyte(here, there):
    ledger = await begin(there, subject(), [])
    for start in range(0, 100_000, 50_000):
        await ledger.append(start, votes(100_000)[start : start + 50_000])
    data = await exported(there)
    assert max(map(len, data.splitlines())) < 10**6
    (one,) = await imported(here, data, trusted(there))
    assert (one.outcome, one.votes) == ("added", 100_000)
    assert await kept(here, one.subject) == votes(100_000)
    await (await here.ledgers.of_subject(one.subject)).append(100_000, ["cat"])


async def test_ours_is_extended_and_never_cut(here, there):
    """Here and there the same ledger, since there it was imported from here."""
    ours = await begin(here, subject(), votes(150))
    assert (await carried(here, there))[ours.subject_sha256].outcome == "added"
    theirs = await there.ledgers.of_subject(ours.subject_sha256)
    await theirs.append(150, votes(400)[150:], {"owl": "Owl"})
    await theirs.spend(0.05)
    found = (await carried(there, here))[ours.subject_sha256]
    assert (found.outcome, found.votes) == ("extended", 250)
    assert await ours.read() == votes(400)
    assert await ours.spent() == 0.05
    assert (await ours.names())["owl"] == "Owl"
    await ours.append(400, ["dog", "cat"])
    assert (await carried(there, here))[ours.subject_sha256].outcome == "left"
    assert await ours.read() == [*votes(400), "dog", "cat"]


async def test_what_differs_is_refused_and_the_others_go_on(here, there):
    """Another key, differing votes, other choices."""
    first = await begin(here, subject("a"), votes(50))
    second = await begin(here, subject("b"), votes(50, seed=1), secret=THEIRS)
    third = await begin(here, subject("c"), votes(50), secret=THEIRS, milestone=100)
    await begin(there, subject("a"), votes(80))
    await begin(there, subject("b"), votes(80))
    await begin(there, subject("c"), votes(80), milestone=200)
    fourth = await begin(there, subject("d"), votes(80))
    before = await everything(here)
    found = await carried(there, here)
    said = {
        first.subject_sha256: "another noise key and secret",
        second.subject_sha256: "vote 0 differs",
        third.subject_sha256: "another milestone",
    }
    for name, why in said.items():
        assert found[name].outcome == "refused"
        assert why in found[name].detail
    assert found[fourth.subject_sha256].outcome == "added"
    after = await everything(here)
    for all_of_them in ("ledgers", "drafts"):
        mine = before.pop(all_of_them)
        assert {name: after[all_of_them][name] for name in mine} == mine
    assert {name: after[name] for name in before} == before


async def test_sealed_stays_sealed(here, there):
    when = "2026-01-02T03:04:05+00:00"
    ours = await begin(here, subject(), votes(100))
    await carried(here, there)
    theirs = await there.ledgers.of_subject(ours.subject_sha256)
    await theirs.append(100, votes(120)[100:])
    await theirs.seal(when)
    assert (await carried(there, here))[ours.subject_sha256].outcome == "extended"
    assert await ours.read() == votes(120)
    assert ours.sealed == when
    with pytest.raises(LedgerConflict):
        await ours.append(120, ["cat"])
    # The other way: what is sealed takes no votes that came after.
    back = await begin(here, subject("b"), votes(30))
    await carried(here, there, [back.subject_sha256])
    await back.seal(when)
    further = await there.ledgers.of_subject(back.subject_sha256)
    await further.append(30, ["cat"])
    found = (await carried(there, here, [back.subject_sha256]))[back.subject_sha256]
    assert found.outcome == "refused"
    assert "revealed" in found.detail
    assert len(await back.read()) == 30
    # A longer one of ours is sealed as well, since the key is known.
    longer = await begin(here, subject("c"), votes(30))
    await carried(here, there, [longer.subject_sha256])
    await (await there.ledgers.of_subject(longer.subject_sha256)).seal(when)
    await longer.append(30, ["dog"])
    found = (await carried(there, here, [longer.subject_sha256]))[longer.subject_sha256]
    assert found.outcome == "sealed"
    assert len(await longer.read()) == 31
    assert longer.sealed == when


async def test_a_run_that_goes_on_is_not_disturbed(here, there):
    ledger = await begin(there, subject(), votes(20))

    async def at_once(entering):
        return await entering

    async with here.ledgers.hold(ledger.draft, at_once):
        found = await carried(there, here)
    assert found[ledger.subject_sha256].outcome == "refused"
    assert "a run is adding" in found[ledger.subject_sha256].detail
    assert (await carried(there, here))[ledger.subject_sha256].outcome == "added"


async def test_a_secret_that_is_known_has_to_give_the_noise_key(there, tmp_path):
    ledger = await begin(there, subject(), votes(5))
    entry = await entry_of(there, ledger.subject_sha256)
    false = Header(
        entry.header.subject,
        entry.header.clean,
        None,
        100,
        "0" * 64,
        entry.header.secret_id,
    )
    data = signed(there, type(entry)(**{**vars_of(entry), "header": false}))
    async with deployment(tmp_path, "here", old_secrets=SECRETS["there"]) as here:
        (one,) = await imported(here, data, trusted(there))
        assert one.outcome == "refused"
        assert "noise key" in one.detail
        assert await here.ledgers.subjects() == []


def vars_of(entry):
    return {name: getattr(entry, name) for name in type(entry).__dataclass_fields__}


CHANGES = {
    "no subject": lambda e: e["header"].pop("subject"),
    "subject": lambda e: e["header"]["subject"].update(sigma=0.5),
    "draft": lambda e: e.update(draft="0" * 64),
    "name": lambda e: e.update(subject_sha256="0" * 64),
    "version": lambda e: e["header"]["clean"].update(model_version="v2"),
    "key": lambda e: e["header"].update(key_sha256="0"),
    "vote beyond": lambda e: e["votes"].append(9),
    "vote below": lambda e: e["votes"].append(-1),
    "vote true": lambda e: e["votes"].append(True),
    "vote text": lambda e: e["votes"].append("cat"),
    "vote null": lambda e: e["votes"].append(None),
    "vote float": lambda e: e["votes"].append(0.5),
    "vote list": lambda e: e["votes"].append([]),
    "votes": lambda e: e.update(votes="0112"),
    "label unused": lambda e: e["labels"].append("owl"),
    "label twice": lambda e: e.update(labels=["cat", "cat"]),
    "label number": lambda e: e.update(labels=[1, 2]),
    "codes swapped": lambda e: e.update(votes=[(0, 2, 1)[code] for code in e["votes"]]),
    "names": lambda e: e["names"].update(cat=1),
    "alpha": lambda e: e.update(alpha=0.6),
    "alpha below": lambda e: e.update(alpha=-1),
    "vouched": lambda e: e.update(vouched=21),
    "sealed": lambda e: e.update(sealed=""),
    "current": lambda e: e.update(current=1),
    "spoilt": lambda e: e.update(spoilt=-1),
    "rerolls": lambda e: e.update(rerolls={"count": 0, "alpha_spent": 0}),
    "more": lambda e: e.update(more=1),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_line_that_is_no_ledger_is_refused_although_it_is_signed(change, here, there):
    ledger = await begin(there, subject(), votes(20))
    other = await begin(there, subject("b"), votes(20))
    entries = [await entry_of(there, x.subject_sha256) for x in (ledger, other)]
    told = json.loads(to_line(entries[0]))
    CHANGES[change](told)
    bad = json.dumps(told, separators=(", ", ": "), ensure_ascii=False).encode()
    found = await imported(here, signed(there, bad, entries[1]), trusted(there))
    assert [one.outcome for one in found] == ["refused", "added"], found[0]
    assert found[0].subject == "line 2"
    assert await here.ledgers.subjects() == [other.subject_sha256]


async def test_json_that_is_none_is_refused_although_it_is_signed(here, there):
    entry = await entry_of(there, (await begin(there, subject(), votes(9))).subject_sha256)
    line = to_line(entry)
    twice = line[:-1] + b',"alpha":0.001}'
    lines = [b"[" * 5000, b"x" * 300, b'{"votes":' + b"9" * 6000 + b"}", twice, line[:-1]]
    found = await imported(here, signed(there, *lines), trusted(there))
    assert {one.outcome for one in found} == {"refused"}
    assert await here.ledgers.subjects() == []


async def test_a_line_is_read_as_it_was_written(there):
    ledger = await begin(there, subject(), votes(300))
    entry = await entry_of(there, ledger.subject_sha256)
    assert from_line(to_line(entry)) == entry


async def test_rerolls_and_spoilt_ledgers_are_not_forgotten(here, there):
    first = await begin(there, subject(), votes(40), alpha=0.01)
    told = await there.ledgers.reroll(first.draft)
    second = await begin(there, subject(rerolls=told), votes(30, seed=2))
    found = await carried(there, here)
    assert {one.outcome for one in found.values()} == {"added"}
    assert await here.ledgers.rerolls(first.draft) == Rerolls(1, 0.01) == told
    in_use = await here.ledgers.find(first.draft)
    assert in_use.subject_sha256 == second.subject_sha256
    version = 'canary [["cat",0.9]]'
    spoilt = await begin(there, subject("b", version), votes(10))
    await there.ledgers.spoil(spoilt.draft)
    later = await begin(there, subject("b", f"{version} #1"), votes(10))
    await carried(there, here)
    assert await here.ledgers.spoiled(spoilt.draft) == 1
    assert (await here.ledgers.find(spoilt.draft)).subject_sha256 == later.subject_sha256


async def test_a_ledger_that_was_rerolled_or_spoilt_there_is_in_use_no_more_here(here, there):
    version = 'canary [["cat",0.9]]'
    ours = await begin(here, subject(), votes(40))
    other = await begin(here, subject("b", version), votes(40))
    await carried(here, there)
    told = await there.ledgers.reroll(ours.draft)
    await there.ledgers.spoil(other.draft)
    await carried(there, here)
    assert await here.ledgers.find(ours.draft) is None
    assert await here.ledgers.rerolls(ours.draft) == told
    assert await here.ledgers.find(other.draft) is None
    assert await here.ledgers.spoiled(other.draft) == 1


async def test_a_retired_ledger_does_not_come_into_use(here, there):
    old = await begin(there, subject(version="v1"), votes(10))
    new = await begin(there, subject(version="v2"), votes(10))
    await carried(there, here, [old.subject_sha256])
    assert await here.ledgers.find(old.draft) is None
    await carried(there, here)
    assert (await here.ledgers.find(old.draft)).subject_sha256 == new.subject_sha256
    # Nor does another one take the place of ours.
    await begin(here, subject(version="v3"), votes(10))
    await carried(there, here)
    in_use = await here.ledgers.find(old.draft)
    assert in_use.header.clean.model_version == "v3"


async def test_a_reroll_here_is_not_undone_by_an_older_file(here, there):
    ours = await begin(here, subject(), votes(40))
    await carried(here, there)
    told = await here.ledgers.reroll(ours.draft)
    assert {one.outcome for one in (await carried(there, here)).values()} == {"left"}
    assert await here.ledgers.find(ours.draft) is None
    assert await here.ledgers.rerolls(ours.draft) == told


async def test_the_draw_of_another_deployment_is_not_taken_for_a_reroll_of_ours(here, there):
    """Else the luckier of two draws could be had, and certificates would tell of one."""
    ours = await begin(here, subject(), votes(40))
    theirs = await begin(there, subject(), votes(40))
    told = await there.ledgers.reroll(theirs.draft)
    again = await begin(there, subject(rerolls=told), votes(40))
    before = await everything(here)
    for names in (None, [again.subject_sha256]):
        found = await carried(there, here, names)
        assert {one.outcome for one in found.values()} == {"refused"}
        assert "no certificate tells of" in found[again.subject_sha256].detail
    assert await everything(here) == before
    assert (await here.ledgers.find(ours.draft)).subject_sha256 == ours.subject_sha256


async def test_a_draw_that_was_given_up_here_is_not_hidden_by_one_that_was_given_up_there(
    here, there
):
    """Two draws were given up, and the larger of two counts is 1."""
    ours = await begin(here, subject(), votes(40), alpha=0.3)
    theirs = await begin(there, subject(), votes(40), alpha=0.4)
    other = await begin(there, subject(version="v0"), votes(40), alpha=0.4)
    told = await here.ledgers.reroll(ours.draft)
    again = await begin(there, subject(rerolls=await there.ledgers.reroll(theirs.draft)), votes(40))
    before = await everything(here)
    names = [again.subject_sha256, other.subject_sha256]
    for chosen in (None, names[:1], names):
        found = await carried(there, here, chosen)
        assert {one.outcome for one in found.values()} == {"refused"}
        assert "no certificate tells of" in found[again.subject_sha256].detail
    assert await everything(here) == before
    assert await here.ledgers.find(ours.draft) is None
    assert await here.ledgers.rerolls(ours.draft) == told == Rerolls(1, 0.3)


async def test_a_draw_that_was_given_up_here_and_there_is_one(here, there):
    ours = await begin(here, subject(), votes(40), alpha=0.3)
    await carried(here, there)
    await here.ledgers.reroll(ours.draft)
    await (await there.ledgers.find(ours.draft)).spend(0.4)
    told = await there.ledgers.reroll(ours.draft)
    again = await begin(there, subject(rerolls=told), votes(30, seed=2))
    found = await carried(there, here)
    assert [one.outcome for one in found.values()].count("refused") == 0
    assert await here.ledgers.rerolls(ours.draft) == told == Rerolls(1, 0.4)
    assert (await here.ledgers.find(ours.draft)).subject_sha256 == again.subject_sha256


async def test_a_damaged_ledger_stops_the_export_or_is_named_in_it(here, there):
    for picture in "abc":
        await begin(there, subject(picture), votes(200))
    names = await there.ledgers.subjects()
    await there.store.brisk(
        lambda redis: redis.setrange(there.store.key("ledger", names[1], "votes"), 6, b"\0")
    )
    await there.store.brisk(lambda redis: redis.delete(there.store.key("ledger", names[2])))
    out = io.BytesIO()
    with pytest.raises(LedgerDamaged, match=names[1][:16]):
        await export_ledgers(there, out)
    with pytest.raises(InvalidParameter):  # what was written until then is no file of ledgers
        await imported(here, out.getvalue(), trusted(there))
    data = await exported(there, skip_damaged=True)
    manifest = json.loads(data.splitlines()[0])
    assert [one["subject_sha256"] for one in manifest["left_out"]] == names[1:]
    assert manifest["count"] == 1
    assert "votes 0 to 127" in manifest["left_out"][0]["reason"]
    assert [one.outcome for one in await imported(here, data, trusted(there))] == ["added"]


async def test_a_damaged_ledger_of_ours_is_not_touched(here, there):
    ours = await begin(here, subject(), votes(200))
    name = ours.subject_sha256
    await carried(here, there)
    await (await there.ledgers.of_subject(name)).append(200, ["cat"])
    del ours
    await here.store.brisk(
        lambda redis: redis.setrange(here.store.key("ledger", name, "votes"), 6, b"\0")
    )
    before = await everything(here)
    found = (await carried(there, here))[name]
    assert found.outcome == "refused"
    assert "votes 0 to 127" in found.detail
    assert await everything(here) == before


async def test_an_interrupted_import_is_made_good_by_the_next(here, there):
    for picture in "abcd":
        await begin(there, subject(picture), votes(200))
    data, trust = await exported(there), trusted(there)
    taking = import_ledgers(here, io.BytesIO(data), trust)
    async with contextlib.aclosing(taking):
        assert (await anext(taking)).outcome == "added"
        assert (await anext(taking)).outcome == "added"
    assert len(await here.ledgers.subjects()) == 2
    outcomes = [one.outcome for one in await imported(here, data, trust)]
    assert outcomes == ["left", "left", "added", "added"]


async def test_nothing_secret_is_in_the_file(there):
    await begin(there, subject(), votes(200))
    data = await exported(there)
    told = [SECRETS["there"].encode(), bytes.fromhex(SECRETS["there"])]
    keys = json.loads((there_folder(there) / "keys.json").read_text())
    told += [entry["seed"].encode() for entry in keys["signing_keys"]]
    assert not any(secret in data for secret in told)


def there_folder(state):
    origin = next(k.origin for k in state.keyring.public_keys if k.current)
    return Path(origin).parent


@pytest.fixture
def turning(small_providers, monkeypatch):
    install(monkeypatch)
    assert "turning" in adapters.registry._entries()


async def certified(surety, n):
    prepared = await surety.prepare(
        png(), sigma=0.25, provider="turning", denoiser="none", max_votes=n, good_enough=None
    )
    return (await surety.certify(prepared)).document


async def test_with_the_secret_an_imported_ledger_goes_on_as_it_would_have_there(tmp_path, turning):
    first = settings(tmp_path, "there", max_votes=2000)
    async with Surety.opened(first) as there:
        begun = await certified(there, 60)
        name = begun["proof"]["subject_sha256"]
        data, trust = await exported(there.state), trusted(there.state)
        short = await kept(there.state, name)
        undisturbed = await certified(there, 160)
        expected = await kept(there.state, name)
    assert len({*expected}) == 2
    asked = len(Turning.asked)

    async with Surety.opened(settings(tmp_path, "here", max_votes=2000)) as here:
        (one,) = await imported(here.state, data, trust)
        assert one.outcome == "added"
        with pytest.raises(LedgerConflict, match="SURETY_OLD_SECRETS"):
            await certified(here, 160)
        assert await kept(here.state, name) == short
    assert len(Turning.asked) == asked

    known = settings(tmp_path, "here", max_votes=2000, old_secrets=SECRETS["there"])
    async with Surety.opened(known) as here:
        again = await certified(here, 160)
        assert (await kept(here.state, name))[: len(expected)] == expected[:]
    assert again["proof"] == undisturbed["proof"]
    assert again["id"] == undisturbed["id"]
    assert again["signature"]["key_id"] != undisturbed["signature"]["key_id"]


async def test_the_secret_of_the_header_and_the_clean_answer_stay(here, there):
    made = header(THEIRS, subject())
    abstained = Header(
        made.subject, CleanAnswer(None, "v1"), None, 7, made.key_sha256, made.secret_id
    )
    ledger = await there.ledgers.open(draft_of(subject()), abstained, {})
    await carried(there, here)
    ours = await here.ledgers.of_subject(ledger.subject_sha256)
    assert ours.header == abstained
