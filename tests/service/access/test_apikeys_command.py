"""`surety apikeys`: makes keys, shows them without secrets, and asks before it takes one away."""

import asyncio
import json
import re

import pytest
from typer.testing import CliRunner

from service.access.token import PATTERN, Token
from service.commands.apikeys import app
from service.commands.stored import with_store
from service.errors import BadRequest, KeyNameTaken, NotFound
from service.exit_codes import ExitCode, of_error
from service.jobs.submit import spec_of, submit
from tests.service.conftest import SECRET
from tests.service.jobs.running import given, grey, opened


@pytest.fixture
def apikeys(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SURETY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SURETY_SECRET", SECRET)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def checked(text):
    return with_store(lambda state: state.api_keys.check(Token.of(text)))


def made(apikeys, *arguments):
    ended = apikeys("create", *arguments, "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def test_the_key_alone_is_on_standard_output(apikeys):
    ended = apikeys("create", "ci", "--scopes", "certify", "--expires", "90d")
    assert ended.exit_code == 0
    text = ended.stdout.strip()
    assert re.fullmatch(PATTERN, text)
    assert text not in ended.stderr
    assert "cannot be shown again" in ended.stderr
    assert "From now on the HTTP API needs a key" in ended.stderr
    key = checked(text)
    assert (key.name, key.scopes) == ("ci", {"certify"})
    again = apikeys("create", "other")
    assert "From now on" not in again.stderr
    assert checked(again.stdout.strip()).scopes == {"certify", "jobs"}


def test_a_name_is_one_keys(apikeys):
    first = made(apikeys, "ci")
    made(apikeys, "night")
    for arguments in (("create", "ci"), ("change", "night", "--name", "ci")):
        ended = apikeys(*arguments)
        assert isinstance(ended.exception, KeyNameTaken)
        assert first["id"] in str(ended.exception)
        assert of_error(ended.exception) == ExitCode.BAD_INPUT
    assert apikeys("revoke", "ci", "--yes").exit_code == 0
    assert made(apikeys, "ci")["id"] != first["id"]


def test_limits_are_read_as_people_write_them(apikeys):
    told = made(
        apikeys, "night", "--scopes", "certify,jobs", "--rate", "5/s", "--budget", "40/month"
    )
    assert (told["rate"], told["budget"], told["budget_period"]) == (5, 40, "month")
    assert told["expires"] is None
    assert checked(told["key"]).id == told["id"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("x", "--scopes", "fly"),
        ("x", "--expires", "yesterday"),
        ("x", "--rate", "fast"),
        ("x", "--rate", "0/s"),
        ("x", "--budget", "40/week"),
        ("",),
    ],
)
def test_what_is_wrong_makes_no_key(apikeys, wrong):
    ended = apikeys("create", *wrong)
    assert isinstance(ended.exception, BadRequest)
    assert not with_store(lambda state: state.api_keys.any())


def test_no_secret_is_ever_shown_again(apikeys):
    assert "no API key yet" in apikeys("list").stderr
    told = made(apikeys, "[red]ci[/]", "--rate", "600/min")
    secret = told.pop("key")
    commands = [("list",), ("show", told["id"]), ("change", told["id"], "--budget", "5/day")]
    for command in commands:
        for options in ((), ("--json",)):
            ended = apikeys(*command, *options)
            assert ended.exit_code == 0, ended.output
            assert told["id"] in ended.stdout
            assert secret.rpartition("_")[2] not in ended.output
            assert "[red]ci[/]" in ended.stdout
    (listed,) = json.loads(apikeys("list", "--json").stdout)["api_keys"]
    assert listed == {**told, "budget": 5, "budget_period": "day"}
    assert "10/s" in apikeys("show", told["id"][:6]).stdout


def test_changing_says_what(apikeys):
    told = made(apikeys, "ci", "--rate", "5/s", "--expires", "90d")
    with pytest.raises(BadRequest, match="--rate"):
        raise apikeys("change", "ci").exception
    ended = apikeys("change", "ci", "--rate", "none", "--expires", "never", "--scopes", "read")
    assert ended.exit_code == 0
    assert "within two seconds" in ended.stderr
    key = checked(told["key"])
    assert (key.rate, key.expires, key.scopes) == (None, None, {"read"})
    assert isinstance(apikeys("change", "nobody", "--rate", "1").exception, NotFound)


def test_revoking_asks_and_says_what_goes_on(apikeys, tmp_path, small_providers):
    told = made(apikeys, "ci")

    async def with_a_job():
        async with opened(tmp_path) as surety:
            spec = await spec_of(surety, {"sigma": 0.5}, owner=told["id"])
            return await submit(surety, spec, given(grey(1)))

    job = asyncio.run(with_a_job())
    refused = apikeys("revoke", "ci")
    assert isinstance(refused.exception, BadRequest)
    assert "--yes" in str(refused.exception)
    assert checked(told["key"])
    ended = apikeys("revoke", "ci", "--yes")
    assert ended.exit_code == 0
    assert job.id in ended.stderr
    assert "no key counts any more" in ended.stderr
    assert checked(told["key"]) is None
    assert json.loads(apikeys("revoke", told["id"], "--yes", "--json").stdout)["jobs"] == [job.id]
    assert "revoked" in apikeys("list").stdout


def test_rotating_asks_where_clients_are_cut_off(apikeys):
    told = made(apikeys, "ci")
    assert isinstance(apikeys("rotate", "ci").exception, BadRequest)
    after = apikeys("rotate", "ci", "--overlap", "24h")
    assert after.exit_code == 0
    assert "old secret" in after.stderr
    assert checked(told["key"])
    assert checked(after.stdout.strip()).id == told["id"]
    last = json.loads(apikeys("rotate", "ci", "--yes", "--json").stdout)["key"]
    assert checked(last)
    assert checked(told["key"]) is None
    assert checked(after.stdout.strip()) is None


def test_clearing_needs_that_no_key_counts(apikeys):
    made(apikeys, "ci")
    assert isinstance(apikeys("clear", "--yes").exception, BadRequest)
    apikeys("revoke", "ci", "--yes")
    assert isinstance(apikeys("clear").exception, BadRequest)  # nobody can be asked
    assert with_store(lambda state: state.api_keys.any())
    assert apikeys("clear", "--yes").exit_code == 0
    assert not with_store(lambda state: state.api_keys.any())
