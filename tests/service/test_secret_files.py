"""Secrets from files: they go before the environment, and what is wrong is told without them."""

import os
from pathlib import Path

import pytest

from service import secret_files
from service.app import create_app
from service.errors import ConfigurationError
from service.keys import load_keyring
from service.load_settings import load_settings
from service.settings import Settings

SECRET, SEED, OTHER = "5a" * 32, "b7" * 32, "c9" * 32


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "secrets"
    made.mkdir()
    monkeypatch.setattr(secret_files, "USUAL", made)
    return made


@pytest.fixture
def credentials(monkeypatch):
    """The environment as it was afterwards: those of files are put into it."""
    for name in ("VISION_KEY", "CLARIFAI_PAT"):
        monkeypatch.setenv(name, "before")


def put(folder, **files):
    for name, text in files.items():
        (folder / name).write_text(text)


def test_keys(folder, tmp_path):
    put(folder, surety_secret=f"{SECRET}\n", SURETY_SIGNING_KEY=SEED, surety_old_secrets=OTHER)
    keyring = load_keyring(load_settings(data_dir=tmp_path / "data"))
    assert keyring.current_secret == bytes.fromhex(SECRET)
    assert bytes.fromhex(OTHER) in keyring.secrets.values()
    assert {key.origin for key in keyring.public_keys} == {"SURETY_SIGNING_KEY"}


def test_files_go_before_the_environment_and_options_before_files(folder, monkeypatch):
    monkeypatch.setenv("SURETY_REDIS_URL", "redis://environment")
    monkeypatch.setenv("SURETY_PROVIDER", "environment")
    (folder.parent / ".env").write_text("SURETY_PROVIDER=dotenv\nSURETY_DENOISER=dotenv\n")
    put(folder, surety_redis_url="rediss://:hidden@file", surety_port="1")
    settings = load_settings(port=2)
    assert settings.redis_url.get_secret_value() == "rediss://:hidden@file"
    assert (settings.port, settings.provider, settings.denoiser) == (2, "environment", "dotenv")


def test_without_a_command(folder):
    """An application that somebody else's server runs reads them too."""
    put(folder, surety_secret=SECRET)
    assert Settings().secret.get_secret_value() == SECRET
    assert create_app().title == "Surety"


def test_another_folder(folder, tmp_path, monkeypatch):
    put(folder, surety_provider="usual")
    other = tmp_path / "other"
    other.mkdir()
    put(other, surety_provider="other")
    monkeypatch.setenv("SURETY_SECRETS_DIR", str(other))
    assert load_settings().provider == "other"
    monkeypatch.setenv("SURETY_SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="SURETY_SECRETS_DIR names no folder"):
        load_settings()


def test_no_folder(folder, monkeypatch):
    folder.rmdir()
    monkeypatch.delenv("SURETY_REDIS_URL")
    assert load_settings().redis_url is None


def test_credentials_of_providers(folder, credentials):
    put(folder, vision_key="k\n", CLARIFAI_PAT="p")
    load_settings()
    assert (os.environ["VISION_KEY"], os.environ["CLARIFAI_PAT"]) == ("k", "p")


def test_secrets_of_ours_stay_out_of_the_environment(folder):
    put(folder, surety_secret=SECRET)
    load_settings()
    assert "SURETY_SECRET" not in os.environ


def test_other_files_are_passed_over(folder, monkeypatch):
    put(folder, **{"google.json": "{}", ".hidden": "x", "2fa": "x"})
    (folder / "surety_provider").mkdir()
    (folder / "rhsm").mkdir()
    before = dict(os.environ)
    with pytest.warns(UserWarning, match="found a directory"):
        assert load_settings().provider == "local"
    assert dict(os.environ) == before


def test_a_setting_that_does_not_exist_is_told(folder, capsys):
    put(folder, surety_sekret=SECRET)
    load_settings()
    said = capsys.readouterr().err
    assert said == "warning: there is no setting SURETY_SEKRET: is SURETY_SECRET meant?\n"


def test_no_text(folder):
    (folder / "surety_secret").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"the secret .*surety_secret is no text"):
        load_settings()


def test_a_file_that_may_not_be_read(folder, monkeypatch):
    put(folder, surety_secret=SECRET)

    def refuse(self: Path, **_: str) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)  # root may read everything
    with pytest.raises(ConfigurationError, match=r"surety_secret cannot be read .*: user \d+"):
        load_settings()


@pytest.mark.parametrize("value", ["", "abab", "zz" * 32])
def test_a_malformed_secret_is_told_without_it(folder, tmp_path, value):
    put(folder, surety_secret=value)
    with pytest.raises(ConfigurationError) as caught:
        load_keyring(load_settings(data_dir=tmp_path / "data"))
    assert "SURETY_SECRET must hold 64 hexadecimal digits" in str(caught.value)
    assert not value or value not in str(caught.value)
