"""Rules and dashboards are made of the one list of metrics, and the files are what is made."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from control_plane.domain.monitoring.catalogue import CONTROL_PLANE, METRICS, NAMES, ROUTER
from control_plane.domain.monitoring.dashboards import dashboards
from control_plane.domain.monitoring.rules import rules, window_text
from control_plane.domain.monitoring.scaling import PENDING, QUEUE_US, adapter_rules
from stack.settings import CHECKOUT

RULES = [rule for group in rules()["groups"] for rule in group["rules"]]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
SHOWN = [
    target["expr"]
    for board in dashboards().values()
    for panel in board["panels"]
    for target in panel["targets"]
]
EXPRESSIONS = [*(rule["expr"] for rule in RULES), *SHOWN]
_WORD = re.compile(r"[a-z_][a-z0-9_:]*")
_STRING = re.compile(r'"[^"]*"')


def named(expression: str) -> set[str]:
    """Every metric that a query reads, as it is listed: a histogram without its suffix."""
    words = set(_WORD.findall(_STRING.sub('""', expression)))
    own = {word for word in words if word.startswith(("nereid_", "nv_"))}
    return {word.removesuffix("_bucket") for word in own}


def test_no_query_reads_what_is_not_listed() -> None:
    assert set().union(*map(named, EXPRESSIONS)) <= NAMES.keys()
    recorded = {word for one in EXPRESSIONS for word in _WORD.findall(one) if ":" in word}
    assert recorded - {"endpoint:", "arm:", "model:"} <= RECORDED


def test_nothing_is_listed_twice_or_read_by_nobody() -> None:
    assert len(NAMES) == len(METRICS)
    read = set().union(*map(named, EXPRESSIONS))
    assert {one.name for one in (*ROUTER, *CONTROL_PLANE)} <= read


def test_labels_that_a_query_groups_by_are_those_of_its_metrics() -> None:
    for expression in EXPRESSIONS:
        labels = {label for name in named(expression) for label in NAMES[name].labels}
        for grouped in re.findall(r"by \(([^)]*)\)", expression) if labels else ():
            assert set(grouped.split(", ")) <= labels | {"le"}, expression


def test_every_alert_says_what_is_wrong_and_how_bad_it_is() -> None:
    alerts = [rule for rule in RULES if "alert" in rule]
    assert len(alerts) > 10
    for alert in alerts:
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert alert["annotations"]["summary"].endswith(".")


def test_panels_lie_side_by_side() -> None:
    for board in dashboards().values():
        places = [panel["gridPos"] for panel in board["panels"]]
        assert len({(place["x"], place["y"]) for place in places}) == len(places)
        assert all(place["x"] + place["w"] <= 24 for place in places)


@pytest.mark.parametrize("board", dashboards().values(), ids=dashboards().keys())
def test_grafanas_own_model_of_a_dashboard_knows_all_that_is_said(board: dict[str, Any]) -> None:
    plugins.register_default_plugins()
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    assert not list(_lost(board, read)), "a word that Grafana does not have, or another kind"


def _lost(said: Any, read: Any, place: str = "") -> Iterator[str]:
    """Where what was read has not what was said; its defaults may be there too."""
    if isinstance(said, dict) and isinstance(read, dict):
        for word, value in said.items():
            yield from _lost(value, read.get(word), f"{place}/{word}")
    elif isinstance(said, list) and isinstance(read, list) and len(said) == len(read):
        for number, (one, other) in enumerate(zip(said, read, strict=True)):
            yield from _lost(one, other, f"{place}/{number}")
    elif said != read:
        yield f"{place}: {said!r} is read as {read!r}"


def test_the_files_are_what_is_rendered() -> None:
    files = runpy.run_path(str(CHECKOUT / "deploy/render_monitoring.py"))["files"]()
    for path, text in files.items():
        assert Path(path).read_text() == text, "python deploy/render_monitoring.py writes it anew"


def test_prometheus_takes_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool here: tests/support/install_prometheus.sh")
    file = CHECKOUT / "deploy/prometheus/nereid.rules.yml"
    told = subprocess.run(
        [promtool, "check", "rules", "--lint=all", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"{len(RULES)} rules found" in told.stdout + told.stderr


def test_windows_in_promql() -> None:
    windows = (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=6), timedelta(days=3))
    assert [window_text(window) for window in windows] == ["5m", "30m", "6h", "3d"]


def series(name: str, pod: str, model: str, values: str) -> dict[str, str]:
    labels = f'namespace="n",pod="{pod}",model="{model}",version="1"'
    return {"series": f"{name}{{{labels}}}", "values": values}


def test_what_a_fleet_is_scaled_by_is_what_requests_waited(tmp_path: Path) -> None:
    """One model of four serves, four requests a second that wait 20 ms each; and a pod is idle."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool here: tests/support/install_prometheus.sh")
    waited, answered = "nv_inference_queue_duration_us", "nv_inference_request_success"
    pending = "nv_inference_pending_request_count"
    told = [
        series(waited, "busy", "digits.v1.aaaaaa", "0+1200000x20"),
        series(answered, "busy", "digits.v1.aaaaaa", "0+60x20"),
        series(pending, "busy", "digits.v1.aaaaaa", "3x20"),
        series(answered, "busy", "digits", "0+60x20"),  # the router, whose requests do not wait
        series(waited, "busy", "digits", "0x20"),
        *(series(waited, "busy", f"idle.v{n}.aaaaaa", "0x20") for n in (1, 2)),
        *(series(answered, "busy", f"idle.v{n}.aaaaaa", "0x20") for n in (1, 2)),
        *(series(name, "calm", "digits.v1.aaaaaa", "0x20") for name in (waited, answered, pending)),
    ]
    rules = {rule["name"]["as"]: rule["metricsQuery"] for rule in adapter_rules()["rules"]}
    answers = {
        rules[QUEUE_US]: {"busy": 20_000, "calm": 0},
        rules[PENDING]: {"busy": 3, "calm": 0},
    }
    queries = [
        {
            "expr": query.replace("<<.LabelMatchers>>", 'namespace="n"').replace(
                "<<.GroupBy>>", "pod"
            ),
            "eval_time": "5m",
            "exp_samples": [{"labels": f'{{pod="{p}"}}', "value": v} for p, v in pods.items()],
        }
        for query, pods in answers.items()
    ]
    file = tmp_path / "scaling.yml"
    file.write_text(
        yaml.safe_dump(
            {"tests": [{"interval": "15s", "input_series": told, "promql_expr_test": queries}]}
        )
    )
    said = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
