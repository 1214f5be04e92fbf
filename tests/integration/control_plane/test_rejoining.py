"""A server that was away while policies changed: its gate stays closed until it has caught up."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from control_plane.domain.planning.readiness import Verdict
from control_plane.endpoints.intent import set_policy
from control_plane.endpoints.models import Endpoint, Placement, RetiredName, Revision
from control_plane.endpoints.placements import set_placement
from control_plane.endpoints.returning import came_back, take_off_forgotten
from control_plane.endpoints.services import create_endpoint, delete_endpoint
from control_plane.endpoints.serving import PlacedDuties
from control_plane.endpoints.wanted import fell_back, wanted_of
from control_plane.fleet.agent import StaleCommandError
from control_plane.fleet.cordoning import cordon_server, drain_server
from control_plane.fleet.gate import Gate
from control_plane.fleet.node_state import NodeState
from control_plane.fleet.selectors import get_server
from control_plane.fleet.services import delete_server, register_server
from control_plane.ports.triton import TritonError
from control_plane.wiring import print_config
from tests.integration.control_plane.test_convergence import World

pytestmark = pytest.mark.django_db


class Fleet(World):
    """Two servers; those in `away` say nothing and hear nothing."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "one", "two")
        self.root = root
        self.away: set[str] = set()

    def beat(self) -> None:
        agents = self.agents
        self.agents = {n: a for n, a in agents.items() if n not in getattr(self, "away", ())}
        super().beat()
        self.agents = agents

    def gate(self, name: str) -> Gate:
        """The gate of a node that starts now, and asks at once."""
        gate = Gate(
            agent=self.agents[name],
            triton=self.tritons[name],
            state=NodeState(self.root / name / "state"),
        )
        gate.found("")
        self.ask(gate, name)
        return gate

    def ask(self, gate: Gate, name: str) -> Verdict:
        gate.heard(wanted_of(get_server(name), self.clock.now()))
        return gate.verdict()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    fleet = Fleet(tmp_path)
    create_endpoint(name="digits", actor="ada", queue=fleet, print_config=print_config)
    fleet.policy(100)
    fleet.settle()
    return fleet


def test_one_that_comes_back_is_ready_at_the_newest_generation_and_not_before(
    fleet: Fleet,
) -> None:
    gate = fleet.gate("two")
    assert gate.verdict().ready
    late = Revision.objects.get(generation=1).compiled
    fleet.away = {"two"}
    fleet.policy(90, 10)
    fleet.settle()
    fleet.policy(50, 50)
    fleet.settle()
    assert fleet.ask(gate, "two") == Verdict(False, "digits is at generation 1, and 3 is wanted")
    assert fleet.gate("two").verdict() == Verdict(
        False, "digits is at generation 1, and 3 is wanted"
    )
    fleet.away = set()
    fleet.settle()
    assert fleet.ask(gate, "two").ready
    assert late is not None
    with pytest.raises(StaleCommandError):
        fleet.agents["two"].switch(late)


def test_one_that_starts_waits_for_the_change_that_is_under_way(fleet: Fleet) -> None:
    fleet.policy(90, 10)
    running = fleet.gate("one")
    assert "2 is wanted" in running.verdict().reason
    fleet.settle()
    assert fleet.ask(running, "one").ready
    fleet.policy(50, 50)
    assert fleet.ask(running, "one").ready, "one that serves is not taken out by a change"


def test_a_change_that_is_refused_holds_nobody_up(fleet: Fleet) -> None:
    fleet.tritons["one"].on_load = refuse
    fleet.policy(90, 10)
    fleet.settle(2)
    assert fleet.gate("two").verdict().ready
    assert fleet.gate("one").verdict().ready


def test_a_server_that_joins_is_not_ready_before_it_serves_anything(fleet: Fleet) -> None:
    fleet.join("three")
    gate = fleet.gate("three")
    assert gate.verdict() == Verdict(False, "digits is at generation 0, and 1 is wanted")
    fleet.settle()
    assert fleet.ask(gate, "three").ready


def test_a_node_that_lost_its_disk_is_told_everything_again(fleet: Fleet) -> None:
    shutil.rmtree(fleet.root / "two" / "state")
    fleet.join("two")  # started anew, and its Triton too
    gate = fleet.gate("two")
    assert "generation 0" in gate.verdict().reason
    now = fleet.clock.now()
    assert fell_back(server="two", serves=fleet.agents["two"].serves(), now=now) == ["digits"]
    assert fell_back(server="one", serves=fleet.agents["one"].serves(), now=now) == []
    fleet.settle()
    assert fleet.ask(gate, "two").ready
    assert fell_back(server="two", serves=fleet.agents["two"].serves(), now=now) == []


def test_what_was_deleted_meanwhile_goes_before_it_is_ready(fleet: Fleet) -> None:
    fleet.away = {"two"}
    delete_endpoint(name="digits", actor="ada", queue=fleet, clock=fleet.clock)
    fleet.settle()
    gate = fleet.gate("two")
    assert gate.verdict() == Verdict(False, "digits was deleted, and is still there")
    fleet.away = set()
    fleet.settle()
    assert fleet.ask(gate, "two").ready


def test_a_removed_server_that_comes_back_is_brought_to_what_is_wanted(fleet: Fleet) -> None:
    deed = {"name": "two", "actor": "ada", "now": fleet.clock.now()}
    delete_server(**deed, duties=PlacedDuties(), force=True, reason="burnt")
    server = register_server(
        name="two", http="h:1", grpc="h:2", metrics="http://h:3/", accelerator="cpu", actor="node"
    )
    cordon_server(name="two", actor="ada", now=fleet.clock.now())  # nothing new comes there
    fleet.policy(90, 10)
    agent, now = fleet.agents["two"], fleet.clock.now()
    assert came_back(server="two", serves=agent.serves, now=now) == ["digits"]
    assert came_back(server="two", serves=agent.serves, now=now) == []
    assert Placement.objects.get(server=server).switched == 1
    fleet.settle(3)
    assert agent.serves() == {}, "it is known, so it is taken off"


def test_what_was_deleted_and_forgotten_is_taken_off_where_it_comes_back(fleet: Fleet) -> None:
    deed = {"name": "two", "actor": "ada", "now": fleet.clock.now()}
    delete_server(**deed, duties=PlacedDuties(), force=True, reason="burnt")
    delete_endpoint(name="digits", actor="ada", queue=fleet, clock=fleet.clock)
    fleet.agents, agent = {"one": fleet.agents["one"]}, fleet.agents["two"]
    fleet.settle(2)
    assert not Endpoint.objects.exists()
    assert agent.serves() == {"digits": 1}
    names = RetiredName.objects.filter(name="digits")
    last = names.get().generation
    names.update(generation=0)  # as in records put back from an older copy
    assert take_off_forgotten(agent) == []
    names.update(generation=last)
    assert take_off_forgotten(agent) == ["digits"]
    assert fleet.tritons["two"].index() == []


def test_what_moves_to_a_server_closes_no_gate_there(fleet: Fleet) -> None:
    gate = fleet.gate("two")
    create_endpoint(name="more", actor="ada", queue=fleet, print_config=print_config)
    set_placement(name="more", document={"replicas": 1}, actor="ada", queue=fleet)
    set_policy(
        name="more",
        document={"arms": [{"model": "digits", "version": 2, "weight": 100}]},
        actor="ada",
        queue=fleet,
        print_config=print_config,
    )
    fleet.settle(2)
    drain_server(name="one", actor="ada", now=fleet.clock.now())
    fleet.reconcile(endpoint_id=Endpoint.objects.get(name="more").id)
    fleet.deliver(fleet.messages.pop(0))
    wanted = wanted_of(get_server("two"), fleet.clock.now()).endpoints["more"]
    assert (wanted.settled, wanted.arriving) == (1, True)
    assert fleet.ask(gate, "two").ready, "what is there goes on being served"


def refuse(name: str) -> None:
    if name.startswith("digits.v2"):
        raise TritonError(f"failed to load '{name}'")
