"""What the edge is told of the fleet, and that its writer takes another list of tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from control_plane.adapters.edge.environment import EdgeSettingsError, edge_options
from control_plane.endpoints.edge import servers_for_edge
from control_plane.endpoints.models import Endpoint, Placement
from control_plane.fleet.models import Server
from workers import edge as writing

pytestmark = pytest.mark.django_db
TOKEN, OTHER = "a-token-of-some-length", "another-of-some-length"


@pytest.fixture
def servers() -> dict[str, Server]:
    addresses = {"http": "127.0.0.1:1", "grpc": "127.0.0.1:2", "metrics": "http://127.0.0.1:3/m"}
    return {
        name: Server.objects.create(name=name, gate="127.0.0.1:4", **addresses) for name in "abc"
    }


def place(endpoint: Endpoint, server: Server, **said: Any) -> None:
    Placement.objects.create(endpoint=endpoint, server=server, **said)


def routes() -> dict[str, set[str]]:
    return {server.name: set(server.routes) for server in servers_for_edge()}


def test_an_endpoint_is_where_it_was_switched_to_and_is_not_left(
    servers: dict[str, Server], django_assert_num_queries: Any
) -> None:
    digits = Endpoint.objects.create(name="digits")
    place(digits, servers["a"], switched=1)
    place(digits, servers["b"])
    place(digits, servers["c"], switched=1, assigned=False, leaving_at=timezone.now())
    with django_assert_num_queries(2):
        assert routes() == {"a": {"digits"}, "b": set(), "c": set()}
    Placement.objects.filter(server=servers["c"]).update(leaving_at=None)
    assert routes()["c"] == {"digits"}, "the others do not serve yet"
    Endpoint.objects.update(deleted_at=timezone.now())
    assert routes() == {"a": set(), "b": set(), "c": set()}


def test_one_that_nobody_serves_yet_is_looked_for_where_it_shall_be(
    servers: dict[str, Server],
) -> None:
    """Else its first callers would be sent anywhere, until the edge has heard of it."""
    digits = Endpoint.objects.create(name="digits")
    place(digits, servers["b"])
    place(digits, servers["c"], assigned=False)
    assert routes() == {"a": set(), "b": {"digits"}, "c": set()}


def test_a_server_whose_gate_nobody_knows_gets_nothing(servers: dict[str, Server]) -> None:
    Server.objects.filter(name="a").update(gate="")
    assert set(routes()) == {"b", "c"}


@pytest.fixture(autouse=True)
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own, which it rolls back."""
    monkeypatch.setattr(writing, "close_old_connections", lambda: None)


class Edge:
    """A writer, the list of tokens that it reads, and what it wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.listed = folder / "edge", folder / "tokens"
        self.lists(TOKEN)
        environment = {"NEREID_EDGE_TOKENS": str(self.listed)}
        self.asked = lambda: edge_options(environment, folder=self.folder, admin=folder / "admin")
        self.writer = writing.EdgeWriter(self.asked, "edge")

    def lists(self, token: str) -> None:
        self.listed.write_text(f"app {token}\n")

    def taken(self) -> str:
        (access,) = json.loads((self.folder / "access.json").read_text())["resources"]
        [credential] = access["typed_config"]["credentials"]
        return str(credential["key"])


def test_another_list_of_tokens_is_taken_at_the_next_look(
    servers: dict[str, Server], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edge = Edge(tmp_path)
    edge.writer.look()
    assert edge.taken() == TOKEN
    edge.lists(OTHER)
    edge.writer.look()
    assert edge.taken() == OTHER
    edge.lists("short")
    caplog.clear()
    for _ in range(3):
        edge.writer.look()
    assert edge.taken() == OTHER, "the one before holds"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1, "once"
    assert "line 1" in told[0]
    assert "short" not in told[0]
    with pytest.raises(EdgeSettingsError):
        writing.EdgeWriter(edge.asked, "edge")


def test_it_is_taken_with_the_database_away_too(
    servers: dict[str, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = Edge(tmp_path)
    edge.writer.look()
    endpoints = (edge.folder / "endpoints-http.json").read_text()

    def away() -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(writing, "servers_for_edge", away)
    edge.lists(OTHER)
    edge.writer.look()
    assert edge.taken() == OTHER
    assert (edge.folder / "endpoints-http.json").read_text() == endpoints
