"""What Docker Compose itself makes of our files."""

import json
import os
from pathlib import Path

import pytest

from service.settings import Settings
from tests.docker.files import FOLDER, OVERRIDES, ROOT, SERVICES, compose, variables

BASE = ("-f", ROOT / "docker-compose.yml")
ALWAYS = {"api", "worker", "redis"}
DEMO = {"emulate-aws", "emulate-azure", "emulate-google", "emulate-clarifai"}


def understood(*arguments, **environment):
    told = compose(*BASE, *arguments, "config", "--format", "json", **environment)
    return json.loads(told)["services"]


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        ([], set()),
        (["--profile", "demo"], DEMO),
        (["--profile", "observability"], {"prometheus", "grafana"}),
        (["--env-file", FOLDER / "demo.env"], DEMO),
    ],
)
def test_services(arguments, more):
    assert understood(*arguments).keys() == ALWAYS | more


def test_without_configuration():
    api = understood()["api"]
    given = {k: v for k, v in api["environment"].items() if v is not None}
    assert given == {
        "SURETY_REDIS_URL": "redis://redis:6379/0",
        "SURETY_ALLOWED_HOSTS": "api,",
        "SURETY_PUBLISHED_ON": "",
        "SURETY_MAX_STORED_PICTURES_BYTES": "900000000",
        "NO_PROXY": ",".join(["localhost", "127.0.0.1", "redis", *sorted(DEMO)]),
    }
    (port,) = api["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "8000", 8000)
    assert api["build"]["args"]["TORCH_INDEX"] == "https://download.pytorch.org/whl/cpu"


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({}, False),
        ({"SURETY_HOST": "127.0.0.1"}, False),
        ({"SURETY_HOST": "0.0.0.0"}, True),  # noqa: S104
        ({"SURETY_HOST": "0.0.0.0", "SURETY_REQUIRE_KEYS": "false"}, False),  # noqa: S104
        ({"SURETY_REQUIRE_KEYS": "true"}, True),
    ],
)
def test_whoever_publishes_it_elsewhere_needs_keys(given, needed, monkeypatch):
    environment = understood(**given)["api"]["environment"]
    for name in [n for n in os.environ if n.startswith("SURETY_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    assert Settings(_env_file=None).keys_required == needed


def test_what_is_set_is_handed_on():
    services = understood(SURETY_SECRET="5a" * 32, SURETY_PORT="81", AWS_ACCESS_KEY_ID="x")
    for name in ("api", "worker"):
        assert services[name]["environment"]["SURETY_SECRET"] == "5a" * 32
        assert services[name]["environment"]["AWS_ACCESS_KEY_ID"] == "x"
    assert services["api"]["ports"][0]["published"] == "81"


@pytest.mark.parametrize("given", [{}, {"SURETY_METRICS_KEY_FILE": "./docker/secrets/README.md"}])
def test_prometheus_has_a_file_for_a_key_whether_there_is_one_or_not(given):
    mounts = understood("--profile", "observability", **given)["prometheus"]["volumes"]
    (source,) = [m["source"] for m in mounts if m["target"] == "/etc/prometheus/api_key"]
    wanted = given.get("SURETY_METRICS_KEY_FILE", "docker/prometheus/no_key")
    assert Path(source) == ROOT / wanted
    assert given or not Path(source).read_bytes()


def test_an_empty_address_is_that_of_the_store_beside_it():
    """As a line of .env.example that is only half filled in."""
    environment = understood(SURETY_REDIS_URL="")["api"]["environment"]
    assert environment["SURETY_REDIS_URL"] == "redis://redis:6379/0"
    environment = understood(SURETY_REDIS_URL="redis://elsewhere")["api"]["environment"]
    assert environment["SURETY_REDIS_URL"] == "redis://elsewhere"


def test_an_empty_index_is_pips_own():
    assert understood(TORCH_INDEX="")["api"]["build"]["args"]["TORCH_INDEX"] == ""


def test_demo_reaches_api_and_worker():
    services = understood("--env-file", FOLDER / "demo.env")
    wanted = variables(FOLDER / "demo.env")
    del wanted["COMPOSE_PROFILES"]
    for name in ("api", "worker"):
        assert services[name]["environment"].items() >= wanted.items()


@pytest.mark.parametrize("path", OVERRIDES, ids=lambda p: p.name)
def test_overrides(path):
    before, after = understood(), understood("-f", path)
    assert after.keys() == SERVICES.keys() & ALWAYS
    assert after["api"] != before["api"]
    assert after["redis"] == before["redis"]
    # What one of them gets, the other gets.
    for what in ("secrets", "environment", "deploy", "mem_limit"):
        assert after["api"].get(what) == after["worker"].get(what)
