"""`surety certificates`: finds what was issued, and fetches what belongs to each."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
import rfc8785
from typer.testing import CliRunner

from certification.canonical import canonicalise
from certification.errors import LedgerDamaged
from certification.signing import parse_public_keys
from certification.verifying import verify
from service.commands.certificates import app
from service.errors import BadRequest, NotFound
from service.exit_codes import ExitCode
from tests.service.auditing import SECRET, certify, install, opened
from tests.service.pictures import png

NOTHING = "0" * 32


@pytest.fixture(autouse=True)
def _turning(small_providers, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SURETY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SURETY_SECRET", SECRET)
    monkeypatch.setenv("COLUMNS", "120")
    install(monkeypatch)


@pytest.fixture
def in_deployment(tmp_path):
    def done(work):
        async def doing():
            async with opened(tmp_path) as surety:
                return await work(surety)

        return asyncio.run(doing())

    return done


@pytest.fixture
def issue(in_deployment):
    def issued(data=None, **options):
        return in_deployment(lambda surety: certify(surety, data, **options))

    return issued


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def ids(*arguments):
    ended = run(*arguments, "--json")
    assert ended.exit_code == 0, ended.exception
    return [line["id"] for line in json.loads(ended.stdout)["certificates"]]


@pytest.fixture
def three(issue):
    """One abstains; the others are dark, each of another provider."""
    return [
        issue(name="cat.png")["id"],
        issue(png(8, 12), provider="half", name="[red]\x1b[2J.png")["id"],
        issue(provider="closed", max_votes=100, name="cat.png")["id"],
    ]


def test_a_list(three):
    assert sorted(ids()) == sorted(ids("list")) == sorted(three)
    ended = run()
    assert ended.exit_code == 0
    for said in (*three, "dark", "half", "closed", "cat.png", "none", "[red]"):
        assert said in ended.stdout
    assert "\x1b[2J" not in ended.stdout
    assert run("list").stdout == ended.stdout


def test_a_narrow_terminal_leaves_out_columns_and_cuts_no_id(three, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = run().stdout.splitlines()
    for said in (*three, "dark", "100"):
        assert any(said in line for line in lines)
    assert max(map(len, lines)) <= 60
    assert "picture" not in lines[1]


def test_what_is_searched_for(three, tmp_path):
    (tmp_path / "it.png").write_bytes(png())
    first, second, third = three
    upload = hashlib.sha256(png()).hexdigest()
    for image in ("it.png", upload, upload.upper(), canonicalise(png()).sha256):
        assert set(ids("--image", image)) == {first, third}
    assert set(ids("--label", "dark")) == {second, third}
    assert ids("--provider", "half") == [second]
    assert ids("list", "--label", "dark", "--provider", "closed", "--image", "it.png") == [third]
    assert ids("--label", "cat") == []


def test_dates(three):
    now = datetime.now(UTC)
    today, yesterday = (now.date() + timedelta(days=n) for n in (0, -1))
    assert set(ids("--since", yesterday, "--until", today)) == set(three)  # all of today
    assert ids("--since", today + timedelta(days=2)) == []
    assert ids("--until", today - timedelta(days=2)) == []
    assert set(ids("--until", (now + timedelta(hours=1)).isoformat())) == set(three)
    assert ids("--until", f"{today - timedelta(days=2)}T18:30") == []
    for wrong in ("yesterday", "2026-13-01", ""):
        ended = run("--since", wrong)
        assert isinstance(ended.exception, BadRequest)
        assert "2026-11-24" in str(ended.exception)


def test_page_by_page(three):
    first = json.loads(run("--limit", "2", "--json").stdout)
    assert len(first["certificates"]) == 2
    ended = run("--limit", "2")
    assert f"--after {first['next']}" in ended.stderr
    rest = ids("--limit", "2", "--after", first["next"])
    assert {line["id"] for line in first["certificates"]} | set(rest) == set(three)
    assert run("--limit", "0").exit_code == ExitCode.BAD_INPUT


def test_nothing_is_found():
    ended = run()
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "no certificate was found" in ended.stderr
    assert json.loads(run("--json").stdout) == {"certificates": [], "next": None}
    assert run("--image", "none.png").exit_code == ExitCode.BAD_INPUT


def test_an_image_that_is_larger_than_any_upload(tmp_path, monkeypatch):
    monkeypatch.setenv("SURETY_MAX_UPLOAD_BYTES", "1024")
    (tmp_path / "large").write_bytes(b"x" * 1025)
    assert isinstance(run("--image", "large").exception, BadRequest)


def test_a_certificate_comes_as_it_is_signed(issue, tmp_path):
    document = issue(name="cat.png")
    ended = run("show", document["id"], "--json")
    assert ended.stdout_bytes == rfc8785.dumps(document) + b"\n"
    assert run("show", document["id"], "--output", "it.json").exit_code == 0
    assert (tmp_path / "it.json").read_bytes() == ended.stdout_bytes
    assert run("show", document["id"], "--output", "-").stdout_bytes == ended.stdout_bytes
    shown = run("show", document["id"]).stdout
    assert document["id"] in shown
    assert "Certificate of cat.png" in shown
    again = run("show", document["id"], "--output", "it.json")
    assert isinstance(again.exception, BadRequest)
    assert run("show", document["id"], "--output", "it.json", "--force").exit_code == 0


def test_votes_and_picture_pass_all_checks(issue, in_deployment, tmp_path):
    document = issue()

    async def keys(surety):
        return surety.state.keyring.describe()

    votes = run("votes", document["id"])
    assert run("votes", document["id"], "--output", "votes.json").exit_code == 0
    assert (tmp_path / "votes.json").read_bytes() == votes.stdout_bytes
    assert run("image", document["id"], "--output", "it.png").exit_code == 0
    picture = (tmp_path / "it.png").read_bytes()
    assert run("image", document["id"], "--output", "-").stdout_bytes == picture
    report = verify(
        run("show", document["id"], "--json").stdout_bytes,
        keys=parse_public_keys(json.dumps(in_deployment(keys))),
        votes=votes.stdout_bytes,
        image=picture,
    )
    passed = [check.level for check in report.checks if check.status == "passed"]
    assert passed == ["form", "signature", "radius", "image", "votes"]
    assert isinstance(run("image", document["id"], "--output", "it.png").exception, BadRequest)
    assert run("image", document["id"]).exit_code == ExitCode.BAD_INPUT


def test_a_page_with_and_without_the_picture(issue, tmp_path):
    kept = issue()["id"]
    bare = issue(png(8, 12), keep_image=False)["id"]

    def page(*arguments):
        ended = run("picture", *arguments, "--output", "-")
        assert ended.exit_code == 0, ended.exception
        ElementTree.fromstring(ended.stdout)  # noqa: S314  our own
        return "data:image/png" in ended.stdout

    assert page(kept)
    assert page(kept, "--thumbnail")
    assert not page(kept, "--no-thumbnail")
    assert not page(bare)
    refused = run("picture", bare, "--output", "-", "--thumbnail")
    assert isinstance(refused.exception, NotFound)
    assert run("picture", kept, "--output", "page.svg").exit_code == 0
    assert (tmp_path / "page.svg").read_bytes().startswith(b"<svg")


def test_a_page_of_a_file_needs_no_store(issue, tmp_path, monkeypatch):
    document = issue()
    (tmp_path / "it.json").write_text(json.dumps(document, indent=1))
    stored = run("picture", document["id"], "--output", "-", "--no-thumbnail").stdout
    monkeypatch.setenv("SURETY_REDIS_URL", "unix:///nowhere")
    ended = run("picture", "it.json", "--output", "-")
    assert ended.exit_code == 0
    assert ended.stdout == stored
    assert "signature was not checked" in ended.stderr
    for options in (["--thumbnail", "--output", "-"], ["--output", "it.json", "--force"]):
        assert isinstance(run("picture", "it.json", *options).exception, BadRequest)
    document["proof"]["alpha"] = 0.5
    (tmp_path / "it.json").write_text(json.dumps(document))
    ended = run("picture", "it.json", "--output", "-")
    assert isinstance(ended.exception, BadRequest)
    assert "it.json is no certificate: " in str(ended.exception)
    assert run("picture", "none.json", "--output", "-").exit_code == ExitCode.BAD_INPUT


@pytest.mark.parametrize(
    "what", [["show"], ["votes"], ["image", "--output", "x"], ["picture", "--output", "x"]]
)
def test_what_is_not_here(what, tmp_path):
    ended = run(*what, NOTHING)
    assert isinstance(ended.exception, NotFound)
    assert NOTHING in str(ended.exception)
    assert not (tmp_path / "x").exists()


def test_a_picture_that_is_not_kept(issue):
    ended = run("image", issue(keep_image=False)["id"], "--output", "-")
    assert isinstance(ended.exception, NotFound)
    assert "not kept" in str(ended.exception)


def test_votes_of_a_damaged_ledger(issue, in_deployment):
    document = issue()

    async def damage(surety):
        store = surety.state.store
        key = store.key("ledger", document["proof"]["subject_sha256"], "votes")
        await store.patient(lambda redis: redis.setrange(key, 3, b"\x05"))

    in_deployment(damage)
    assert isinstance(run("votes", document["id"]).exception, LedgerDamaged)
