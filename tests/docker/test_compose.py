"""docker-compose.yml: what a deployment must never lose, however the file changes."""

import re

import pytest

from service.load_settings import OTHERS
from service.settings import Settings
from tests.docker.files import (
    COMPOSE,
    FOLDER,
    OURS,
    OVERRIDES,
    ROOT,
    SERVICES,
    instructions,
    variables,
)

SETTINGS = {f"SURETY_{name.upper()}" for name in Settings.model_fields}
FILES = [ROOT / "docker-compose.yml", *OVERRIDES, *FOLDER.glob("**/Dockerfile")]
PAGES = [ROOT / "docs" / "containers.md", *FOLDER.glob("**/*.md"), FOLDER / "smoke.sh"]
TABLES = [*(ROOT / "docs" / "providers").glob("*.md"), ROOT / "docs" / "monitoring.md"]
NOT_FOR_API = {"SURETY_API_KEY", "SURETY_METRICS_KEY_FILE"}  # of clients, and of Prometheus
FILES_OF_THE_HOST = {"AWS_PROFILE", "AWS_CA_BUNDLE"}
UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def size(text):
    return int(text[:-1]) * UNITS[text[-1].lower()]


@each_service
def test_hardening(service):
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "network_mode", "pid", "ipc", "devices"}
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))


@each_service
def test_robustness(service):
    assert service["init"] is True, "children that end would stay as zombies"
    assert service["restart"] == "unless-stopped"
    assert 2**28 <= size(service["mem_limit"]) <= 2**33
    assert service["pids_limit"] > 0
    assert service["logging"]["options"].keys() >= {"max-size", "max-file"}


@pytest.mark.parametrize("name", SERVICES)
def test_health(name):
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD", "no shell"
    assert check["retries"] > 1


@each_service
def test_nobody_is_root(service):
    """Images of others are told their user here; ours say it themselves."""
    if "build" not in service:
        assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])
        return
    assert "user" not in service
    build = service["build"]
    file = ROOT / (f"{build}/Dockerfile" if isinstance(build, str) else build["dockerfile"])
    last = [argument for name, argument in instructions(file) if name in ("FROM", "USER")][-1]
    assert last in ("10001:10001", "redis")


def test_ports_are_the_loopbacks():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    for port in published:
        assert re.match(r"127\.0\.0\.1:|\$\{SURETY_HOST:-127\.0\.0\.1\}:", port), port
    assert "ports" not in SERVICES["redis"]


def test_nobody_but_api_and_workers_reaches_the_store():
    inside = {name for name, service in SERVICES.items() if "store" in service.get("networks", [])}
    assert inside == {"redis", "api", "worker"}
    assert SERVICES["redis"]["networks"] == ["store"]
    assert COMPOSE["networks"]["store"]["internal"] is True


def test_workers_can_be_many():
    worker = SERVICES["worker"]
    assert worker["command"][0] == "worker"
    assert not worker.keys() & {"container_name", "ports", "hostname", "profiles"}


def test_api_and_worker_are_one_deployment():
    """The same keys, store, settings and credentials."""
    for what in ("image", "environment", "volumes", "networks"):
        assert SERVICES["api"][what] == SERVICES["worker"][what]
    assert "data:/var/lib/surety" in SERVICES["api"]["volumes"]


def test_ours_share_one_image():
    assert {SERVICES[name]["image"] for name in OURS} == {"surety:local"}


@pytest.mark.parametrize("path", [*FILES, FOLDER / "demo.env", *PAGES], ids=lambda p: p.name)
def test_settings_that_are_named_exist(path):
    named = set(re.findall(r"\bSURETY_[A-Z_]+[A-Z]\b", path.read_text()))
    assert named <= SETTINGS | OTHERS


def test_every_setting_can_be_given():
    """But those that the image fixes, and that say where the port is published."""
    fixed = {"SURETY_HOST", "SURETY_PORT", "SURETY_DATA_DIR"}
    assert SETTINGS - fixed <= SERVICES["api"]["environment"].keys()


@pytest.mark.parametrize("page", TABLES, ids=lambda p: p.name)
def test_variables_that_the_documentation_names_can_be_given(page):
    """Those of SDKs, in the tables of its page."""
    cells = re.findall(r"^\| ([^|]*`[A-Z][A-Z_]+`[^|]*) \|", page.read_text(), re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`([A-Z][A-Z_]+)`", cell)}
    assert named - FILES_OF_THE_HOST <= SERVICES["api"]["environment"].keys()


def test_what_names_files_of_the_host_is_not_handed_on():
    """They are not in the container, where the SDK would fail for want of them."""
    for service in SERVICES.values():
        assert not FILES_OF_THE_HOST & service.get("environment", {}).keys()


def test_what_else_libraries_look_for_can_be_given():
    proxies, tracing = ("HTTP_PROXY", "HTTPS_PROXY"), "OTEL_SDK_DISABLED"
    others = {*proxies, tracing, "OTEL_RESOURCE_ATTRIBUTES", "OMP_NUM_THREADS"}
    environment = SERVICES["api"]["environment"]
    assert {name: environment[name] for name in others} == dict.fromkeys(others)
    assert OTHERS - {"SURETY_SECRETS_DIR", *NOT_FOR_API} <= environment.keys()


def test_no_proxy_is_asked_for_what_is_in_here():
    """A host's proxy does not know its names."""
    default = SERVICES["api"]["environment"]["NO_PROXY"].removeprefix("${NO_PROXY:-").rstrip("}")
    names = {name for name in SERVICES if name.startswith("emulate-")} | {"redis"}
    assert names <= {*default.split(",")}


def test_a_machine_with_many_cores_has_room_for_its_threads():
    assert SERVICES["api"]["pids_limit"] >= 4096


def test_no_umask_outlives_its_block():
    """What is checked out under it later could not be read in the containers."""
    for page in (ROOT / "docs" / "containers.md", ROOT / "docs" / "operating.md"):
        assert not re.search(r"^umask", page.read_text(), re.MULTILINE)


def test_older_versions_of_compose_understand_the_variables():
    """Version 1 hands on what is nested, or begins with a plus, as it stands."""
    for path in (path for path in FILES if path.suffix == ".yml"):
        assert not re.search(r"\$\{[^}]*\$\{|\$\{\w+:?\+", path.read_text()), path


def test_no_secret_stands_in_a_file():
    for path in FILES:
        assert not re.search(r"[0-9a-fA-F]{32}", path.read_text()), path
    secret = re.compile(r"SECRET|KEY(?!S$)|TOKEN|PAT$|PASSWORD|CREDENTIALS")
    for name, value in SERVICES["api"]["environment"].items():
        assert value is None or not secret.search(name), name


def test_redis_keeps_what_it_is_given():
    lines = (FOLDER / "redis" / "redis.conf").read_text().splitlines()
    told = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    assert told["appendonly"] == "yes"
    assert told["appendfsync"] == "always"
    assert told["maxmemory-policy"] == "noeviction"
    # Rewriting the append-only file needs room for a copy of what changes meanwhile.
    assert size(told["maxmemory"].removesuffix("b")) < 0.7 * size(SERVICES["redis"]["mem_limit"])
    pictures = SERVICES["api"]["environment"]["SURETY_MAX_STORED_PICTURES_BYTES"]
    bound = int(re.fullmatch(r"\$\{\w+-(\d+)\}", pictures)[1])
    assert bound < 0.7 * size(told["maxmemory"].removesuffix("b"))
    assert "redis:/data" in SERVICES["redis"]["volumes"]
    assert told["dir"] == "/data"


def test_git_ignores_secrets_but_not_the_demonstration():
    lines = (ROOT / ".gitignore").read_text().splitlines()
    assert lines.index("*.env") < lines.index("!docker/demo.env")
    assert lines.index("docker/secrets/*") < lines.index("!docker/secrets/README.md")
    assert variables(FOLDER / "demo.env")["COMPOSE_PROFILES"] == "demo"
