"""Grafana's dashboards, as its JSON model: endpoints, and servers with the control plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WIDTH = 24
SCHEMA = 39
"""Of Grafana 10; newer ones migrate it when they load it."""

SOURCE = {"type": "prometheus", "uid": "${source}"}
ENDPOINT = 'endpoint=~"$endpoint"'
OF = f"{{{ENDPOINT}}}"
"""The endpoints that were chosen."""


@dataclass(frozen=True)
class Panel:
    """A chart: queries with what their lines are called; `unit` is Grafana's word for it."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str
    about: str = ""
    stacked: bool = False
    width: int = 12


ENDPOINTS = (
    Panel(
        "Requests",
        ((f"sum by (endpoint) (endpoint:nereid_calls:rate1m{OF})", "{{endpoint}}"),),
        "reqps",
        "What callers asked for; a request that two arms were tried for is one.",
    ),
    Panel(
        "Errors that callers got",
        ((f"endpoint:nereid_error_ratio:rate5m{OF}", "{{endpoint}}"),),
        "percentunit",
        "error, timeout and rejected, of all requests of five minutes.",
    ),
    Panel(
        "Split",
        ((f"sum by (arm) (arm:nereid_requests:rate1m{OF})", "{{arm}}"),),
        "reqps",
        "Attempts on each arm.",
        stacked=True,
    ),
    Panel(
        "Outcomes",
        ((f"sum by (outcome) (arm:nereid_requests:rate1m{OF})", "{{outcome}}"),),
        "reqps",
        "What became of attempts: rescued ones were answered by the primary.",
        stacked=True,
    ),
    Panel(
        "Latency, p50 and p99",
        (
            (f"arm:nereid_request_duration_us:p50_5m{OF}", "{{arm}} p50"),
            (f"arm:nereid_request_duration_us:p99_5m{OF}", "{{arm}} p99"),
        ),
        "µs",
        "Within 2.5 %, over five minutes.",
    ),
    Panel(
        "In flight",
        ((f"sum by (arm) (nereid_inflight_requests{OF})", "{{arm}}"),),
        "short",
    ),
    Panel(
        "Breakers and diversions",
        (
            (f"max by (arm) (nereid_breaker_state{OF})", "{{arm}} breaker"),
            (
                f"sum by (arm, reason) (rate(nereid_diverted_total{OF}[1m]))",
                "{{arm}} diverted: {{reason}}",
            ),
            (
                f"sum by (arm) (increase(nereid_ejections_total{OF}[5m]))",
                "{{arm}} opened",
            ),
        ),
        "short",
        "0 closed, 1 half-open, 2 open; diverted are requests per second.",
    ),
    Panel(
        "Left of allowances",
        ((f"min by (arm, of) (nereid_allowance_left{OF} < +Inf)", "{{arm}} {{of}}"),),
        "short",
        "Attempts and failures that an arm is still allowed, on the server that has least.",
    ),
    Panel(
        "Shadows",
        (
            (
                f"sum by (arm, outcome) (rate(nereid_shadow_requests_total{OF}[1m]))",
                "{{arm}} {{outcome}}",
            ),
            (
                f'sum by (arm) (rate(nereid_shadow_rows_total{{{ENDPOINT},top1="same"}}[5m])) / '
                f"sum by (arm) (rate(nereid_shadow_rows_total{OF}[5m]))",
                "{{arm}} agrees",
            ),
        ),
        "short",
        "Copies per second, and the share of rows whose largest value stands where the answer's "
        "does.",
    ),
    Panel(
        "Sequences, keys and scores",
        (
            (f"sum by (arm) (nereid_pinned_sequences{OF})", "{{arm}} pinned"),
            (
                f"sum by (arm, outcome) (rate(nereid_keys_total{OF}[5m]))",
                "{{arm}} keys: {{outcome}}",
            ),
            (f"avg by (arm) (nereid_arm_score{OF})", "{{arm}} score"),
        ),
        "short",
        "Live sequences held to an arm; sticky keys that are new to it, per second; scores of an "
        "adaptive policy, the lowest is asked.",
    ),
    Panel(
        "First response, p99",
        (
            (
                "histogram_quantile(0.99, sum by (arm, le) "
                f"(rate(nereid_first_response_us_bucket{OF}[5m])))",
                "{{arm}}",
            ),
        ),
        "µs",
        "Differs from the latency where answers are streamed.",
    ),
    Panel(
        "Latency of shadows, p99",
        (
            (
                "histogram_quantile(0.99, sum by (arm, le) "
                f"(rate(nereid_shadow_duration_us_bucket{OF}[5m])))",
                "{{arm}}",
            ),
        ),
        "µs",
        "Of arms that got copies.",
    ),
    Panel(
        "Difference of shadows, p99",
        (
            (
                "histogram_quantile(0.99, sum by (arm, le) "
                f"(rate(nereid_shadow_difference_bucket{OF}[5m])))",
                "{{arm}}",
            ),
        ),
        "short",
        "Of the compared output, the largest absolute difference to the answer.",
    ),
    Panel(
        "Confidence of answers",
        tuple(
            (
                f"histogram_quantile({q}, sum by (arm, le) "
                f"(rate(nereid_output_confidence_bucket{OF}[5m])))",
                f"{{{{arm}}}} p{100 * q:g}",
            )
            for q in (0.1, 0.5)
        ),
        "percentunit",
        "Where a policy asks for it: the probability of the likeliest class, in the least sure "
        "tenth and in the middle.",
    ),
)

SERVERS = (
    Panel(
        "Mean time of a request",
        tuple(
            (f'avg(model:nv_inference_{part}_us:mean5m{{model=~"$model"}})', part)
            for part in ("queue", "compute_input", "compute_infer", "compute_output")
        ),
        "µs",
        "Where it goes inside Triton, of the chosen models.",
        stacked=True,
    ),
    Panel(
        "Queue by model",
        (('model:nv_inference_queue_us:mean5m{model=~"$model"}', "{{model}}"),),
        "µs",
    ),
    Panel(
        "Rows a batch",
        (('model:nv_inference_batch_rows:mean5m{model=~"$model"}', "{{model}}"),),
        "short",
        "The batch size achieved.",
    ),
    Panel(
        "Waiting",
        (
            (
                'max by (model) (nv_inference_pending_request_count{model=~"$model"})',
                "{{model}}",
            ),
        ),
        "short",
    ),
    Panel(
        "Processors and memory",
        (("nv_cpu_utilization", "{{instance}} processors"),),
        "percentunit",
    ),
    Panel("Memory", (("nv_cpu_memory_used_bytes", "{{instance}}"),), "bytes"),
    Panel(
        "Rows of cascades",
        (("sum by (model, member) (rate(nereid_cascade_rows_total[1m]))", "{{model}} {{member}}"),),
        "short",
        "Which member answered them.",
        stacked=True,
    ),
    Panel(
        "Endpoints and servers",
        (
            ("nereid_endpoints", "endpoints {{status}}"),
            ("nereid_endpoints_behind", "endpoints behind"),
            ("nereid_servers", "servers {{status}}"),
            ("nereid_preparations_failed", "preparations that failed"),
            ('nereid_drift{state="stands"}', "changed by hand on {{server}}"),
        ),
        "short",
    ),
    Panel(
        "Last heard, last scraped",
        (
            ("nereid_server_heard_seconds", "{{server}} heard"),
            ("nereid_server_scraped_seconds", "{{server}} scraped"),
        ),
        "s",
    ),
    Panel(
        "Under way",
        (
            ("nereid_rollouts", "rollouts {{state}}"),
            ("nereid_perf_runs", "perf runs {{state}}"),
            ("nereid_versions", "versions {{state}}"),
            ("nereid_changes_waiting", "changes that wait"),
            ("nereid_webhooks_in_trouble", "webhooks in trouble"),
            ("nereid_build_info", "Nereid {{version}}"),
        ),
        "short",
    ),
)


def dashboards() -> dict[str, dict[str, Any]]:
    """File name -> dashboard."""
    endpoint = _variable("endpoint", "label_values(nereid_requests_total, endpoint)")
    model = _variable("model", 'label_values(nv_inference_exec_count{model=~".+[.].+"}, model)')
    return {
        "nereid-endpoints.json": _dashboard(
            "nereid-endpoints", "Nereid: endpoints", ENDPOINTS, endpoint
        ),
        "nereid-servers.json": _dashboard(
            "nereid-servers", "Nereid: servers and control plane", SERVERS, model
        ),
    }


def _dashboard(
    uid: str, title: str, panels: tuple[Panel, ...], variable: dict[str, Any]
) -> dict[str, Any]:
    placed, x, y = [], 0, 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > WIDTH:
            x, y = 0, y + 8
        placed.append(_panel(number, panel, {"h": 8, "w": panel.width, "x": x, "y": y}))
        x += panel.width
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "uid": uid,
        "title": title,
        "tags": ["nereid"],
        "timezone": "utc",
        "schemaVersion": SCHEMA,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, variable]},
        "panels": placed,
    }


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
    custom = {"fillOpacity": 30 if panel.stacked else 0, "stacking": stacking, "lineWidth": 1}
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "custom": custom},
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(65 + i), "expr": expression, "legendFormat": legend, "datasource": SOURCE}
            for i, (expression, legend) in enumerate(panel.queries)
        ],
    }
