"""Runs by metrics of PromQL: what is asked, what is counted, and what becomes of no answer."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.analysis.asking import NO_PROMETHEUS, ask_all
from control_plane.analysis.models import AnalysisReading, AnalysisRun
from control_plane.analysis.templates import put_template
from control_plane.ports.prometheus import Prometheus
from control_plane.rollouts.models import Rollout
from tests.integration.rollouts.stage import Stage
from tests.support.prometheus import FakePrometheus

pytestmark = pytest.mark.django_db

REFUNDS = {
    "name": "refunds",
    "kind": "promql",
    "of": 'orders_total{version="{{version}}"}',
    "count": 'refunds_total{version="{{version}}"}',
    "unit": "request",
}
ORDERS, REFUNDED = 'orders_total{version="%d"}', 'refunds_total{version="%d"}'


def analysing(stage: Stage, metric: dict[str, Any]) -> Rollout:
    put_template(name="shop", document={"metrics": [metric]}, actor="ada")
    steps = [{"setWeight": 25}, {"analysis": {"template": "shop"}}]
    rollout = stage.start(strategy={"canary": {"steps": steps}}, watch="0s")
    return stage.until(rollout, "analysing", requests=400)


def second(stage: Stage, rollout: Rollout, prometheus: Prometheus | None) -> Rollout:
    stage.clock.pass_time(seconds=5)
    ask_all(prometheus, stage.clock.now())
    return stage.tick(rollout, requests=400)


def sold(prometheus: FakePrometheus, version: int, orders: int, refunds: int, pod: str) -> None:
    prometheus.says(ORDERS % version, orders, pod=pod)
    prometheus.says(REFUNDED % version, refunds, pod=pod)


def test_what_counters_grew_by_takes_a_version_back(stage: Stage) -> None:
    prometheus = FakePrometheus()
    rollout = analysing(stage, REFUNDS)
    for version in (1, 2):
        sold(prometheus, version, orders=5000, refunds=4000, pod="before")
    second(stage, rollout, prometheus)
    assert rollout.state == "analysing", "what was before the run is nobody's fault"
    sold(prometheus, 1, orders=300, refunds=3, pod="new")
    sold(prometheus, 2, orders=5100, refunds=4060, pod="before")
    second(stage, rollout, prometheus)
    assert rollout.state == "rollingBack", rollout.reason
    assert "candidate 60 % of 100, baseline 1 % of 300" in rollout.reason
    [query, _] = prometheus.asked[-1]
    assert query.count("label_replace") == 4


def test_a_counter_that_begins_anew_counts_nothing_twice(stage: Stage) -> None:
    prometheus = FakePrometheus()
    rollout = analysing(stage, REFUNDS)
    for orders, refunds in ((100, 1), (120, 1), (10, 0), (20, 0)):
        for version in (1, 2):
            sold(prometheus, version, orders, refunds, pod="a")
        second(stage, rollout, prometheus)
        second(stage, rollout, prometheus)
    reading = AnalysisReading.objects.get()
    assert reading.totals == {"candidate": [30, 0], "baseline": [30, 0]}
    look = AnalysisRun.objects.get().looks.last()
    assert look is not None
    assert look.document["metrics"][0]["candidate"]["of"] == 30


def test_no_answer_asks_a_person_and_takes_nothing_back(stage: Stage) -> None:
    prometheus = FakePrometheus()
    prometheus.refuses("the query is broken")
    rollout = analysing(stage, REFUNDS)
    for _ in range(9):
        second(stage, rollout, prometheus)
    assert rollout.state == "analysing"
    assert "the query is broken" in rollout.reason
    second(stage, rollout, None)
    assert rollout.state == "inconclusive"
    assert NO_PROMETHEUS in rollout.reason


def test_whom_nobody_asks_is_not_measured(stage: Stage) -> None:
    rollout = analysing(stage, REFUNDS)
    for _ in range(29):
        stage.tick(rollout, requests=400)
    assert "could not be measured" not in rollout.reason
    for _ in range(12):
        stage.tick(rollout, requests=400)
    assert "nobody asked Prometheus" in rollout.reason
