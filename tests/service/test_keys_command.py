"""`surety keys`: shows ids and public keys, and asks before it rotates."""

import json

import pytest
from typer.testing import CliRunner

from certification.signing import parse_public_keys
from service.commands.keys import app
from service.errors import BadRequest, ConfigurationError
from service.exit_codes import ExitCode
from tests.service.asked import answered
from tests.service.keyrings import OTHER, OWN, hidden

COMMAND = "from service.commands.keys import app; app()"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SURETY_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def keys(folder):
    def run(*arguments):
        ended = CliRunner().invoke(app, arguments)
        assert not any(secret in ended.output for secret in hidden(folder))
        return ended

    return run


def listed(keys):
    ended = keys("show", "--json")
    assert ended.exit_code == 0
    return json.loads(ended.stdout)


def test_show_makes_the_keys_and_tells_what_may_be_told(keys, folder):
    ended = keys("show")
    assert ended.exit_code == 0
    (secret,), (public,) = listed(keys)["secrets"], listed(keys)["keys"]
    for told in (secret["id"], public["id"], public["public_key"]):
        assert told in ended.stdout
    assert secret.keys() == {"id", "created", "current", "origin"}
    assert secret["origin"] == public["origin"] == str(folder / "keys.json")


def test_the_json_is_a_file_of_public_keys(keys):
    keys("rotate", "--signing", "--yes")
    found = listed(keys)
    read = parse_public_keys(json.dumps(found))
    assert [public.hex() for public in read.values()] == [e["public_key"] for e in found["keys"]]
    assert [e["current"] for e in found["keys"]] == [False, True]


def test_show_names_the_variable_that_a_key_comes_from(keys, monkeypatch):
    monkeypatch.setenv("SURETY_SECRET", OWN)
    monkeypatch.setenv("SURETY_OLD_SECRETS", OTHER)
    assert "SURETY_SECRET" in keys("show").stdout
    assert listed(keys)["secrets"][-1]["origin"] == "SURETY_SECRET"


@pytest.mark.parametrize(
    ("options", "new", "said"),
    [
        (["--secret"], {"secrets"}, "ledgers"),
        (["--signing"], {"keys"}, "public key"),
        (["--secret", "--signing"], {"secrets", "keys"}, "ledgers"),
    ],
)
def test_rotate_says_what_follows_and_keeps_the_old_ones(options, new, said, keys):
    before = listed(keys)
    ended = keys("rotate", *options, "--yes")
    assert ended.exit_code == 0
    assert said in ended.stderr
    after = listed(keys)
    for kind in ("secrets", "keys"):
        assert [e["id"] for e in after[kind]][:1] == [before[kind][0]["id"]]
        assert len(after[kind]) == (2 if kind in new else 1)
        assert after[kind][-1]["current"]
        assert after[kind][-1]["id"] in ended.stdout


def test_rotate_refuses_without_yes_where_nobody_can_be_asked(keys, folder):
    ended = keys("rotate", "--secret")
    assert isinstance(ended.exception, BadRequest)
    assert "--yes" in str(ended.exception)
    assert not folder.exists()


def test_rotate_wants_to_know_what(keys, folder):
    ended = keys("rotate", "--yes")
    assert isinstance(ended.exception, BadRequest)
    assert "--signing" in str(ended.exception)
    assert not folder.exists()


def test_rotate_refuses_what_the_environment_gives_before_it_asks(keys, folder, monkeypatch):
    monkeypatch.setenv("SURETY_SECRET", OWN)
    ended = keys("rotate", "--secret")
    assert isinstance(ended.exception, ConfigurationError)
    assert "SURETY_OLD_SECRETS" in str(ended.exception)
    assert OWN not in str(ended.exception)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("answer", "code", "secrets"),
    [(b"y\n", ExitCode.DONE, 2), (b"n\n", ExitCode.CANCELLED, 1)],
)
def test_rotate_asks_on_a_terminal(answer, code, secrets, keys, folder):
    listed(keys)
    ended, printed = answered(answer, COMMAND, "rotate", "--secret")
    assert ended == code
    assert (b"signing key" in printed) is (code == ExitCode.DONE)
    assert len(listed(keys)["secrets"]) == secrets
