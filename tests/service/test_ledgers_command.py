"""`surety ledgers` and `surety clean`: what an operator sees and does."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from certification.errors import InvalidParameter, LedgerConflict, LedgerDamaged
from service.commands.clean import clean
from service.commands.ledgers import app as ledgers_app
from service.errors import BadRequest, NotFound
from service.exit_codes import ExitCode
from tests.service.asked import answered
from tests.service.transferring import (
    SECRETS,
    begin,
    deployment,
    subject,
    trusted,
    votes,
)

ROOT = Path(__file__).parents[2]
COMMAND = "from service.commands.ledgers import app; app()"
app = typer.Typer()
app.command()(clean)
app.add_typer(ledgers_app, name="ledgers")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """The deployment `here` is that of the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    choose(monkeypatch, tmp_path, "here")


def choose(monkeypatch, folder, name):
    base = os.environ["SURETY_REDIS_PREFIX"].split(":")[0]
    monkeypatch.setenv("SURETY_DATA_DIR", str(folder / name))
    monkeypatch.setenv("SURETY_SECRET", SECRETS[name])
    monkeypatch.setenv("SURETY_REDIS_PREFIX", f"{base}:{name}:")


@pytest.fixture
def within(tmp_path, monkeypatch):
    """Do something in the deployment of the environment."""

    def do(work):
        async def opened():
            prefix = os.environ["SURETY_REDIS_PREFIX"]
            name = prefix.split(":")[1]
            async with deployment(tmp_path, name, redis_prefix=prefix) as state:
                return await work(state)

        return asyncio.run(opened())

    return do


@pytest.fixture
def begun(within):
    """Two ledgers; returns their subjects, sorted."""

    async def make(state):
        first = await begin(state, subject("a"), votes(300))
        await begin(state, subject("b"), votes(7), alpha=0.01)
        await first.seal("2026-01-02T03:04:05+00:00")
        return await state.ledgers.subjects()

    return within(make)


def run(*arguments, expect=ExitCode.DONE):
    ended = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert not any(secret in ended.output for secret in SECRETS.values())
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    assert ended.exit_code == expect, ended.output
    return ended


def told(*arguments, expect=ExitCode.DONE):
    return json.loads(run(*arguments, "--json", expect=expect).stdout)


def damage(within, subject_sha256, field="votes", at=6):
    key = f"ledger:{subject_sha256}:{field}"

    async def change(state):
        name = state.store.key(key)
        await state.store.brisk(lambda redis: redis.setrange(name, at, b"\0"))

    within(change)


def test_list_names_every_ledger(begun):
    found = told("ledgers", "list")["ledgers"]
    assert [one["subject_sha256"] for one in found] == begun
    assert sorted(one["n"] for one in found) == [7, 300]
    assert {one["provider"] for one in found} == {"half"}
    assert sorted(one["alpha_spent"] for one in found) == [0.001, 0.01]
    assert sorted(str(one["sealed"])[:10] for one in found) == ["2026-01-02", "None"]
    printed = run("ledgers", "list").stdout
    for one in found:
        for part in (one["subject_sha256"][:8], one["image_sha256"][:8], one["secret_id"]):
            assert part in printed


def test_list_without_any(within):
    assert told("ledgers", "list") == {"ledgers": []}
    assert "no ledger yet" in run("ledgers", "list").stdout


def test_show_tells_all_of_one_by_its_beginning(begun):
    for name in begun:
        found = told("ledgers", "show", name[:8])
        assert found == told("ledgers", "show", name) == told("ledgers", "show", name.upper())
        assert found["subject_sha256"] == name
        assert sum(found["counts"].values()) + found["abstentions"] == found["n"]
        assert found["in_use"]
        assert found["secret_known"]
        printed = run("ledgers", "show", name[:8]).stdout
        assert name in printed
        assert found["key_sha256"] in printed


def test_show_finds_the_ledger_of_a_certificate(begun, within):
    name = begun[0]
    document = {
        "id": "ab" * 16,
        "created": "2026-01-01T00:00:00+00:00",
        "image": {"sha256": "1" * 64, "source": {}},
        "proof": {
            "label": None,
            "subject": {"provider": {"name": "half"}},
            "subject_sha256": name,
        },
    }
    within(lambda state: state.certificates.put(document))
    assert told("ledgers", "show", "ab" * 16)["subject_sha256"] == name


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ("1234567", BadRequest, "at least 8"),
        ("cat", BadRequest, "names no ledger"),
        ("*" * 8, BadRequest, "names no ledger"),
        ("0" * 65, BadRequest, "names no ledger"),
        ("0" * 8, NotFound, "no ledger"),
        ("0" * 32, NotFound, "no ledger"),
    ],
)
def test_what_names_no_ledger_is_refused(given, error, said, begun):
    for command in (("show",), ("check",), ("reroll", "--yes"), ("export", "--output", "o")):
        with pytest.raises(error, match=said):
            run("ledgers", *command, given)
    assert not Path("o").exists()


def test_a_beginning_that_two_share_is_refused(begun, within, monkeypatch):
    from service.store.ledgers import RedisLedgers

    async def alike(self):
        return ["12345678" + "0" * 56, "12345678" + "1" * 56]

    monkeypatch.setattr(RedisLedgers, "subjects", alike)
    with pytest.raises(BadRequest, match="2 subjects"):
        run("ledgers", "show", "12345678")


def test_check_says_where_a_ledger_is_damaged(begun, within):
    assert told("ledgers", "check")["whole"]
    assert "2 of 2 ledgers are whole" in run("ledgers", "check").stdout
    large = next(
        one["subject_sha256"] for one in told("ledgers", "list")["ledgers"] if one["n"] > 9
    )
    small = next(name for name in begun if name != large)
    damage(within, large)
    found = told("ledgers", "check", expect=ExitCode.ABSTAINED)
    assert not found["whole"]
    assert {one["subject_sha256"]: one["status"] for one in found["ledgers"]} == {
        large: "damaged",
        small: "whole",
    }
    printed = run("ledgers", "check", large[:8], expect=ExitCode.ABSTAINED).stdout
    assert "votes 0 to 127" in printed
    assert large in printed
    assert told("ledgers", "check", small[:10])["checked"] == 1
    with pytest.raises(LedgerDamaged, match="votes 0 to 127"):
        run("ledgers", "show", large)


def test_check_misses_a_ledger_that_is_gone(begun, within):
    within(
        lambda state: state.store.brisk(
            lambda redis: redis.delete(state.store.key("ledger", begun[0]))
        )
    )
    found = told("ledgers", "check", expect=ExitCode.ABSTAINED)
    assert "gone" in found["ledgers"][0]["detail"]
    assert "gone" in told("ledgers", "list")["ledgers"][0]["problem"]
    assert "gone" in run("ledgers", "list").stdout


def test_a_ledger_whose_secret_is_missing_is_told_so(begun, within, monkeypatch):
    def forget(value):
        monkeypatch.setenv("SURETY_SECRET", "7e" * 32)
        monkeypatch.setenv("SURETY_OLD_SECRETS", value)

    forget(SECRETS["here"])
    told("ledgers", "list")  # the secret is rotated
    monkeypatch.delenv("SURETY_OLD_SECRETS")
    found = told("ledgers", "check", expect=ExitCode.ABSTAINED)
    assert {one["status"] for one in found["ledgers"]} == {"unknown"}
    assert "SURETY_OLD_SECRETS" in found["ledgers"][0]["detail"]


def test_reroll_says_what_follows_and_is_remembered(begun, within):
    ended = run("ledgers", "reroll", begun[0], "--yes")
    assert "asked and paid for again" in ended.stderr
    assert "1 so far" in ended.stdout
    found = told("ledgers", "show", begun[0])
    assert not found["in_use"]
    assert found["rerolls_of_draft"] == {"count": 1, "alpha_spent": found["alpha_spent"]}
    with pytest.raises(BadRequest, match="in use no more"):
        run("ledgers", "reroll", begun[0], "--yes")


def test_reroll_refuses_while_a_run_adds_to_it(begun, within):
    async def at_once(entering):
        return await entering

    async def held(state):
        ledger = await state.ledgers.of_subject(begun[0])
        async with state.ledgers.hold(ledger.draft, at_once):
            with pytest.raises(LedgerConflict, match="a run is adding"):
                await asyncio.to_thread(run, "ledgers", "reroll", begun[0], "--yes")

    within(held)
    assert told("ledgers", "show", begun[0])["in_use"]


def test_reroll_refuses_without_yes_where_nobody_can_be_asked(begun):
    with pytest.raises(BadRequest, match="--yes"):
        run("ledgers", "reroll", begun[0])
    assert told("ledgers", "show", begun[0])["in_use"]


def test_reroll_asks_on_a_terminal(begun):
    for answer, code, in_use in ((b"n\n", ExitCode.CANCELLED, True), (b"y\n", 0, False)):
        ended, _ = answered(answer, COMMAND, "reroll", begun[0])
        assert ended == code
        assert told("ledgers", "show", begun[0])["in_use"] is in_use


@pytest.fixture
def public(within):
    return within(_public)


async def _public(state):
    return next(iter(trusted(state).values())).hex()


def test_export_and_import(begun, public, within, monkeypatch, tmp_path):
    ended = run("ledgers", "export", "--output", "ledgers.jsonl")
    assert "2 ledgers written" in ended.stderr
    assert len(Path("ledgers.jsonl").read_bytes().splitlines()) == 4
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".surety")]
    keys = {
        "keys": [{"id": within(_key_id), "algorithm": "Ed25519", "public_key": public}],
    }
    Path("keys.json").write_text(json.dumps(keys))
    choose(monkeypatch, tmp_path, "there")
    nothing = {"extended": 0, "sealed": 0, "refused": []}
    found = told("ledgers", "import", "ledgers.jsonl", "--trust", public)
    assert found == {"added": 2, "left": 0, **nothing}
    found = told("ledgers", "import", "ledgers.jsonl", "--trust", "keys.json")
    assert found == {"added": 0, "left": 2, **nothing}
    assert (
        "0 added, 0 extended"
        in run("ledgers", "import", "ledgers.jsonl", "--trust", f" {public.upper()} ").stdout
    )
    assert [one["subject_sha256"] for one in told("ledgers", "list")["ledgers"]] == begun
    printed = run("ledgers", "show", begun[0]).stdout
    assert "takes no more votes" in " ".join(printed.split())


async def _key_id(state):
    return next(iter(trusted(state)))


def test_export_of_one_to_standard_output_and_import_from_it(begun, public, monkeypatch, tmp_path):
    data = run("ledgers", "export", begun[1][:9], "--output", "-").stdout_bytes
    assert len(data.splitlines()) == 3
    choose(monkeypatch, tmp_path, "there")
    read, write = os.pipe()
    with os.fdopen(write, "wb") as end:
        end.write(data)
    with os.fdopen(read, "rb") as pipe:
        ended = subprocess.run(
            [sys.executable, "-c", COMMAND, "import", "-", "--trust", public, "--json"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=pipe,
            capture_output=True,
            timeout=60,
            check=True,
        )
    assert json.loads(ended.stdout)["added"] == 1
    assert [one["subject_sha256"] for one in told("ledgers", "list")["ledgers"]] == begun[1:]


def test_import_tells_what_it_refuses(begun, public, within, monkeypatch, tmp_path):
    run("ledgers", "export", "--output", "ledgers.jsonl")
    choose(monkeypatch, tmp_path, "there")
    within(lambda state: begin(state, subject("a"), votes(3)))
    mine = told("ledgers", "list")["ledgers"][0]["subject_sha256"]
    found = told("ledgers", "import", "ledgers.jsonl", "--trust", public, expect=ExitCode.ABSTAINED)
    assert found["added"] == 1
    assert [one["subject_sha256"] for one in found["refused"]] == [mine]
    assert "another noise key" in found["refused"][0]["reason"]


def test_import_wants_a_deployment_that_is_named(begun, public, monkeypatch, tmp_path):
    run("ledgers", "export", "--output", "ledgers.jsonl")
    with pytest.raises(BadRequest, match="--trust"):
        run("ledgers", "import", "ledgers.jsonl")
    with pytest.raises(InvalidParameter, match="you have named"):
        run("ledgers", "import", "ledgers.jsonl", "--trust", "ab" * 32)
    with pytest.raises(BadRequest, match=r"'no key' is no key of .* cannot be read: No such"):
        run("ledgers", "import", "ledgers.jsonl", "--trust", "no key")
    with pytest.raises(BadRequest, match="'no file' cannot be read"):
        run("ledgers", "import", "no file", "--trust", public)
    Path("ledgers.jsonl").write_bytes(Path("ledgers.jsonl").read_bytes()[:-200])
    with pytest.raises(InvalidParameter, match="cut off"):
        run("ledgers", "import", "ledgers.jsonl", "--trust", public)


def test_export_leaves_no_half_file_and_replaces_none(begun, within):
    Path("there").write_text("mine")
    with pytest.raises(BadRequest, match="--force"):
        run("ledgers", "export", "--output", "there")
    damage(
        within, next(o["subject_sha256"] for o in told("ledgers", "list")["ledgers"] if o["n"] > 9)
    )
    with pytest.raises(LedgerDamaged):
        run("ledgers", "export", "--output", "new")
    with pytest.raises(LedgerDamaged):
        run("ledgers", "export", "--output", "there", "--force")
    assert Path("there").read_text() == "mine"
    assert sorted(path.name for path in Path().iterdir()) == ["here", "there"]
    ended = run(
        *("ledgers", "export", "--skip-damaged", "--force", "--output", "there"),
        expect=ExitCode.ABSTAINED,
    )
    assert "left out" in ended.stderr
    assert len(Path("there").read_bytes().splitlines()) == 3


def test_clean_drops_what_is_past_its_time(within, begun, monkeypatch):
    async def keep(state):
        await state.images.put("a" * 64, b"png")
        name, old = state.store.key("images"), time.time() - 31 * 86_400
        await state.store.brisk(lambda redis: redis.zadd(name, {"a" * 64: old}))

    within(keep)
    nothing = {"images": 0, "runs": 0, "certificates": 0, "jobs": 0, "uploads": 0, "usage": 0}
    assert told("clean", "--dry-run") == {**nothing, "images": 1}
    assert "to be dropped: 1 kept pictures" in run("clean", "--dry-run").stdout
    assert "dropped: 1 kept pictures" in run("clean").stdout
    assert told("clean") == nothing
    assert len(told("ledgers", "list")["ledgers"]) == 2
