"""By what a fleet is scaled: rules for Prometheus' adapter, which hands them to Kubernetes.

What an autoscaler is told has to be right for a pod that serves many models, some of them idle, and
nothing at all for a while:

- Times and requests are summed over the pod's models *before* they are divided. A mean of each
  model's mean counts an idle model as much as a busy one: with N models of which one serves it is
  N times too low (triton-inference-server/server#8979).
- Only physical models are counted, whose names have a dot: a router counts each request again, and
  its requests wait for nothing.
- The divisor is the number of requests, not one more: two requests that waited 6 ms each waited
  6 ms, not 4.
- A pod without requests says 0. If it said nothing, its metric would be taken for missing.
"""

from __future__ import annotations

from typing import Any

from control_plane.domain.monitoring.catalogue import NAMES

WINDOW = "2m"
"""Eight scrapes of 15 s: a rate needs two, and one that is lost must not silence a pod."""

FEWEST_A_SECOND = 0.001
"""Less than a single request in the window makes: it is divided by where there was none."""

QUEUE_US = "nereid_queue_us"
PENDING = "nereid_pending_requests"

_PHYSICAL = 'model=~".+[.].+"'

Rule = dict[str, Any]


def adapter_rules() -> dict[str, list[Rule]]:
    """The adapter's configuration, as it reads it: two metrics of pods."""
    waited = _summed("rate", "nv_inference_queue_duration_us")
    answered = _summed("rate", "nv_inference_request_success")
    mean = f"{waited} / clamp_min({answered}, {FEWEST_A_SECOND:g})"
    pending = _summed("avg_over_time", "nv_inference_pending_request_count")
    return {
        "rules": [
            _rule(QUEUE_US, "nv_inference_queue_duration_us", mean),
            _rule(PENDING, "nv_inference_pending_request_count", pending),
        ]
    }


def _rule(name: str, series: str, query: str) -> Rule:
    """The adapter finds pods by the labels of `series`, and asks `query` of those it wants."""
    labels = {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}
    return {
        "seriesQuery": f'{NAMES[series].name}{{namespace!="",pod!="",{_PHYSICAL}}}',
        "resources": {"overrides": labels},
        "name": {"as": name},
        "metricsQuery": query,
    }


def _summed(function: str, metric: str) -> str:
    """`<<…>>` is the adapter's: the pods asked for, and the labels to answer by."""
    selected = f"{NAMES[metric].name}{{<<.LabelMatchers>>,{_PHYSICAL}}}[{WINDOW}]"
    return f"sum by (<<.GroupBy>>) ({function}({selected}))"
