"""Writes the dashboard for whoever is on call.

    python docker/grafana/dashboard.py

writes dashboards/surety.json beside it. The panels stand here, since the file itself is long.
"""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "dashboards" / "surety.json"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24  # columns of a dashboard
CALLS, BATCH = 'provider=~"$provider"', "denoiser, compute"

Panel = dict[str, Any]


def targets(*queries: tuple[str, str], shape: str = "time_series") -> list[dict[str, Any]]:
    """Return the queries of a panel, each with its legend."""
    return [
        {
            "refId": chr(ord("A") + number),
            "datasource": SOURCE,
            "expr": expression,
            "legendFormat": legend,
            "format": shape,
        }
        for number, (expression, legend) in enumerate(queries)
    ]


def lines(
    title: str,
    about: str,
    unit: str,
    *queries: tuple[str, str],
    stack: bool = False,
    width: int = 8,
) -> Panel:
    """Return a chart over time."""
    custom = {
        "fillOpacity": 25 if stack else 8,
        "lineWidth": 1,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
    }
    return {
        "type": "timeseries",
        "gridPos": {"w": width, "h": 8},
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {
            "legend": {
                "displayMode": "table",
                "placement": "bottom",
                "calcs": ["lastNotNull", "max"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": targets(*queries),
    }


def number(
    title: str, about: str, unit: str, expression: str, steps: dict[float, str] | None = None
) -> Panel:
    """Return one figure; `steps` are colours from a value on."""
    marks = [{"color": "green", "value": None}]
    marks += [{"color": colour, "value": value} for value, colour in (steps or {}).items()]
    return {
        "type": "stat",
        "gridPos": {"w": 3, "h": 4},
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "thresholds": {"mode": "absolute", "steps": marks},
                "noValue": "–",
            },
            "overrides": [],
        },
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "background",
            "graphMode": "area",
            "textMode": "value",
        },
        "targets": targets((expression, "")),
    }


def up(title: str, about: str, expression: str) -> Panel:
    """Return whether something is there."""
    panel = number(title, about, "none", expression)
    panel["fieldConfig"]["defaults"] |= {
        "mappings": [
            {
                "type": "value",
                "options": {"0": {"text": "down", "color": "red"}, "1": {"text": "up"}},
            }
        ],
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": "red", "value": None}, {"color": "green", "value": 1}],
        },
    }
    return panel


def heat(title: str, about: str, expression: str, unit: str) -> Panel:
    """Return a histogram over time."""
    return {
        "type": "heatmap",
        "gridPos": {"w": 8, "h": 8},
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "fieldConfig": {
            "defaults": {"custom": {"scaleDistribution": {"type": "linear"}}},
            "overrides": [],
        },
        "options": {
            "calculate": False,
            "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Blues", "steps": 32, "reverse": False},
            "yAxis": {"unit": unit, "axisPlacement": "left"},
            "rowsFrame": {"layout": "le"},
            "tooltip": {"mode": "single", "yHistogram": True},
            "legend": {"show": True},
        },
        "targets": targets((expression, "{{le}}"), shape="heatmap"),
    }


def rate(name: str, by: str, labels: str = "", seconds: str = "$__rate_interval") -> str:
    """Return how fast a counter grows."""
    return f"sum by ({by}) (rate({name}{{{labels}}}[{seconds}]))"


def over(top: str, bottom: str, by: str, labels: str = "") -> str:
    """Return how much faster one counter grows than another."""
    return f"{rate(top, by, labels)} / {rate(bottom, by, labels)}"


def quantile(share: float, name: str, by: str, labels: str = "") -> str:
    """Return a quantile of a histogram."""
    return f"histogram_quantile({share}, {rate(f'{name}_bucket', f'le, {by}', labels)})"


ROWS: dict[str, list[Panel]] = {
    "Now": [
        up("API", "Whether any API answers Prometheus.", 'max(up{job="surety"})'),
        up("Store", "Whether Redis takes what is written.", "min(surety_store_up)"),
        number(
            "Workers",
            "Those that live, a service's own too.",
            "none",
            "max(sum by (instance) (surety_workers))",
        ),
        number(
            "Money, last hour",
            "US dollars that providers have billed.",
            "currencyUSD",
            f"sum(increase(surety_cost_dollars_total{{{CALLS}}}[1h]))",
            {10: "orange", 50: "red"},
        ),
        number(
            "Money, last day",
            "US dollars that providers have billed.",
            "currencyUSD",
            f"sum(increase(surety_cost_dollars_total{{{CALLS}}}[24h]))",
        ),
        number(
            "Votes a second",
            "New ones, in ledgers.",
            "none",
            f"sum(rate(surety_votes_total{{{CALLS}}}[5m]))",
        ),
        number(
            "Runs that wait",
            "For a slot, or for another run of their subject.",
            "none",
            "sum(surety_runs_waiting)",
            {16: "orange", 64: "red"},
        ),
        number(
            "Requests that fail",
            "Share of 5xx among the answers of five minutes.",
            "percentunit",
            '(sum(rate(surety_http_requests_total{status=~"5.."}[5m])) or vector(0))'
            " / sum(rate(surety_http_requests_total[5m]))",
            {0.01: "orange", 0.05: "red"},
        ),
    ],
    "Money": [
        lines(
            "US dollars an hour",
            "At the present rate, by provider.",
            "currencyUSD",
            (f"3600 * {rate('surety_cost_dollars_total', 'provider', CALLS)}", "{{provider}}"),
            stack=True,
            width=16,
        ),
        lines(
            "Votes that cost nothing",
            "Read from ledgers instead of asked, and new ones.",
            "none",
            (rate("surety_ledger_hits_total", "provider", CALLS), "{{provider}} read"),
            (rate("surety_votes_total", "provider", CALLS), "{{provider}} new"),
        ),
    ],
    "Providers": [
        lines(
            "Votes a second",
            "New ones, by provider.",
            "none",
            (rate("surety_votes_total", "provider", CALLS), "{{provider}}"),
        ),
        lines(
            "Calls a second, by what came of them",
            "Answered; failing: some pictures are asked again; throttled; broken: it raised.",
            "none",
            (rate("surety_calls_total", "provider, result", CALLS), "{{provider}} {{result}}"),
            stack=True,
        ),
        lines(
            "Throttles and retries a second",
            "Calls without capacity, and pictures asked again.",
            "none",
            (rate("surety_throttles_total", "provider", CALLS), "{{provider}} throttled calls"),
            (rate("surety_retries_total", "provider", CALLS), "{{provider}} retried pictures"),
        ),
        lines(
            "How long calls take",
            "Half of them, and all but one in a hundred.",
            "s",
            (quantile(0.5, "surety_call_seconds", "provider", CALLS), "{{provider}} p50"),
            (quantile(0.99, "surety_call_seconds", "provider", CALLS), "{{provider}} p99"),
        ),
        lines(
            "How long calls wait before",
            "For rate limit, concurrency and breaker.",
            "s",
            (quantile(0.5, "surety_call_wait_seconds", "provider", CALLS), "{{provider}} p50"),
            (quantile(0.99, "surety_call_wait_seconds", "provider", CALLS), "{{provider}} p99"),
        ),
        lines(
            "Pictures in a call, and abstentions",
            "How full calls are; the share of votes for no label.",
            "none",
            (
                over("surety_images_total", "surety_calls_total", "provider", CALLS),
                "{{provider}} pictures",
            ),
            (
                over("surety_abstentions_total", "surety_votes_total", "provider", CALLS),
                "{{provider}} abstentions",
            ),
        ),
    ],
    "Certificates": [
        lines(
            "Certificates a minute, by what ended the run",
            "New ones.",
            "none",
            (f"60 * {rate('surety_certificates_total', 'stop_reason')}", "{{stop_reason}}"),
            stack=True,
        ),
        lines(
            "Certified, abstained, given again",
            "A minute; predictions too.",
            "none",
            (f"60 * {rate('surety_certificates_total', 'result')}", "{{result}}"),
            ("60 * sum(rate(surety_certificates_again_total[$__rate_interval]))", "again"),
            (f"60 * {rate('surety_predictions_total', 'result')}", "{{result}} (predictions)"),
        ),
        heat(
            "Radius in units of sigma",
            "Of new certificates.",
            "sum by (le) (increase(surety_certificate_radius_sigmas_bucket[$__rate_interval]))",
            "none",
        ),
    ],
    "Jobs": [
        lines(
            "Jobs, by state",
            "Of the whole deployment.",
            "none",
            ("max by (state) (surety_jobs)", "{{state}}"),
        ),
        lines(
            "Pictures of jobs, by state",
            "Of the whole deployment.",
            "none",
            ("max by (state) (surety_job_pictures)", "{{state}}"),
            stack=True,
        ),
        lines(
            "Runs and workers",
            "Runs of requests and pictures of jobs, in all processes.",
            "none",
            ("sum(surety_runs_working)", "runs worked on"),
            ("sum(surety_runs_waiting)", "runs that wait"),
            ("max by (kind) (surety_workers)", "workers, {{kind}}"),
        ),
    ],
    "Denoisers": [
        lines(
            "Pictures a second",
            "By denoiser and compute type.",
            "none",
            (
                rate("surety_denoised_pictures_total", BATCH),
                "{{denoiser}} {{compute}}",
            ),
        ),
        lines(
            "Batches that wait for their turn",
            "By process and denoiser.",
            "none",
            ("max by (instance, denoiser) (surety_denoiser_queue)", "{{instance}} {{denoiser}}"),
        ),
        lines(
            "Seconds for a picture",
            "The wait for its turn included.",
            "s",
            (
                over("surety_denoise_seconds_total", "surety_denoised_pictures_total", BATCH),
                "{{denoiser}} {{compute}}",
            ),
        ),
    ],
    "HTTP": [
        lines(
            "Requests a second, by status",
            "499: nobody waited for the answer.",
            "none",
            (rate("surety_http_requests_total", "status"), "{{status}}"),
            stack=True,
        ),
        lines(
            "How long requests take",
            "By route; a run's lasts as long as the run.",
            "s",
            (quantile(0.5, "surety_http_request_seconds", "route"), "{{route}} p50"),
            (quantile(0.99, "surety_http_request_seconds", "route"), "{{route}} p99"),
        ),
        lines(
            "Requests under way",
            "By process.",
            "none",
            ("sum by (instance) (surety_http_requests_in_progress)", "{{instance}}"),
        ),
    ],
    "Processes": [
        lines(
            "Memory",
            "Resident.",
            "bytes",
            ('process_resident_memory_bytes{job=~"surety.*"}', "{{job}} {{instance}}"),
        ),
        lines(
            "CPU",
            "Cores in use.",
            "none",
            (
                'rate(process_cpu_seconds_total{job=~"surety.*"}[$__rate_interval])',
                "{{job}} {{instance}}",
            ),
        ),
        lines(
            "Open files, and versions",
            "Connections are files too. How many processes run which version.",
            "none",
            ('process_open_fds{job=~"surety.*"}', "{{job}} {{instance}}"),
            ("count by (version) (surety_build_info)", "version {{version}}"),
        ),
    ],
}


def dashboard() -> dict[str, Any]:
    """Return the whole of it."""
    panels: list[Panel] = []
    y = 0
    for title, row in ROWS.items():
        place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        panels.append(
            {"type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        )
        y, x, height = y + 1, 0, 0
        for panel in row:
            width, tall = panel["gridPos"]["w"], panel["gridPos"]["h"]
            if x + width > WIDTH:
                x, y = 0, y + height
            panels.append({**panel, "gridPos": {"x": x, "y": y, "w": width, "h": tall}})
            x, height = x + width, tall
        y += height
    return {
        "uid": "surety",
        "title": "Surety",
        "description": "What it does, what it costs, and what is wrong: see docs/monitoring.md.",
        "tags": ["surety"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "provider",
                    "label": "Provider",
                    "type": "query",
                    "datasource": SOURCE,
                    "query": {
                        "query": "label_values(surety_calls_total, provider)",
                        "refId": "providers",
                    },
                    "refresh": 2,
                    "sort": 1,
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                }
            ]
        },
        "annotations": {"list": []},
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }


def text() -> str:
    """Return the file."""
    return json.dumps(dashboard(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
