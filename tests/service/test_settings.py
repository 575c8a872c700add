"""Settings: a wrong one is told in one line and never passed over."""

import re
from pathlib import Path

import pytest

from certification.canonical import Limits
from service.errors import ConfigurationError
from service.load_settings import load_settings
from service.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b'SURETY_SECRET="abab\n', "line 1 of the .env file"),
        (b"SURETY_PORT=1\nSURETY SECRET=abab\n", "line 2 of the .env file"),
        (b"SURETY_SECRET=\xff\xfe\n", "cannot be read"),
        (b"SURETY_PORT=many\n", "SURETY_PORT"),
    ],
)
def test_an_env_file_that_cannot_be_read_is_refused(here, text, says):
    """Passing over a broken SURETY_SECRET would change all the noise."""
    (here / ".env").write_bytes(text)
    with pytest.raises(ConfigurationError, match=says):
        load_settings()


def test_an_env_file(here):
    (here / ".env").write_text("# a remark\n\nexport SURETY_PORT=81\nSURETY_LOG_LEVEL='Warning'\n")
    settings = load_settings()
    assert (settings.port, settings.log_level) == (81, "warning")


@pytest.mark.parametrize(
    ("name", "value"), [("DATA_DIR", ""), ("DATA_DIR", "  "), ("LOG_LEVEL", "nonsense")]
)
def test_values_that_mean_nothing(monkeypatch, name, value):
    monkeypatch.setenv(f"SURETY_{name}", value)
    with pytest.raises(ConfigurationError, match=f"SURETY_{name}"):
        load_settings()


def test_a_setting_that_does_not_exist_is_told(here, monkeypatch, capsys):
    (here / ".env").write_text("SURETY_LOGLEVEL=debug\nOTHER=1\n")
    monkeypatch.setenv("SURETY_SIGMA", "1")
    monkeypatch.setenv("SURETY_ALLOWED_HOST", "surety.example")
    monkeypatch.setenv("SURETY_API_KEY", "as docs/access.md has it for clients")
    load_settings()
    said = capsys.readouterr().err
    assert said.splitlines() == [
        "warning: there is no setting SURETY_ALLOWED_HOST: is SURETY_ALLOWED_HOSTS meant?",
        "warning: there is no setting SURETY_LOGLEVEL: is SURETY_LOG_LEVEL meant?",
        "warning: there is no setting SURETY_SIGMA",
    ]


def test_what_the_makefile_sets_is_a_setting():
    names = re.findall(r"SURETY_\w+|\bSOAK\b", (ROOT / "Makefile").read_text())
    assert "SOAK" in names  # would be warned of under the name of a setting
    assert {n for n in names if n.startswith("SURETY_")} <= {
        f"SURETY_{field.upper()}" for field in Settings.model_fields
    }


def test_the_home_folder_is_found(monkeypatch):
    monkeypatch.setenv("SURETY_DATA_DIR", "~/surety")
    assert load_settings().data_dir == Path.home() / "surety"


def test_the_decoder_and_the_service_have_the_same_limits():
    fields, limits = Settings.model_fields, Limits()
    assert fields["max_pixels"].default == limits.max_pixels
    assert fields["max_upload_bytes"].default == limits.max_bytes


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    """As on a container platform that gives each container a user id of its own."""

    def nobody(*_):
        raise KeyError("uid not found")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("SURETY_DATA_DIR", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setattr("pwd.getpwnam", nobody)
    with pytest.raises(ConfigurationError, match="set SURETY_DATA_DIR"):
        load_settings()
    monkeypatch.setenv("SURETY_DATA_DIR", "~/surety")
    with pytest.raises(ConfigurationError, match=r"SURETY_DATA_DIR: .*no such home folder"):
        load_settings()
    monkeypatch.setenv("SURETY_DATA_DIR", "/srv/surety")
    assert str(load_settings().data_dir) == "/srv/surety"
