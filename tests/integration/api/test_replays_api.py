"""A template tried on what was measured: look by look, and nothing is kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from control_plane import wiring
from control_plane.telemetry.feedback import Report
from control_plane.telemetry.store import TelemetryStore, engine_url
from control_plane.telemetry.tables import arm_steps
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem

REPLAYS = "endpoints/digits/replays/"
OLD, NEW = "digits.v1.aaaaaa", "digits.v2.bbbbbb"
SECONDS = 60


@pytest.fixture
def since(telemetry: TelemetryStore, telemetry_address: str) -> datetime:
    """A minute of the past, in which the new version failed a third from second 10 on."""
    began = wiring.clock().now() - timedelta(minutes=10)
    server = uuid4()
    rows = [
        {
            "sampled_at": began + timedelta(seconds=second),
            "server_id": server,
            "endpoint": "digits",
            "arm": arm,
            "covers_ms": 1000,
            "requests": 30,
            "failures": 10 if arm == NEW and second >= 10 else 0,
            "handed_on": 0,
            "errors": 0,
            "duration_us": 30 * 5000,
            "buckets": [80 if arm == OLD else 90],
            "counts": [30],
        }
        for second in range(SECONDS)
        for arm in (OLD, NEW)
    ]
    engine = sa.create_engine(engine_url(telemetry_address), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.insert(arm_steps), rows)
    return began


def replayed(api: Api, since: datetime, **body: Any) -> dict[str, Any]:
    span = {"since": since.isoformat(), "until": (since + timedelta(seconds=SECONDS)).isoformat()}
    response = api.post(REPLAYS, {"candidate": NEW, "baseline": OLD, **span, **body})
    assert response.status_code == 200, response.json()
    found: dict[str, Any] = response.json()
    return found


def test_it_ends_where_a_run_would_have_ended(digits: Api, since: datetime) -> None:
    found = replayed(digits, since)
    assert found["phase"] == "Failed"
    ended = datetime.fromisoformat(found["ended_at"]) - since
    assert timedelta(seconds=11) <= ended <= timedelta(seconds=15)
    assert found["looks"] == ended.seconds
    assert found["look"]["metrics"][0]["candidate"]["of"] == 30 * found["looks"]
    half = replayed(digits, since, until=(since + timedelta(seconds=8)).isoformat())
    assert (half["phase"], half["ended_at"], half["looks"]) == ("Running", None, 8)


def test_latencies_and_feedback_of_that_time_count(
    digits: Api, since: datetime, telemetry: TelemetryStore
) -> None:
    slow = {"name": "p50", "kind": "latency_quantile", "q": 0.5, "unit": "request"}
    found = replayed(digits, since, document={"metrics": [slow]})
    assert (found["phase"], found["look"]["metrics"][0]["scale"]) == ("Failed", "ratio")
    now = wiring.clock().now()
    telemetry.write_feedback(
        "digits", [Report("ok", 200, 0, NEW), Report("ok", 200, 200, OLD)], now
    )
    labels = {"metrics": [{"name": "ok", "kind": "feedback", "outcome": "ok"}]}
    until = (now + timedelta(minutes=1)).isoformat()
    assert replayed(digits, since, document=labels, until=until)["phase"] == "Failed"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"candidate": "digits.v9.cccccc"}, "/candidate"),
        ({"template": "nowhere"}, "/template"),
        ({"until": "2020-01-01T00:00:00Z"}, "/since"),
        ({"since": "2020-01-01T00:00:00Z"}, "/since"),
    ],
)
def test_what_was_not_measured_cannot_be_replayed(
    digits: Api, since: datetime, body: dict[str, Any], pointer: str
) -> None:
    whole = {"candidate": NEW, "baseline": OLD, "since": since.isoformat(), **body}
    assert list(problem(digits.post(REPLAYS, whole), 400)) == [pointer]
