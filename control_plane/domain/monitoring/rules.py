"""Prometheus rules: what is recorded for dashboards, and what somebody is told of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from control_plane.domain.analysis.burn_rate import RULES, WINDOWS, Severity

OBJECTIVE = 0.999
"""The share of requests that are to go well, for the alerts on how fast the budget burns; what a
model promises otherwise is watched by Nereid itself."""

HANDED_ON = "rescued|both_failed"
"""Attempts whose request another arm answered: no request of a caller's."""

SEEN = "error|timeout|rejected"
"""Attempts whose caller got an error."""

Rule = dict[str, Any]


def rules() -> dict[str, Any]:
    """The whole file, as Prometheus reads it."""
    return {
        "groups": [
            {"name": "nereid-recorded", "rules": [*_recorded(), *_error_ratios()]},
            {"name": "nereid-traffic", "rules": [*_burn_rates(), *_traffic_alerts()]},
            {"name": "nereid-control-plane", "rules": [*_control_plane_alerts(), *_drift_alerts()]},
        ]
    }


def window_text(window: timedelta) -> str:
    """A window as PromQL writes it.

    >>> window_text(timedelta(minutes=5)), window_text(timedelta(days=3))
    ('5m', '3d')
    """
    minutes = int(window.total_seconds()) // 60
    if minutes % 1440 == 0:
        return f"{minutes // 1440}d"
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


def _recorded() -> list[Rule]:
    """Names are `level:metric:operation`, as Prometheus recommends."""
    found = [
        _record("endpoint:nereid_calls:rate1m", f"sum by (endpoint) ({_calls('1m')})"),
        _record("endpoint:nereid_errors:rate1m", f"sum by (endpoint) ({_errors('1m')})"),
        _record(
            "arm:nereid_requests:rate1m",
            "sum by (endpoint, arm, outcome) (rate(nereid_requests_total[1m]))",
        ),
    ]
    for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        buckets = "sum by (endpoint, arm, le) (rate(nereid_request_duration_us_bucket[5m]))"
        expression = f"histogram_quantile({q}, {buckets})"
        found.append(_record(f"arm:nereid_request_duration_us:{name}_5m", expression))
    served = _by_model("nv_inference_request_success")
    for part in ("queue", "compute_input", "compute_infer", "compute_output"):
        time = _by_model(f"nv_inference_{part}_duration_us")
        found.append(_record(f"model:nv_inference_{part}_us:mean5m", f"{time} / ({served} > 0)"))
    rows, executions = _by_model("nv_inference_count"), _by_model("nv_inference_exec_count")
    found.append(_record("model:nv_inference_batch_rows:mean5m", f"{rows} / ({executions} > 0)"))
    return found


def _error_ratios() -> list[Rule]:
    return [
        _record(
            f"endpoint:nereid_error_ratio:rate{window_text(window)}",
            f"sum by (endpoint) ({_errors(window_text(window))}) / "
            f"(sum by (endpoint) ({_calls(window_text(window))}) > 0)",
        )
        for window in WINDOWS
    ]


def _burn_rates() -> list[Rule]:
    """Multiwindow, multi-burn-rate alerts: the numbers are `domain.analysis.burn_rate`'s."""
    found = []
    for rule in RULES:
        limit = f"{rule.burn_rate:g} * {1 - OBJECTIVE:g}"
        long, short = window_text(rule.long), window_text(rule.short)
        expression = (
            f"endpoint:nereid_error_ratio:rate{long} > {limit} and "
            f"endpoint:nereid_error_ratio:rate{short} > {limit}"
        )
        words = (
            f"Requests of {{{{ $labels.endpoint }}}} fail so often that {rule.budget:.0%} of the "
            f"error budget of 30 days is gone in {long} ({OBJECTIVE:.1%} are to go well)."
        )
        severity = "critical" if rule.severity is Severity.PAGE else "warning"
        found.append(_alert("NereidErrorBudgetBurns", expression, severity, words, window=long))
    return found


def _traffic_alerts() -> list[Rule]:
    arm = "arm {{ $labels.arm }} of {{ $labels.endpoint }}"
    waits = (
        "model:nv_inference_queue_us:mean5m > 5000 and model:nv_inference_queue_us:mean5m > "
        "model:nv_inference_compute_input_us:mean5m + model:nv_inference_compute_infer_us:mean5m "
        "+ model:nv_inference_compute_output_us:mean5m"
    )
    refused = 'sum by (endpoint, arm) (rate(nereid_requests_total{outcome="rejected"}[5m])) > 0'
    both = 'sum by (endpoint) (rate(nereid_requests_total{outcome="both_failed"}[5m])) > 0'
    dropped = (
        'sum by (endpoint, arm) (rate(nereid_shadow_requests_total{outcome="dropped"}[15m])) '
        "> 0.1 * sum by (endpoint, arm) (rate(nereid_shadow_requests_total[15m]))"
    )
    return [
        _alert(
            "NereidBreakerOpen",
            "max by (endpoint, arm) (nereid_breaker_state) == 2",
            "warning",
            f"The circuit breaker of {arm} is open: others get its requests.",
            "1m",
        ),
        _alert(
            "NereidAllowanceSpent",
            "min by (endpoint, arm, of) (nereid_allowance_left) <= 0",
            "warning",
            f"The {arm} has used up the {{{{ $labels.of }}}} that it was allowed.",
        ),
        _alert(
            "NereidRequestsRefused",
            refused,
            "warning",
            f"Requests are refused at the limit of {arm}.",
            "5m",
        ),
        _alert(
            "NereidBothArmsFail",
            both,
            "critical",
            "Requests of {{ $labels.endpoint }} fail on an arm and then on the primary, too.",
            "5m",
        ),
        _alert(
            "NereidShadowsDropped",
            dropped,
            "info",
            f"More than a tenth of the copies for {arm} are dropped: what they say is of the rest.",
            "15m",
        ),
        _alert(
            "NereidRequestsWait",
            waits,
            "warning",
            "Requests of {{ $labels.model }} wait longer than they are worked on: "
            "`nereid kpis` says what would help.",
            "10m",
        ),
    ]


def _drift_alerts() -> list[Rule]:
    return [
        _alert(
            "NereidDrift",
            'sum by (server) (nereid_drift{state="stands"}) > 0',
            "warning",
            "{{ $value }} things on {{ $labels.server }} are not as Nereid left them: "
            "`nereid servers {{ $labels.server }}` says what and why.",
            "5m",
        ),
    ]


def _control_plane_alerts() -> list[Rule]:
    server = "server {{ $labels.server }}"
    return [
        _alert(
            "NereidScrapeFails",
            'up{job=~"nereid.*"} == 0',
            "critical",
            "{{ $labels.instance }} ({{ $labels.job }}) does not answer Prometheus.",
            "2m",
        ),
        _alert(
            "NereidServerSilent",
            "nereid_server_heard_seconds > 60",
            "critical",
            f"The node of {server} was last heard of {{{{ $value | humanizeDuration }}}} ago.",
        ),
        _alert(
            "NereidTelemetryStale",
            "nereid_server_scraped_seconds > 60",
            "warning",
            f"Nobody scrapes {server}: rollouts have nothing to decide by.",
            "2m",
        ),
        _alert(
            "NereidEndpointDegraded",
            'nereid_endpoints{status="Degraded"} > 0',
            "critical",
            "{{ $value }} endpoints are degraded: the console says why.",
            "5m",
        ),
        _alert(
            "NereidChangesHang",
            "nereid_endpoints_behind > 0",
            "warning",
            "{{ $value }} endpoints do not come to serve their newest generation.",
            "15m",
        ),
        _alert(
            "NereidPreparationFailed",
            "nereid_preparations_failed > 0",
            "warning",
            "{{ $value }} preparations failed: what served goes on, and the change does not.",
            "5m",
        ),
        _alert(
            "NereidWebhooksFail",
            "nereid_webhooks_in_trouble > 0",
            "warning",
            "{{ $value }} webhooks do not reach their receivers.",
            "15m",
        ),
    ]


def _record(name: str, expression: str) -> Rule:
    return {"record": name, "expr": expression}


def _alert(
    name: str, expression: str, severity: str, words: str, lasting: str = "", **labels: str
) -> Rule:
    found: Rule = {"alert": name, "expr": expression}
    if lasting:
        found["for"] = lasting
    return {
        **found,
        "labels": {"severity": severity, **labels},
        "annotations": {"summary": words},
    }


def _calls(window: str) -> str:
    return f'rate(nereid_requests_total{{outcome!~"{HANDED_ON}"}}[{window}])'


def _errors(window: str) -> str:
    return f'rate(nereid_requests_total{{outcome=~"{SEEN}"}}[{window}])'


def _by_model(metric: str) -> str:
    """Physical models only, which have a dot in their name: routers would count all again."""
    return f'sum by (model) (rate({metric}{{model=~".+[.].+"}}[5m]))'
