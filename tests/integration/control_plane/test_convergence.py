"""Reconcile, nodes and records together, with messages lost, late, doubled and out of order."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.adapters.repository import DiskRepository
from control_plane.endpoints import observations
from control_plane.endpoints.generations import left_behind, overtake
from control_plane.endpoints.intent import set_policy
from control_plane.endpoints.models import Endpoint, Placement, Revision
from control_plane.endpoints.node_commands import carry_out
from control_plane.endpoints.reconcile import reconcile, sweep
from control_plane.endpoints.services import create_endpoint, delete_endpoint
from control_plane.fleet.agent import NodeAgent
from control_plane.fleet.node_state import NodeState
from control_plane.fleet.services import heartbeat, register_server
from control_plane.ports.memory import NOT_MEASURED, ServerMemory
from control_plane.ports.repository import ArtifactStore
from control_plane.registry.models import Artifact, Model, ModelVersion, VersionState
from control_plane.wiring import print_config
from tests.support.fakes import FakeClock, FakeTriton
from tests.support.plans import DIGITS

pytestmark = pytest.mark.django_db


@dataclass
class Message:
    verb: str
    kwargs: dict[str, Any]


class World:
    """A control plane with one or more nodes, and a queue that the test delivers by hand."""

    def __init__(self, root: Path, *servers: str) -> None:
        self.clock = FakeClock()
        self.messages: list[Message] = []
        self.agents: dict[str, NodeAgent] = {}
        self.tritons: dict[str, FakeTriton] = {}
        self.memory: dict[str, ServerMemory] = {}
        self._root = root
        store = self.store_of("")
        model = Model.objects.create(name="digits")
        for number in (1, 2, 3):
            sha256, size = store.add(io.BytesIO(f"artifact {number}".encode()))
            ModelVersion.objects.create(
                model=model,
                number=number,
                framework="onnx",
                artifact=Artifact.objects.create(sha256=sha256, size=size),
                profile="realtime",
                state=VersionState.READY,
                signature=DIGITS.to_document(),
            )
        for name in servers:
            self.join(name)
        self.beat()

    def store_of(self, server: str) -> ArtifactStore:
        """What a server's node has artifacts from; "": what versions are put into."""
        return FileArtifactStore(self._root / "artifacts")

    def join(self, name: str) -> None:
        """One server more, with its node."""
        address = f"127.0.0.1:{len(self.agents) + 1}"
        register_server(
            name=name,
            http=address,
            grpc=address,
            metrics=f"http://{address}/metrics",
            accelerator="cpu",
            actor="test",
        )
        repository = self._root / name / "repository"
        self.tritons[name] = FakeTriton(repository)
        self.agents[name] = NodeAgent(
            triton=self.tritons[name],
            metrics=self.tritons[name],
            inference=self.tritons[name],
            repository=DiskRepository(repository, self.store_of(name)),
            state=NodeState(self._root / name / "state"),
            accelerator="cpu",
            name=name,
        )

    # The queue.

    def reconcile(self, *, endpoint_id: UUID) -> None:
        self.messages.append(Message("reconcile", {"endpoint_id": endpoint_id}))

    def validate(self, *, version_id: UUID) -> None:
        raise AssertionError("nothing is uploaded here")

    def fetch(self, *, version_id: UUID) -> None:
        raise AssertionError("nothing is fetched here")

    def command(self, **kwargs: Any) -> None:
        self.messages.append(Message(kwargs.pop("verb"), kwargs))

    # The world.

    def beat(self) -> None:
        for name in self.agents:
            heartbeat(
                name=name,
                now=self.clock.now(),
                ready=True,
                reason="",
                triton_version="x",
                held=[],
                memory=self.memory.get(name, NOT_MEASURED),
            )

    def deliver(self, message: Message) -> None:
        if message.verb == "reconcile":
            reconcile(clock=self.clock, queue=self, print_config=print_config, **message.kwargs)
        else:
            carry_out(
                verb=message.verb,
                agent=self.agents[message.kwargs["server"]],
                queue=self,
                clock=self.clock,
                **message.kwargs,
            )

    def settle(self, looks: int = 6) -> None:
        """Delivers everything, with a sweep for what was lost, until nothing is left to say."""
        for _ in range(looks):
            self.clock.pass_time(seconds=31)
            self.beat()
            self.look_at_what_is_due()

    def look_at_what_is_due(self) -> None:
        """A sweep, and all that comes of it."""
        sweep(clock=self.clock, queue=self)
        while self.messages:
            self.deliver(self.messages.pop(0))

    def policy(self, *percents: float) -> None:
        arms = [
            {"model": "digits", "version": i + 1, "weight": p, "primary": i == 0}
            for i, p in enumerate(percents)
        ]
        self.arms(arms)

    def arms(self, arms: list[dict[str, Any]]) -> None:
        set_policy(
            name="digits",
            document={"arms": arms},
            actor="ada",
            queue=self,
            print_config=print_config,
        )
        self.reconcile(endpoint_id=self.endpoint.id)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint.objects.get(name="digits")

    def generation_on(self, server: str) -> str:
        held = self.tritons[server].config("digits")
        return str(held["parameters"]["nereid_generation"]["string_value"])


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, "a", "b")
    create_endpoint(name="digits", actor="ada", queue=world, print_config=print_config)
    return world


def test_a_policy_reaches_every_server(world: World) -> None:
    world.policy(90, 10)
    world.settle(1)
    endpoint = world.endpoint
    assert (endpoint.status, endpoint.observed_generation) == ("Healthy", 1)
    assert world.generation_on("a") == world.generation_on("b") == "1"
    assert Revision.objects.get().served_from is not None


def test_a_server_that_joins_and_is_ready_at_once_gets_what_is_served(world: World) -> None:
    world.policy(90, 10)
    world.settle()
    world.join("c")
    world.settle(1)  # which beats before it sweeps
    assert world.generation_on("c") == "1"
    assert world.endpoint.status == "Healthy"


def test_no_server_switches_before_all_are_prepared(world: World) -> None:
    world.policy(100)
    while world.messages:
        message = world.messages.pop(0)
        if message.verb == "prepare" and message.kwargs["server"] == "b":
            continue  # lost
        assert message.verb != "switch"
        world.deliver(message)
    assert world.endpoint.status == "Progressing"
    world.settle()
    assert world.endpoint.status == "Healthy"


def test_a_node_that_cannot_prepare_leaves_the_old_traffic_everywhere(world: World) -> None:
    world.policy(100)
    world.settle()
    bad = "digits.v2."
    refuse = world.tritons["b"].load

    def load(name: str) -> None:
        if name.startswith(bad):
            world.tritons["b"].refuse(name)
        refuse(name)

    world.tritons["b"].load = load  # type: ignore[method-assign]
    world.policy(50, 50)
    world.settle(1)
    assert world.endpoint.status == "Degraded"
    assert "b: failed to load" in world.endpoint.reason
    assert world.generation_on("a") == world.generation_on("b") == "1"
    # It heals by itself once the reason is gone.
    world.tritons["b"].load = refuse  # type: ignore[method-assign]
    for name in list(world.tritons["b"]._refused):
        world.tritons["b"].accept(name)
    world.settle()
    assert world.endpoint.status == "Healthy"
    assert world.generation_on("b") == "2"


def test_a_triton_that_forgot_its_arms_is_prepared_again(world: World) -> None:
    world.policy(90, 10)
    world.settle()
    world.tritons["a"].crash()
    world.policy(80, 20)
    world.settle()
    assert world.endpoint.status == "Healthy"
    assert world.generation_on("a") == "2"


def test_a_dead_workers_lease_runs_out(world: World) -> None:
    world.policy(100)
    Endpoint.objects.update(
        lease_owner="dead", lease_expires_at=world.clock.now().replace(year=2026, second=8)
    )
    world.deliver(world.messages.pop(0))
    assert world.endpoint.look_again
    assert world.endpoint.status == "Progressing"
    world.settle()
    assert world.endpoint.status == "Healthy"


def test_a_deleted_endpoint_leaves_nothing(world: World) -> None:
    world.policy(90, 10)
    world.settle()
    delete_endpoint(name="digits", actor="ada", queue=world, clock=world.clock)
    world.settle()
    assert not Endpoint.objects.exists()
    assert not Placement.objects.exists()
    assert [t.index() for t in world.tritons.values()] == [[], []]


def test_an_endpoint_is_not_healthy_while_a_server_is_bringing_its_models_back(
    world: World,
) -> None:
    world.policy(100)
    world.settle()

    def beat(ready: bool) -> None:
        world.clock.pass_time(seconds=3)
        for name in world.agents:
            heartbeat(
                name=name,
                now=world.clock.now(),
                ready=ready or name == "b",
                reason="" if ready else "bringing back digits",
                triton_version="x",
                held=[],
            )
        sweep(clock=world.clock, queue=world)
        while world.messages:
            world.deliver(world.messages.pop(0))

    beat(ready=False)
    assert (world.endpoint.status, world.endpoint.reason) == (
        "Degraded",
        "serving on b; a: bringing back digits",
    )
    beat(ready=True)
    assert world.endpoint.status == "Healthy"


def test_a_name_can_be_used_again(world: World) -> None:
    for _ in range(3):
        world.policy(90, 10)
    world.settle()
    delete_endpoint(name="digits", actor="ada", queue=world, clock=world.clock)
    world.settle()
    create_endpoint(name="digits", actor="ada", queue=world, print_config=print_config)
    world.policy(100)
    world.settle()
    assert world.endpoint.status == "Healthy"
    assert world.generation_on("a") == str(world.endpoint.generation)


def test_a_delete_waits_for_what_is_on_its_way(world: World) -> None:
    world.policy(100)
    world.deliver(world.messages.pop(0))
    delete_endpoint(name="digits", actor="ada", queue=world, clock=world.clock)
    world.reconcile(endpoint_id=world.endpoint.id)
    # The prepares were sent and not yet carried out: nobody may forget the endpoint yet.
    world.deliver(world.messages.pop())
    assert Endpoint.objects.exists()
    world.settle()
    assert not Endpoint.objects.exists()
    assert [t.index() for t in world.tritons.values()] == [[], []]


def test_a_node_that_has_seen_more_is_overtaken(world: World) -> None:
    world.policy(90, 10)
    world.settle()
    for agent in world.agents.values():
        # What remains of a future that the database, put back from a backup, does not know.
        state = agent._state.read("digits")
        agent._state.write("digits", replace(state, highest=50))
    world.policy(80, 20)
    world.settle()
    endpoint = world.endpoint
    assert (endpoint.status, endpoint.generation) == ("Healthy", 51)
    assert world.generation_on("a") == world.generation_on("b") == "51"


def test_nodes_that_serve_what_the_records_lost_are_led_back(world: World) -> None:
    world.policy(90, 10)
    world.settle()
    kept = {
        model: list(model.objects.values()) for model in (Endpoint, Placement, Revision)
    }  # the backup
    world.policy(20, 80)
    world.settle()
    lost = world.endpoint.generation
    Revision.objects.filter(generation=lost).delete()
    for model, rows in kept.items():
        for row in rows:
            model.objects.filter(pk=row["id"]).update(**row)
    restored = world.endpoint
    assert restored.generation < lost
    world.settle()
    assert world.generation_on("a") == str(lost), "nothing is sent for what counts as switched"

    for agent in world.agents.values():
        assert left_behind(seen=agent.highest(), now=world.clock.now()) in (["digits"], [])
    world.settle()
    endpoint = world.endpoint
    assert (endpoint.status, endpoint.policy) == ("Healthy", restored.policy)
    assert endpoint.generation > lost
    for name, agent in world.agents.items():
        assert world.generation_on(name) == str(endpoint.generation)
        assert left_behind(seen=agent.highest(), now=world.clock.now()) == []


def test_a_command_that_is_merely_late_lifts_nothing(world: World) -> None:
    world.policy(100)
    world.settle()
    endpoint = world.endpoint
    for generation, seen in ((endpoint.generation, 0), (endpoint.generation - 1, 50)):
        assert not overtake(endpoint_id=endpoint.id, generation=generation, seen=seen)
    assert world.endpoint.generation == endpoint.generation


def test_a_lost_retire_is_sent_again(world: World) -> None:
    for version in (1, 2, 3):
        world.arms([{"model": "digits", "version": version, "weight": 100}])
        while world.messages:
            message = world.messages.pop(0)
            if message.verb != "retire":
                world.deliver(message)
                if message.verb == "switch":
                    world.reconcile(endpoint_id=world.endpoint.id)
    assert len(world.tritons["a"].index()) == 4
    world.settle()
    assert len(world.tritons["a"].index()) == 3


def test_what_met_a_triton_that_was_away_is_sent_again_when_it_is_back(world: World) -> None:
    world.policy(100)
    world.settle()
    world.policy(90, 10)
    while world.messages:
        message = world.messages.pop(0)
        world.clock.pass_time(seconds=0.1)
        world.tritons["b"].running = message.verb != "switch"
        world.deliver(message)
    assert world.generation_on("a") == "2"
    world.tritons["b"].running = True
    world.look_at_what_is_due()
    assert world.generation_on("b") == "1", "it may be under way for all that is known"
    assert observations.lost_while_away(server="b", now=world.clock.now()) == 1
    world.look_at_what_is_due()
    assert world.generation_on("b") == "2"
    assert observations.lost_while_away(server="b", now=world.clock.now()) == 0


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_to_the_messages_the_last_policy_serves(world: World, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(4):
        split = chance.choice([(100,), (90, 10), (50, 50), (0, 100), (40, 30, 30)])
        world.policy(*split)
        for _ in range(chance.randrange(12)):
            if not world.messages:
                break
            message = world.messages.pop(chance.randrange(len(world.messages)))
            fate = chance.random()
            if fate < 0.25:
                continue
            if fate < 0.4:
                world.messages.append(message)
            if fate < 0.5:
                world.tritons[chance.choice("ab")].crash()
            world.deliver(message)
    world.settle(12)
    endpoint = world.endpoint
    assert (endpoint.status, endpoint.reason) == ("Healthy", "serving on a, b")
    # What a crash took, a node brings back by itself; here the test is the node.
    for name in "ab":
        world.agents[name].restore()
        assert world.generation_on(name) == str(endpoint.generation)
        assert world.agents[name].missing() == []


def test_a_late_observation_never_overwrites_a_newer_one(world: World) -> None:
    world.policy(100)
    world.settle()
    world.policy(90, 10)
    world.settle()
    for verb in ("prepare", "switch", "retire"):
        observations.succeeded(
            endpoint_id=world.endpoint.id,
            server="a",
            verb=verb,
            generation=1,
            ready_models=[],
            now=world.clock.now(),
        )
    placement = Placement.objects.get(server__name="a")
    assert (placement.prepared, placement.switched, placement.retired) == (2, 2, 2)
    assert placement.ready_models
