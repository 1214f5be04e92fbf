"""A wall clock that jumps: what was written in the future, or long ago, holds nothing up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.reconcile import sweep
from control_plane.endpoints.services import create_endpoint
from control_plane.fleet.selectors import get_server, is_alive
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.selectors import due_rollouts
from control_plane.wiring import print_config
from tests.integration.control_plane.test_convergence import World
from tests.support.fakes import FakeClock

pytestmark = pytest.mark.django_db
HOUR = 3600.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, "a", "b")
    create_endpoint(name="digits", actor="ada", queue=world, print_config=print_config)
    return world


def jump(world: World, seconds: float) -> None:
    world.clock.pass_time(seconds=seconds)
    world.beat()


@pytest.mark.parametrize("seconds", [-HOUR, HOUR, -25 * HOUR, 25 * HOUR])
def test_a_change_whose_commands_are_lost_at_a_jump_arrives(world: World, seconds: float) -> None:
    world.policy(100)
    world.settle()
    world.policy(50, 50)
    world.deliver(world.messages.pop(0))
    world.messages.clear()  # the commands are noted as sent, and lost
    jump(world, seconds)
    for _ in range(3):
        world.settle(1)
    assert world.endpoint.status == "Healthy"
    assert {world.generation_on(name) for name in "ab"} == {"2"}


def test_a_dead_workers_lease_of_before_a_jump_back_is_free(world: World) -> None:
    world.policy(100)
    world.messages.clear()
    Endpoint.objects.update(
        lease_owner="dead", lease_expires_at=world.clock.now() + timedelta(seconds=10)
    )
    jump(world, -HOUR)
    assert sweep(clock=world.clock, queue=world) == 1
    world.settle(3)
    assert world.endpoint.status == "Healthy"


def test_a_server_heard_of_in_the_future_is_not_alive_by_that(world: World) -> None:
    world.clock.pass_time(seconds=-HOUR)
    assert not is_alive(get_server("a"), world.clock.now())
    world.beat()
    assert is_alive(get_server("a"), world.clock.now())
    world.clock.pass_time(seconds=-0.5)  # two machines' clocks differ a little
    assert is_alive(get_server("a"), world.clock.now())


def test_a_rollout_is_looked_at_although_its_next_look_was_an_hour_away() -> None:
    clock = FakeClock()
    now = clock.now()
    rollout = Rollout.objects.create(
        endpoint_name="digits",
        number=1,
        model="digits",
        version=2,
        strategy={},
        harm_budget=1,
        since=now,
        created_at=now,
        started_by="ada",
        look_at=now + timedelta(seconds=2),
    )
    assert not due_rollouts(now).exists()
    rollout.look_at = now + timedelta(hours=1)
    rollout.save()
    assert due_rollouts(now).exists()
