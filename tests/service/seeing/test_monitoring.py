"""The dashboard, the alert rules and their page name what the registry really has."""

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from fastapi import FastAPI
from prometheus_client.metrics_core import Metric

from certification.watching import CallResult
from service.edges.outcome import GONE
from service.jobs.states import JOB_STATES, PICTURE_STATES
from tests.service.seeing.promql import named

ROOT = Path(__file__).parents[3]
GRAFANA, PROMETHEUS = ROOT / "docker" / "grafana", ROOT / "docker" / "prometheus"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "surety.json").read_text("utf-8"))
RULES = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
PAGE = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
SCRAPES = {
    one["job_name"]: one
    for one in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
}
OF_PROMETHEUS = {"job", "instance", "le"}  # labels that it adds, or that a histogram has
ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}
KNOWN = {
    ("surety_calls_total", "result"): {*get_args(CallResult)},
    ("surety_jobs", "state"): {*JOB_STATES},
    ("surety_job_pictures", "state"): {*PICTURE_STATES},
}


def queries() -> Iterator[tuple[str, str]]:
    """All queries of both files, each with where it stands."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']!r}", target["expr"]
    for rule in RULES:
        yield f"alert {rule['alert']}", rule["expr"]


@pytest.fixture
def inventory(app: FastAPI) -> dict[str, set[str]]:
    """All samples that there can be, by name, each with its labels."""
    registry = app.state.metrics.registry
    labels: dict[str, set[str]] = {}
    for collector in registry._collector_to_names:
        families: list[Metric] = [*collector.collect()]
        for family in families:
            own = getattr(collector, "_labelnames", None) or getattr(family, "_labelnames", ())
            of_info = {"version", "python"} if family.type == "info" else set()
            for ending in ENDINGS.get(family.type, ("",)):
                labels[family.name + ending] = {*own} | of_info
    return labels


def test_every_query_names_what_there_is(inventory: dict[str, set[str]]) -> None:
    for where, query in queries():
        check(inventory, where, query)


def check(inventory: dict[str, set[str]], where: str, query: str) -> None:
    """Hold one query against all there is."""
    found = named(query.replace("$__rate_interval", "1m"))
    assert found.metrics, query
    grouped = found.grouped - OF_PROMETHEUS
    for metric, labels in found.metrics.items():
        if metric == "up":
            continue
        assert metric in inventory, f"{where}: there is no {metric}"
        assert labels - OF_PROMETHEUS <= inventory[metric], f"{where}: {metric} has no such label"
        assert grouped <= inventory[metric], f"{where}: {metric} cannot be grouped by {grouped}"
    for metric, label, operator, value in found.values:
        if (metric, label) in KNOWN:
            assert {*value.split("|")} <= KNOWN[metric, label], f"{where}: {label}={value}"
        if label == "job" and operator == "=":
            assert value in SCRAPES, f"{where}: Prometheus has no job {value}"


def test_legends_name_labels_that_the_query_leaves() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            found = named(target["expr"].replace("$__rate_interval", "1m"))
            if found.grouped:
                assert shown <= found.grouped, panel["title"]
            assert panel["description"].endswith("."), panel["title"]


def test_variables_name_what_there_is(inventory: dict[str, set[str]]) -> None:
    defined = set()
    for variable in DASHBOARD["templating"]["list"]:
        defined.add(variable["name"])
        match = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
        assert match is not None
        assert match[2] in inventory[match[1]]
    used = {name for _, query in queries() for name in re.findall(r"\$(\w+)", query)}
    assert used == {*defined, "__rate_interval"}


def test_the_page_explains_every_metric(inventory: dict[str, set[str]]) -> None:
    rows = re.findall(r"^\| `(surety_\w+)` \| ([\w, ]*) ?\| (.+) \|$", PAGE, re.MULTILINE)
    told = {name: {x.strip() for x in labels.split(",") if x.strip()} for name, labels, _ in rows}
    bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in inventory}
    assert told.keys() == {name for name in bare if name.startswith("surety_")}
    for name, labels in told.items():
        full = name if name in inventory else f"{name}_bucket"
        assert labels == inventory[full], name


def test_the_page_names_every_alert_and_no_other() -> None:
    table = PAGE.partition("## Alerts")[2].partition("##")[0]
    assert {*re.findall(r"\bSurety[A-Z]\w+", table)} == {rule["alert"] for rule in RULES}


def test_every_alert_says_what_to_do() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "warn")
        assert rule["annotations"].keys() == {"summary", "action"}


def test_the_dashboard_is_what_its_program_writes() -> None:
    spec = importlib.util.spec_from_file_location("dashboard", GRAFANA / "dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (GRAFANA / "dashboards" / "surety.json").read_text("utf-8")
    assert module.text() == written, "python docker/grafana/dashboard.py"


def test_panels_do_not_overlap_and_are_numbered() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    provisioned = yaml.safe_load(
        (GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text("utf-8")
    )
    uids = {source["uid"] for source in provisioned["datasources"]}
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if "datasource" in panel}
    assert used == uids


def test_prometheus_asks_where_they_answer() -> None:
    (api,) = SCRAPES["surety"]["static_configs"]
    assert api["targets"] == ["api:8000"]
    (workers,) = SCRAPES["surety-worker"]["dns_sd_configs"]
    command = COMPOSE["worker"]["command"]
    assert (workers["names"], workers["type"]) == (["worker"], "A")
    assert str(workers["port"]) == command[command.index("--metrics-port") + 1]
    assert command[command.index("--metrics-host") + 1] == "0.0.0.0"  # noqa: S104
    assert "default" in COMPOSE["worker"]["networks"]
    assert "networks" not in COMPOSE["prometheus"]
    mounted = {
        volume.removesuffix(":ro").rpartition(":")[2] for volume in COMPOSE["prometheus"]["volumes"]
    }
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    credentials = SCRAPES["surety"]["authorization"]["credentials_file"]
    assert {*config["rule_files"], credentials} <= mounted
    assert "authorization" not in SCRAPES["surety-worker"], "they need none, and must not see it"


def test_variables_of_traces_reach_containers() -> None:
    told = {*re.findall(r"`(OTEL_\w+)`", PAGE)}
    assert len(told) > 5
    assert told <= COMPOSE["api"]["environment"].keys()


def test_statuses_that_nobody_sends_are_explained() -> None:
    assert f"{GONE}: nobody waited" in PAGE


def test_the_reader_of_queries_refuses_what_it_does_not_know() -> None:
    for query in ("nonsense(surety_votes_total)", "surety_votes_total @ 3", "sum(x) ; y"):
        with pytest.raises(ValueError, match=r"unknown function|cannot be read"):
            named(query)
    found = named('max by (a) (rate(x_total{b="1",c=~"2|3"}[5m])) > 0 and on (d) y')
    assert found.metrics == {"x_total": {"b", "c"}, "y": set()}
    assert found.grouped == {"a", "d"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_understands_them() -> None:
    config = PROMETHEUS / "prometheus.yml"
    for command in (
        ["check", "config", "--syntax-only", config],
        ["check", "rules", PROMETHEUS / "alerts.yml"],
        ["test", "rules", Path(__file__).with_name("alerts_test.yml")],
    ):
        done = subprocess.run(
            ["promtool", *map(str, command)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
