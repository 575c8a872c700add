"""`surety reveal`: asks first, hands out the key that was committed to, and seals the ledger."""

import asyncio
import json

import pytest
import typer
from typer.testing import CliRunner

from certification.errors import LedgerConflict, LedgerSealed
from certification.verifying import verify
from service import lasting
from service.commands.reveal import reveal
from service.errors import BadRequest, NotFound
from service.exit_codes import ExitCode
from service.store import ledgers
from tests.service.asked import answered
from tests.service.auditing import SECRET, Turning, certify, install, opened
from tests.service.pictures import png

COMMAND = "import typer; from service.commands.reveal import reveal; typer.run(reveal)"
app = typer.Typer()
app.command()(reveal)


@pytest.fixture(autouse=True)
def _turning(small_providers, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SURETY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SURETY_SECRET", SECRET)
    install(monkeypatch)


@pytest.fixture
def certificate(tmp_path):
    async def issued():
        async with opened(tmp_path) as surety:
            return await certify(surety)

    return asyncio.run(issued())


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def sealed(folder, certificate):
    async def looked():
        async with opened(folder) as surety:
            subject = certificate["proof"]["subject_sha256"]
            ledger = await lasting.ledger_of(surety.state, subject)
            await ledger.read()
            return ledger.sealed

    return asyncio.run(looked())


def test_the_key_is_the_one_that_was_committed_to(certificate, tmp_path):
    ended = run(certificate["id"], "--yes")
    assert ended.exit_code == 0
    assert "sealed first, for good" in ended.stderr
    report = verify(
        json.dumps(certificate).encode(), image=png(), noise_key=ended.stdout_bytes.rstrip()
    )
    assert report.of("noise").status == "passed"
    assert json.loads(ended.stdout)["sealed"] == sealed(tmp_path, certificate)


def test_again_it_is_the_same(certificate, tmp_path):
    first = run(certificate["id"], "--yes")
    assert run(certificate["id"], "--yes", "--output", "key.json").exit_code == 0
    assert (tmp_path / "key.json").read_bytes() == first.stdout_bytes
    refused = run(certificate["id"], "--yes", "--output", "key.json")
    assert isinstance(refused.exception, BadRequest)
    assert "--force" in str(refused.exception)


def test_the_ledger_takes_no_more_votes(certificate, tmp_path):
    run(certificate["id"], "--yes")

    async def more():
        async with opened(tmp_path) as surety:
            assert await certify(surety) == certificate  # counts no more than there is
            with pytest.raises(LedgerSealed):
                await certify(surety, max_votes=100)

    asyncio.run(more())


def test_nothing_happens_without_a_yes(certificate, tmp_path):
    ended = run(certificate["id"])
    assert isinstance(ended.exception, BadRequest)
    assert "--yes" in str(ended.exception)
    assert sealed(tmp_path, certificate) == ""


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", ExitCode.DONE), (b"n\n", 130)])
def test_it_asks_on_a_terminal(answer, code, certificate, tmp_path):
    ended, printed = answered(answer, COMMAND, certificate["id"])
    assert ended == code
    assert (b"key_sha256" in printed) is (code == ExitCode.DONE)
    assert (sealed(tmp_path, certificate) != "") is (code == ExitCode.DONE)


def test_the_file_is_looked_at_before_anything_is_sealed(certificate, tmp_path):
    ended = run(certificate["id"], "--yes", "--output", "nowhere/key.json")
    assert isinstance(ended.exception, BadRequest)
    assert sealed(tmp_path, certificate) == ""


def test_a_certificate_that_is_not_here():
    assert isinstance(run("0" * 32, "--yes").exception, NotFound)


def test_a_ledger_that_a_run_adds_to_is_not_sealed(certificate, tmp_path, monkeypatch):
    monkeypatch.setattr(ledgers, "FREE_SECONDS", 0.05)
    monkeypatch.setattr(ledgers, "POLL_SECONDS", 0.01)

    async def waited(work):
        return await work

    async def conflict():
        async with opened(tmp_path) as running, opened(tmp_path) as surety:
            subject = certificate["proof"]["subject_sha256"]
            ledger = await lasting.ledger_of(running.state, subject)
            for one in (running, surety):  # the same process as the run's, and another
                async with running.state.ledgers.hold(ledger.draft, waited):
                    with pytest.raises(LedgerConflict, match="a run is adding"):
                        await lasting.reveal(one.state, one.machine, certificate["id"])
            await ledger.read()
            assert ledger.sealed == ""
            assert (await lasting.reveal(surety.state, surety.machine, certificate["id"]))["sealed"]

    asyncio.run(conflict())
    assert Turning.asked == []
