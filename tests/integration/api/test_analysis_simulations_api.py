"""Simulated rollouts over the API: by a template's name or its document, and nothing is kept."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.analysis import simulation
from control_plane.audit.models import AuditEvent
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem

TWENTY = [{"name": f"m{i}", "kind": "error_rate"} for i in range(20)]
BAD = {"rate": 200, "weight": 20, "candidateError": 0.3}


def simulated(api: Api, **body: Any) -> dict[str, Any]:
    response = api.post("analysis-simulations/", {"runs": 20, **body})
    assert response.status_code == 200, response.json()
    found: dict[str, Any] = response.json()
    return found


def test_whoever_may_read_templates_sees_what_one_would_do(reader: Api) -> None:
    found = simulated(reader, template="default", scenario=BAD)
    assert found["outcome"]["failed"] == 1
    assert found["outcome"]["failed_by"] == {"errors": 1}
    assert found["scenario"]["baselineError"] == 0.01
    assert found["template"]["metrics"][0]["margin"] == 0.005
    assert not AuditEvent.objects.filter(object_type="analysistemplate").exists()


def test_a_template_is_tried_before_it_is_put(reader: Api) -> None:
    slow = {"name": "p50", "kind": "latency_quantile", "q": 0.5, "unit": "request"}
    story = {**BAD, "candidateError": 0.01, "slower": 1.5}
    found = simulated(reader, document={"metrics": [slow]}, scenario=story)
    assert found["outcome"]["failed_by"] == {"p50": 1}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"scenario": {"rate": -1}}, "/scenario/rate"),
        ({"scenario": []}, "/scenario"),
        ({"document": {"metrics": []}}, "/document/metrics"),
        ({"template": "nowhere"}, "/template"),
        ({"runs": 401}, "/runs"),
        ({"document": {"metrics": TWENTY}, "runs": 21}, "/runs"),
    ],
)
def test_what_cannot_be_played_is_refused_where_it_stands(
    reader: Api, body: dict[str, Any], pointer: str
) -> None:
    assert list(problem(reader.post("analysis-simulations/", body), 400)) == [pointer]


def test_one_simulation_runs_at_a_time(reader: Api) -> None:
    with simulation._ONE:
        response = reader.post("analysis-simulations/", {})
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0
