"""Placements, cordons and drains, carried out by nodes whose Tritons are fakes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from control_plane.audit.models import AuditEvent
from control_plane.domain.placement.memory import Footprint
from control_plane.domain.violations import ConflictError, InvalidInputError
from control_plane.endpoints.intent import set_policy
from control_plane.endpoints.kill import kill
from control_plane.endpoints.models import Endpoint, Placement
from control_plane.endpoints.placements import NEVER, drain_would, left_on, set_placement
from control_plane.endpoints.placing import grantees, place_anew
from control_plane.endpoints.selectors import due_endpoints
from control_plane.endpoints.services import create_endpoint
from control_plane.endpoints.serving import PlacedDuties
from control_plane.endpoints.touching import judge_changes, next_in_turn
from control_plane.endpoints.wanted import wanted_of, why_drained
from control_plane.fleet.cordoning import (
    cordon_server,
    drain_server,
    label_server,
    uncordon_server,
)
from control_plane.fleet.footprints import note_loads
from control_plane.fleet.models import FleetChange, Server, ServerChange
from control_plane.fleet.services import delete_server, register_server
from control_plane.ports.memory import ServerMemory
from control_plane.wiring import print_config
from tests.integration.control_plane.test_convergence import Message, World

pytestmark = pytest.mark.django_db

GIB = 1 << 30


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, "a", "b", "c")
    for name, zone in (("a", "1"), ("b", "1"), ("c", "2")):
        label_server(name=name, labels={"zone": zone}, actor="ada")
    create_endpoint(name="digits", actor="ada", queue=world, print_config=print_config)
    return world


def placed(world: World, document: dict[str, Any] | None) -> None:
    set_placement(name="digits", document=document, actor="ada", queue=world)


def on(world: World) -> set[str]:
    """The servers whose routers are up."""
    return {name for name, triton in world.tritons.items() if triton.is_ready("digits")}


def drain(world: World, name: str) -> Server:
    return drain_server(name=name, actor="ada", now=world.clock.now(), reason="new disk")


def test_replicas_are_placed_apart_and_nowhere_else(world: World) -> None:
    placed(world, {"replicas": 2, "spread": "zone"})
    world.policy(100)
    world.settle(1)

    assert on(world) == {"a", "c"}
    endpoint = world.endpoint
    assert (endpoint.status, endpoint.reason) == ("Healthy", "serving on a, c")
    assert grantees(endpoint) == ["a", "c"]
    event = AuditEvent.objects.get(action="endpoint.placement")
    assert event.after == {"servers": {}, "replicas": 2, "spread": "zone"}


def test_a_drain_moves_what_can_be_moved_and_leaves_only_after_the_others_serve(
    world: World,
) -> None:
    placed(world, {"replicas": 1})
    world.policy(100)
    world.settle(1)
    assert on(world) == {"a"}
    server = Server.objects.get(name="a")
    [(_, foreseen)] = drain_would(server, world.clock.now())
    assert foreseen == "moves to b"
    assert drain_would(server, world.clock.now(), most=0) == []
    with CaptureQueriesContext(connection) as queries:
        world.reconcile(endpoint_id=world.endpoint.id)
        world.deliver(world.messages.pop())
    assert not any('"fleet_server"."held"' in one["sql"] for one in queries), "that is long"

    server = drain(world, "a")
    removals = []
    for _ in range(4):
        world.clock.pass_time(seconds=16)
        world.beat()
        world.reconcile(endpoint_id=world.endpoint.id)
        while world.messages:
            message = world.messages.pop(0)
            if message.verb == "remove":
                removals.append(world.tritons["b"].is_ready("digits"))
            world.deliver(message)

    assert removals == [True], "b serves before a lets go"
    assert on(world) == {"b"}
    assert left_on(server) == []
    assert world.endpoint.status == "Healthy"
    wanted = wanted_of(Server.objects.get(name="a"), world.clock.now())
    assert (wanted.draining, wanted.endpoints) == ("new disk", {}), "its gate is closed"
    with pytest.raises(ConflictError, match="again: stop it, and remove"):
        delete_server(name="a", actor="ada", now=world.clock.now(), duties=PlacedDuties())
    later = world.clock.now() + timedelta(minutes=1)
    delete_server(name="a", actor="ada", now=later, duties=PlacedDuties())
    assert not Server.objects.filter(name="a").exists()


def test_what_cannot_move_stays_and_says_why_and_uncordoning_undoes_a_drain(world: World) -> None:
    world.policy(100)
    world.settle(1)
    now = world.clock.now()
    for name in ("b", "c"):
        cordon_server(name=name, actor="ada", now=now)
        drain(world, name)
    drain(world, "a")
    world.settle(2)

    assert on(world) == {"a", "b", "c"}, "the traffic goes on"
    endpoint = world.endpoint
    assert endpoint.status == "Degraded"
    assert "no server can take it" in endpoint.reason
    [(_, why)] = left_on(Server.objects.get(name="a"))
    assert why == "is being drained: stays until another can take its place"
    assert not wanted_of(Server.objects.get(name="a"), now).draining, "callers need it"
    with pytest.raises(ConflictError, match="drain it, then stop it"):
        delete_server(name="a", actor="ada", now=world.clock.now(), duties=PlacedDuties())

    uncordon_server(name="c", actor="ada", now=world.clock.now())
    world.settle(3)
    assert on(world) == {"c"}
    for name in ("a", "b"):
        uncordon_server(name=name, actor="ada", now=world.clock.now())
    world.settle(2)
    assert on(world) == {"a", "b", "c"}


def test_a_cordoned_server_gets_nothing_new(world: World) -> None:
    cordon_server(name="b", actor="ada", now=world.clock.now())
    world.policy(100)
    assert "digits" in wanted_of(Server.objects.get(name="a"), world.clock.now()).endpoints
    world.settle(1)
    assert on(world) == {"a", "c"}
    assert not wanted_of(Server.objects.get(name="b"), world.clock.now()).endpoints
    assert world.endpoint.status == "Healthy"


def test_labels_move_an_endpoint(world: World) -> None:
    placed(world, {"servers": {"zone": "2"}})
    world.policy(100)
    world.settle(1)
    assert on(world) == {"c"}
    label_server(name="a", labels={"zone": "2"}, actor="ada")
    label_server(name="c", labels={"zone": None}, actor="ada")
    world.settle(3)
    assert on(world) == {"a"}
    placed(world, None)
    world.settle(2)
    assert on(world) == {"a", "b", "c"}


def test_measured_memory_decides_where_it_fits(world: World) -> None:
    for name, limit in (("a", 2), ("b", 8), ("c", 4)):
        world.memory[name] = ServerMemory(limit * GIB, GIB)
    placed(world, {"replicas": 1})
    world.policy(100)
    [physical] = world.endpoint.revisions.get().compiled.physical_names  # type: ignore[union-attr]
    note_loads(server="b", taken={physical: Footprint(2 * GIB)}, now=world.clock.now())
    world.settle(1)

    assert on(world) == {"c"}, "the tightest that is large enough"
    said = {one["server"]: one["reason"] for one in world.endpoint.placing["said"]}
    assert said["a"] == "needs 2.0 GiB of memory, and 1.0 GiB of 2.0 GiB are free"

    # The next one counts on what the first was placed with, though no node has said so yet.
    create_endpoint(name="more", actor="ada", queue=world, print_config=print_config)
    set_placement(name="more", document={"replicas": 1}, actor="ada", queue=world)
    arms = [{"model": "digits", "version": 2, "weight": 100}]
    document = {"arms": arms}
    more = set_policy(
        name="more", document=document, actor="ada", queue=world, print_config=print_config
    )
    [other] = more.revisions.get().compiled.physical_names  # type: ignore[union-attr]
    note_loads(server="b", taken={other: Footprint(2 * GIB)}, now=world.clock.now())
    world.settle(1)
    assert Placement.objects.get(endpoint=more).server.name == "b"


def test_a_late_command_does_not_bring_it_back(world: World) -> None:
    placed(world, {"replicas": 1})
    world.policy(100)
    world.settle(1)
    kwargs = {"server": "a", "endpoint_id": world.endpoint.id, "generation": 1}
    drain(world, "a")
    world.settle(3)
    assert on(world) == {"b"}
    for verb in ("prepare", "switch"):
        world.deliver(Message(verb, dict(kwargs)))
    assert on(world) == {"b"}
    assert world.tritons["a"].index() == []


def test_the_kill_switch_reaches_a_server_that_is_being_left(world: World) -> None:
    placed(world, {"replicas": 1})
    world.policy(90, 10)
    world.settle(1)
    drain(world, "a")
    world.reconcile(endpoint_id=world.endpoint.id)
    while world.messages and world.messages[0].verb != "prepare":
        world.deliver(world.messages.pop(0))
    world.messages.clear()  # b does not get to prepare
    kill(name="digits", actor="ada", queue=world, print_config=print_config)
    world.reconcile(endpoint_id=world.endpoint.id)
    while world.messages:
        world.deliver(world.messages.pop(0))
    assert world.generation_on("a") == "2"


def test_a_change_of_a_server_makes_endpoints_due_and_a_heartbeat_does_not(world: World) -> None:
    world.policy(100)
    world.settle(2)
    assert not due_endpoints(world.clock.now()).exists()
    before = FleetChange.objects.get().number
    world.beat()
    Server.objects.update(memory_used=5)
    world.memory["a"] = ServerMemory(GIB, 1)
    world.beat()
    before += 1  # what was not known is
    world.memory.clear()  # its Triton starts anew, and is not measured meanwhile
    world.beat()
    assert Server.objects.get(name="a").memory_limit == GIB
    assert FleetChange.objects.get().number == before
    cordon_server(name="a", actor="ada", now=world.clock.now())
    assert judge_changes() == 1
    assert due_endpoints(world.clock.now()).exists()


def test_only_what_a_change_touches_is_due_at_once_and_the_rest_in_its_turn(world: World) -> None:
    placed(world, {"replicas": 2, "servers": {"zone": "1"}})
    world.policy(100)
    world.settle(2)
    assert on(world) == {"a", "b"}
    label_server(name="c", labels={"zone": "2", "rack": "9"}, actor="ada")
    world.join("d")
    now = world.clock.now()
    assert judge_changes() == 0
    assert not due_endpoints(now).exists()
    assert next_in_turn(now).count() == 1, "it is looked at all the same"
    label_server(name="b", labels={"zone": "2"}, actor="ada")
    assert judge_changes() == 1
    assert judge_changes() == 0, "once a change"
    assert due_endpoints(now).exists()
    world.settle(1)
    assert not next_in_turn(world.clock.now()).exists()


def test_a_removed_server_touches_who_was_there_and_forgotten_changes_everybody(
    world: World,
) -> None:
    placed(world, {"replicas": 1, "servers": {"server": {"in": ["a", "b"]}}})
    world.policy(100)
    world.settle(2)
    forced: dict[str, Any] = {"actor": "ada", "duties": PlacedDuties(), "force": True}
    for name, touched in (("c", 0), ("a", 1)):
        delete_server(name=name, now=world.clock.now(), reason="gone", **forced)
        assert judge_changes() == touched
    Endpoint.objects.update(look_again=False)
    register_server(
        name="e", http="e:1", grpc="e:2", metrics="http://e/m", accelerator="cpu", actor="ada"
    )
    ServerChange.objects.all().delete()
    assert judge_changes() == 1


def test_a_server_that_serves_is_removed_by_force_with_a_reason_alone(world: World) -> None:
    world.policy(100)
    world.settle(1)
    deed: dict[str, Any] = {"name": "a", "actor": "ada", "now": world.clock.now()}
    with pytest.raises(InvalidInputError):
        delete_server(**deed, duties=PlacedDuties(), force=True)
    delete_server(**deed, duties=PlacedDuties(), force=True, reason="the machine burnt down")
    event = AuditEvent.objects.get(action="server.delete")
    assert event.before["endpoints"] == ["digits"]
    assert event.after["forced"] is True
    assert event.reason == "the machine burnt down"
    assert not Placement.objects.filter(server__name="a").exists()
    assert Endpoint.objects.get().status == "Healthy"


def test_cordons_are_audited_once(world: World) -> None:
    for _ in range(2):
        cordon_server(name="a", actor="ada", now=world.clock.now(), reason="noise")
    drain(world, "a")
    uncordon_server(name="a", actor="ada", now=world.clock.now())
    actions = AuditEvent.objects.filter(object_name="a").values_list("action", flat=True)
    assert [a for a in actions.order_by("id") if "label" not in a and "register" not in a] == [
        *("server.cordon", "server.drain", "server.uncordon"),
    ]
    with pytest.raises(InvalidInputError):
        label_server(name="a", labels={"accelerator": "gpu"}, actor="ada")


def test_a_removal_on_its_way_takes_nothing_that_came_back(world: World) -> None:
    placed(world, {"servers": {"server": "a"}})
    world.policy(100)
    world.settle(1)
    placed(world, {"servers": {"server": "b"}})
    late: list[Message] = []
    for _ in range(3):
        world.clock.pass_time(seconds=16)
        world.beat()
        world.reconcile(endpoint_id=world.endpoint.id)
        while world.messages:
            message = world.messages.pop(0)
            if message.verb == "remove":
                late.append(message)
            else:
                world.deliver(message)
    row = Placement.objects.get(server__name="a")
    assert late
    assert (row.sent_verb, row.switched, row.prepared) == ("remove", 0, 0), "nobody counts on it"

    placed(world, {"servers": {"server": {"in": ["a", "b"]}}})
    world.reconcile(endpoint_id=world.endpoint.id)
    while world.messages:
        world.deliver(world.messages.pop(0))
    world.deliver(late[0])
    assert on(world) == {"a", "b"}
    assert Placement.objects.get(server__name="a").assigned


def test_one_that_is_left_stays_when_those_that_took_over_are_away(world: World) -> None:
    world.policy(100)
    world.settle(1)
    drain(world, "a")
    world.reconcile(endpoint_id=world.endpoint.id)
    while world.messages:
        world.deliver(world.messages.pop(0))
    a = Server.objects.get(name="a")
    assert wanted_of(a, world.clock.now()).draining == "new disk"
    world.clock.pass_time(seconds=15)
    Server.objects.filter(name="a").update(last_seen_at=world.clock.now())
    assert not wanted_of(a, world.clock.now()).draining, "the others fell silent"
    world.reconcile(endpoint_id=world.endpoint.id)
    while world.messages:
        world.deliver(world.messages.pop(0))
    assert Placement.objects.get(server=a).leaving_at is None
    assert on(world) == {"a", "b", "c"}


def test_a_drain_keeps_every_router_until_the_gate_is_closed(world: World) -> None:
    world.policy(100)
    world.settle(1)
    create_endpoint(name="slow", actor="ada", queue=world, print_config=print_config)
    slow = Endpoint.objects.get(name="slow")
    Endpoint.objects.filter(name="slow").update(policy={}, generation=1)
    other = Placement.objects.create(
        endpoint=slow, server=Server.objects.get(name="a"), assigned=False, switched=1
    )
    drain(world, "a")

    def look() -> set[str]:
        world.clock.pass_time(seconds=16)
        world.beat()
        world.reconcile(endpoint_id=world.endpoint.id)
        while world.messages:
            world.deliver(world.messages.pop(0))
        return on(world)

    assert [look(), look()] == [{"a", "b", "c"}] * 2, (
        "slow is served nowhere else: a's gate is open"
    )
    Placement.objects.filter(pk=other.pk).update(leaving_at=world.clock.now())
    assert look() == {"b", "c"}


def test_a_drain_does_not_wait_for_what_was_never_there(world: World) -> None:
    placed(world, {"servers": {"server": "a"}})
    world.reconcile(endpoint_id=world.endpoint.id)
    world.deliver(world.messages.pop(0))
    assert not Placement.objects.exists(), "without a policy there is nothing to place"
    world.policy(100)
    endpoint = world.endpoint
    Placement.objects.create(endpoint=endpoint, server=Server.objects.get(name="b"))
    server = drain(world, "b")
    assert left_on(server) == []
    assert why_drained(server, world.clock.now()) == "new disk"
    place_anew(endpoint, None, world.clock.now())
    assert not Placement.objects.filter(server=server).exists()


def test_a_placement_set_during_a_look_is_not_lost(world: World) -> None:
    placed(world, {"servers": {"server": "a"}})
    world.policy(100)
    world.settle(1)
    seen = world.endpoint  # as a look under way read it
    placed(world, {"servers": {"server": "b"}})
    seen.placed_at_change = NEVER
    place_anew(seen, None, world.clock.now())
    assert place_anew(world.endpoint, None, world.clock.now()).servers == ("b",)


def test_who_says_something_of_a_server_does_not_stop_who_places_there(world: World) -> None:
    """Placing holds the count of changes and then wants servers' keys; a cordon the other way."""
    now = world.clock.now()
    with CaptureQueriesContext(connection) as queries:
        cordon_server(name="a", actor="ada", now=now)
        label_server(name="a", labels={"rack": "1"}, actor="ada")
        delete_server(
            name="a", actor="ada", now=now, duties=PlacedDuties(), force=True, reason="gone"
        )
    locks = [one["sql"] for one in queries if "FOR " in one["sql"] and "UPDATE" in one["sql"][-60:]]
    of_servers = [sql for sql in locks if 'FROM "fleet_server"' in sql]
    assert len(of_servers) == 3
    assert all("FOR NO KEY UPDATE" in sql for sql in of_servers)
    assert 'FROM "fleet_fleetchange"' in locks[-1], "before the row goes"


def test_a_release_before_goes_on_writing_rows(world: World) -> None:
    """It knows no columns that came later, and runs while the database has them already."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO fleet_server (id, name, http, grpc, metrics, accelerator, hardware, lab,"
            " triton_version, ready, not_ready_reason, held, created_at) VALUES"
            " (gen_random_uuid(), 'old', 'h:1', 'h:2', 'http://h:3/metrics', 'cpu', '', false,"
            " '', false, '', '[]', now())"
        )
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE column_name IN ('assigned', 'placed_at_change') AND column_default IS NULL"
        )
        assert not cursor.fetchall()
    old = Server.objects.get(name="old")
    assert (old.set_labels, old.draining, old.cordoned_by) == ({}, False, "")
