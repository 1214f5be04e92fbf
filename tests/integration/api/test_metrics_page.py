"""`/metrics`: what is on it is what is listed, and a token opens it."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from control_plane import wiring
from control_plane.access.models import ApiToken
from control_plane.domain.monitoring.catalogue import CONTROL_PLANE
from control_plane.fleet.models import Server
from control_plane.fleet.services import register_server
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import TelemetryStore
from tests.integration.api.conftest import Api

ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


def page(username: str) -> str:
    token = ApiToken.issue(user=get_user_model().objects.get(username=username), name="m")[1]
    headers = {"Authorization": f"Bearer {token}", "Accept": ACCEPT}
    answer = Client().get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    return answer.content.decode()


def test_everything_that_is_listed_is_there_and_nothing_else(
    digits: Api, reader: Api, telemetry: TelemetryStore
) -> None:
    address = {"http": "h:1", "grpc": "h:2", "metrics": "http://h:3/metrics"}
    register_server(name="one", **address, accelerator="cpu", actor="ada")
    now = wiring.clock().now()
    Server.objects.update(last_seen_at=now)
    telemetry.write(rows([], Server.objects.get().id, now))
    found = {family.name: family for family in text_string_to_metric_families(page("ben"))}
    assert found.keys() == {metric.name for metric in CONTROL_PLANE}
    for metric in CONTROL_PLANE:
        family = found[metric.name]
        assert (family.documentation, family.type) == (metric.help, metric.kind)
        assert family.samples, f"{metric.name} has no value"
        assert all(set(one.labels) == set(metric.labels) for one in family.samples)
    ready = {one.labels["state"]: one.value for one in found["nereid_versions"].samples}
    assert ready["ready"] == 2
    [scraped] = found["nereid_server_scraped_seconds"].samples
    assert scraped.value < 60


def test_nobody_reads_it_without_a_token(db: None) -> None:
    refused = Client().get("/metrics", headers={"Accept": ACCEPT})
    assert refused.status_code == 401
