"""What the control plane says of its own state, and of the token that asks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from control_plane import wiring
from control_plane.adapters.any_source import AnySource
from control_plane.adapters.sources import FsspecSources
from control_plane.domain.edge.sight import AWAY, EdgeSight
from control_plane.fleet.edges import FORGOTTEN_AFTER, forget_edge, note_edge
from control_plane.fleet.models import Edge, Server
from control_plane.ports.sources import SourceFailedError
from control_plane.ports.workers import WorkersUnknownError
from control_plane.telemetry.store import TelemetryStore, engine_url
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem
from tests.integration.api.test_tokens_api import make
from tests.support.fakes import FakeWorkers


@pytest.fixture(autouse=True)
def telemetry_migrated(telemetry_there: None) -> None:
    """The telemetry of these tests lies in a database of its own."""


def test_who_works_on_what_and_how_much_room_there_is(
    api: Api, telemetry: TelemetryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"control": ["worker@host"], "node.lab.switch": ["lab@host"]}
    monkeypatch.setattr(wiring, "workers", lambda: FakeWorkers(there))
    Server.objects.create(name="lab", http="h:1", grpc="h:2", metrics="http://h:3/metrics")
    response = api.get("diagnosis/")
    document = response.json()
    assert {queue["name"]: queue["workers"] for queue in document["queues"]} == {
        "control": ["worker@host"],
        "validation": [],
        "webhooks": [],
        "perf": [],
        "node.lab.switch": ["lab@host"],
        "node.lab.prepare": [],
    }
    assert document["version"]
    assert all(0 < disk["free_bytes"] < disk["total_bytes"] for disk in document["disks"])
    assert document["migrations"] == []
    assert document["scrapes"] == [{"server": "lab", "scraped_at": None}]
    assert response["Cache-Control"] == "no-store"


def test_how_the_edges_are(api: Api) -> None:
    now = wiring.clock().now()
    long_ago = now - FORGOTTEN_AFTER - timedelta(seconds=1)
    note_edge(name="removed", seen=AWAY, now=long_ago)
    note_edge(name="silent", seen=AWAY, now=now - timedelta(hours=1))
    assert [edge["name"] for edge in api.get("diagnosis/").json()["edges"]] == ["silent"]
    seen = EdgeSight(
        live=True,
        listeners={"http": "0.0.0.0:8500"},
        behind=("clusters.json",),
        servers={
            "lab": {"http": "", "grpc": "its gate is closed, or nobody answers there"},
            "new": {"http": ""},
        },
    )
    note_edge(name="edge", seen=seen, now=now)
    edge, silent = api.get("diagnosis/").json()["edges"]
    assert (silent["live"], silent["servers"]) == (False, [])
    assert edge == {
        "name": "edge",
        "seen_at": edge["seen_at"],
        "live": True,
        "listeners": {"http": "0.0.0.0:8500"},
        "behind": ["clusters.json"],
        "servers": [
            {"server": "lab", "http": "", "grpc": "its gate is closed, or nobody answers there"},
            {"server": "new", "http": "", "grpc": None},
        ],
    }
    assert not Edge.objects.filter(name="removed"), "the next word of any edge forgets it"
    forget_edge(name="edge")
    assert [one["name"] for one in api.get("diagnosis/").json()["edges"]] == ["silent"]


def test_migrations_that_the_database_lacks_are_named(api: Api) -> None:
    MigrationRecorder.Migration.objects.filter(app="audit").order_by("-id")[:1].get().delete()
    [lacking] = api.get("diagnosis/").json()["migrations"]
    assert lacking.startswith("audit.")


def test_so_is_one_of_the_telemetry(api: Api, telemetry_address: str) -> None:
    engine = sa.create_engine(engine_url(telemetry_address), poolclass=sa.NullPool)
    there = sa.table("alembic_version", sa.column("version_num"), schema="telemetry")
    with engine.begin() as link:
        newest = link.scalar(sa.select(there.c.version_num))
        link.execute(sa.update(there).values(version_num="before"))
    try:
        assert api.get("diagnosis/").json()["migrations"] == [f"telemetry.{newest}"]
    finally:
        with engine.begin() as link:
            link.execute(sa.update(there).values(version_num=newest))


def test_the_number_of_servers_does_not_change_the_number_of_queries(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "workers", FakeWorkers)
    asked: list[str] = []

    def note(*said: Any) -> None:
        asked.append(said[2])

    for name in ("a", "b", "c"):
        Server.objects.create(name=name, http="h:1", grpc="h:2", metrics="http://h:3/metrics")
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        assert api.get("diagnosis/").status_code == 200
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert len([query for query in asked if "server_latest" in query]) == 1


def test_a_broker_that_is_away_is_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        def by_queue(self) -> None:
            raise WorkersUnknownError("away")

    monkeypatch.setattr(wiring, "workers", Away)
    assert api.get("diagnosis/").json()["queues"] is None


def test_a_token_says_what_it_is_for(api: Api) -> None:
    made = make(api, names=["digits"], role="publisher")
    said = Api(made["token"]).get("tokens/current/").json()
    assert (said["id"], said["role"], said["names"]) == (made["id"], "publisher", ["digits"])
    assert "token" not in said
    problem(Api(None).get("tokens/current/"), 401)


def test_a_login_has_no_token(api: Api, client: Client, admin_user: object) -> None:
    client.force_login(admin_user)  # type: ignore[arg-type]
    assert client.get("/api/v1/tokens/current/").status_code == 404


def test_a_source_of_mlflow_where_there_is_none(
    digits: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"source": "models:/digits@champion"}
    response = digits.post("models/digits/versions/", body)
    problem(response, 400)
    [error] = response.json()["errors"]
    assert (error["pointer"], "NEREID_MLFLOW_TRACKING_URI" in error["detail"]) == ("/source", True)

    class Away(AnySource):
        def settle(self, source: str) -> None:  # type: ignore[override]
            raise SourceFailedError("MLflow does not answer")

    monkeypatch.setattr(wiring, "sources", lambda: Away(FsspecSources([])))
    problem(digits.post("models/digits/versions/", body), 503)
