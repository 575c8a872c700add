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


def test_a_folder_of_secrets_that_only_the_env_file_names_is_refused(here, monkeypatch):
    """It would be passed over, and new keys be made."""
    (here / ".env").write_text(f"SURETY_SECRETS_DIR={here}\n")
    with pytest.raises(ConfigurationError, match="SURETY_SECRETS_DIR does nothing in"):
        load_settings()
    monkeypatch.setenv("SURETY_SECRETS_DIR", str(here))  # goes before the file
    load_settings()


def test_what_is_looked_for_in_the_environment_alone_is_told(here, monkeypatch, capsys):
    lines = "SURETY_GOOGLE_ENDPOINT=http://127.0.0.1:1\nSURETY_DEBUG=1\n"
    (here / ".env").write_text(f"{lines}SURETY_METRICS_KEY_FILE=for_compose\n")
    monkeypatch.delenv("SURETY_GOOGLE_ENDPOINT", raising=False)
    monkeypatch.setenv("SURETY_DEBUG", "0")
    load_settings()
    assert capsys.readouterr().err == (
        "warning: SURETY_GOOGLE_ENDPOINT does nothing in the .env file: put it into the "
        "environment\n"
    )


LINKS = {
    "SURETY_PORT": "tcp://10.0.0.1:8080",
    "SURETY_SERVICE_HOST": "10.0.0.1",
    "SURETY_SERVICE_PORT": "8080",
    "SURETY_SERVICE_PORT_HTTP": "8080",
    "SURETY_PORT_8080_TCP": "tcp://10.0.0.1:8080",
    "SURETY_PORT_8080_TCP_PROTO": "tcp",
    "SURETY_PORT_8080_TCP_PORT": "8080",
    "SURETY_PORT_8080_TCP_ADDR": "10.0.0.1",
    "SURETY_REDIS_PORT": "tcp://10.0.0.2:6379",
    "SURETY_REDIS_SERVICE_HOST": "10.0.0.2",
}


@pytest.mark.parametrize(("line", "port"), [("", 8000), ("SURETY_PORT=81\n", 81)])
def test_what_kubernetes_tells_of_services_is_no_setting(here, monkeypatch, capsys, line, port):
    (here / ".env").write_text(line)
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
    assert load_settings().port == port
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("SURETY_PORT", "82")
    monkeypatch.setenv("SURETY_REDIS_PORT", "6379")
    assert load_settings().port == 82
    assert "there is no setting SURETY_REDIS_PORT" in capsys.readouterr().err


def test_optional_settings_may_be_blank(monkeypatch):
    """But the keys and the store: whoever means to give one shall not get another."""
    fields, given = Settings.model_fields.items(), {"secret", "signing_key", "redis_url"}
    names = {n for n, field in fields if field.default is None} - given
    assert names >= {"keep_certificates_days", "require_keys", "providers_file"}
    for name in names:
        monkeypatch.setenv(f"SURETY_{name.upper()}", " ")
    settings = load_settings()
    for name in names - {"old_secrets"}:  # separated by commas, and none is one of them
        assert getattr(settings, name) is None


@pytest.mark.parametrize(
    ("where", "needed"),
    [("", False), ("127.0.0.1", False), ("[::1]", False), ("::1", False), ("[::]", True)],
)
def test_keys_are_required_where_the_port_is_published_further(monkeypatch, where, needed):
    monkeypatch.setenv("SURETY_PUBLISHED_ON", where)
    assert load_settings().keys_required == needed


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
