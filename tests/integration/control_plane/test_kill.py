"""The kill switch among nodes: it waits for nothing that may be broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.endpoints.generations import overtake
from control_plane.endpoints.kill import kill
from control_plane.endpoints.models import Revision
from control_plane.endpoints.rollback import rollback
from control_plane.endpoints.services import create_endpoint
from control_plane.wiring import print_config
from tests.integration.control_plane.test_convergence import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, "a", "b")
    create_endpoint(name="digits", actor="ada", queue=world, print_config=print_config)
    return world


def killed(world: World) -> None:
    """Kills, and delivers what follows; any prepare on the way is a failure."""
    kill(name="digits", actor="ada", queue=world, print_config=print_config)
    world.messages = []
    world.reconcile(endpoint_id=world.endpoint.id)
    while world.messages:
        message = world.messages.pop(0)
        assert message.verb != "prepare", "a kill waits for no preparation"
        world.deliver(message)


def shares(world: World) -> dict[str, float]:
    assert world.endpoint.policy
    return {arm["name"]: arm["weight"] for arm in world.endpoint.policy["arms"]}


def slots_on(world: World, server: str) -> str:
    path = world.tritons[server]._repository / "digits/1000000000/policy.txt"
    return next(line for line in path.read_text().splitlines() if line.startswith("slots"))


def test_it_is_carried_out_by_switches_alone(world: World) -> None:
    world.policy(50, 50)
    world.settle()
    killed(world)
    assert slots_on(world, "a") == slots_on(world, "b") == "slots 0:10000"
    assert world.endpoint.status == "Healthy"
    assert shares(world) == {"digits-v1": 100, "digits-v2": 0}


def test_a_preparation_that_hangs_does_not_hold_it_up(world: World) -> None:
    world.policy(90, 10)
    world.settle()
    world.policy(40, 30, 30)
    while world.messages:
        message = world.messages.pop(0)
        if message.verb != "prepare":  # the nodes are still at it
            world.deliver(message)
    assert world.endpoint.status == "Progressing"
    killed(world)
    # The change on its way is called off: its new arm is no part of what is kept.
    assert shares(world) == {"digits-v1": 100, "digits-v2": 0}
    assert world.generation_on("a") == world.generation_on("b") == "3"
    assert world.endpoint.status == "Healthy"


def test_a_preparation_that_failed_does_not_hold_it_up(world: World) -> None:
    world.policy(90, 10)
    world.settle()
    world.policy(40, 30, 30)
    plan = Revision.objects.get(generation=2).compiled
    assert plan
    third = plan.arms[2].physical
    world.tritons["b"].refuse(third)
    world.settle(1)
    assert (world.endpoint.status, world.generation_on("b")) == ("Degraded", "1")
    # What b has ready is not known since its failure: it is switched all the same.
    killed(world)
    assert world.generation_on("a") == world.generation_on("b") == "3"
    assert world.endpoint.status == "Healthy"


def test_a_primary_that_has_not_arrived_is_not_the_one(world: World) -> None:
    world.arms([{"model": "digits", "version": 1, "weight": 100}])
    world.settle()
    for triton in world.tritons.values():
        refused = triton.load

        def load(name: str, refused: object = refused) -> None:
            if name.startswith("digits.v2."):
                raise AssertionError("never loaded")
            refused(name)  # type: ignore[operator]

        triton.load = load  # type: ignore[method-assign]
    world.arms([{"model": "digits", "version": 2, "weight": 100}])
    killed(world)
    assert shares(world) == {"digits-v1": 100}
    assert world.endpoint.status == "Healthy"


def test_an_arm_that_was_lost_does_not_hold_it_up(world: World) -> None:
    world.policy(50, 50)
    world.settle()
    lost = next(h.name for h in world.tritons["a"].index() if h.name.startswith("digits.v2."))
    world.tritons["a"].unload(lost)
    world.tritons["a"].refuse(lost)
    killed(world)
    assert slots_on(world, "a") == "slots 0:10000"
    assert world.agents["a"].missing() == []


def test_with_a_server_away_it_begins_at_what_the_others_hold(world: World) -> None:
    world.policy(100)
    world.settle()
    world.tritons["b"].running = False
    world.arms(
        [
            {"model": "digits", "version": 2, "weight": 90, "primary": True},
            {"model": "digits", "version": 3, "weight": 10, "primary": False},
        ]
    )
    # b is asked in vain, and counts as away after a while: a alone is switched.
    world.agents = {name: agent for name, agent in world.agents.items() if name == "a"}
    while world.messages:
        message = world.messages.pop(0)
        if message.kwargs.get("server") != "b":
            world.deliver(message)
    world.clock.pass_time(seconds=60)
    world.beat()
    world.reconcile(endpoint_id=world.endpoint.id)
    while world.messages:
        world.deliver(world.messages.pop(0))
    assert world.generation_on("a") == "2"
    killed(world)
    assert shares(world) == {"digits-v2": 100, "digits-v3": 0}
    assert world.generation_on("a") == "3"


def test_where_even_the_primary_is_gone_it_is_prepared_and_switched_to(world: World) -> None:
    world.policy(50, 50)
    world.settle()
    world.tritons["a"].crash()
    kill(name="digits", actor="ada", queue=world, print_config=print_config)
    world.settle()
    assert world.endpoint.status == "Healthy"
    assert world.generation_on("a") == "2"


def test_a_node_that_has_seen_more_does_not_make_it_less_urgent(world: World) -> None:
    world.policy(50, 50)
    world.settle()
    kill(name="digits", actor="ada", queue=world, print_config=print_config)
    endpoint = world.endpoint
    assert overtake(endpoint_id=endpoint.id, generation=endpoint.generation, seen=50)
    world.messages = []
    world.reconcile(endpoint_id=endpoint.id)
    world.deliver(world.messages.pop(0))
    revision = Revision.objects.get(generation=51)
    assert revision.compiled
    assert revision.compiled.urgent


def test_the_way_back_is_a_rollback(world: World) -> None:
    world.policy(60, 40)
    world.settle()
    before = slots_on(world, "a")
    killed(world)
    rollback(name="digits", actor="ada", queue=world, print_config=print_config)
    world.settle()
    assert world.endpoint.status == "Healthy"
    assert slots_on(world, "a") == before
    revision = Revision.objects.get(generation=3)
    assert revision.compiled
    assert not revision.compiled.urgent


@pytest.mark.parametrize("back_to", [None, 2])
def test_the_way_back_exchanges_nobody_between_the_other_arms(
    world: World, back_to: int | None
) -> None:
    """As they stand in the table, a table laid out anew would have them the other way round."""
    world.policy(80, 0, 20)
    world.settle()
    world.policy(60, 20, 20)
    world.settle()
    before = slots_on(world, "a")
    assert before == "slots 0:6000 1:2000 2:2000"
    world.policy(60, 25, 15)
    world.settle()
    world.policy(55, 25, 20)
    world.settle()
    before = before if back_to else slots_on(world, "a")
    killed(world)
    rollback(name="digits", actor="ada", queue=world, print_config=print_config, revision=back_to)
    world.settle()
    assert slots_on(world, "a") == before


def test_with_another_set_of_arms_the_way_back_moves_as_few_as_can_be(world: World) -> None:
    tables = []
    for shares in ({1: 64, 3: 36}, {1: 48, 2: 52}, {1: 48, 2: 16, 3: 36}):
        world.arms(
            [
                {"model": "digits", "version": number, "weight": share, "primary": number == 1}
                for number, share in shares.items()
            ]
        )
        world.settle()
        tables.append(table(world))
    rollback(name="digits", actor="ada", queue=world, print_config=print_config, revision=1)
    world.settle()
    # Only those who leave version 2: the first table would move twice as many.
    assert sum(a != b for a, b in zip(tables[2], table(world), strict=True)) == 1600
    assert sum(a != b for a, b in zip(tables[2], tables[0], strict=True)) == 3200


def table(world: World) -> tuple[tuple[str, int], ...]:
    revision = Revision.objects.get(generation=world.endpoint.generation)
    assert revision.compiled
    return revision.compiled.slot_table
