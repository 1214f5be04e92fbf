"""What served at a time: through changes, kills, rollbacks, half-way switches and second lives."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from control_plane.domain.violations import InvalidInputError, NotFoundError
from control_plane.endpoints.history import served_at, with_end
from control_plane.endpoints.kill import kill
from control_plane.endpoints.models import Endpoint, RetiredRevision, Revision
from control_plane.endpoints.rollback import rollback
from control_plane.endpoints.services import create_endpoint, delete_endpoint
from control_plane.wiring import print_config
from tests.integration.control_plane.test_convergence import World

pytestmark = pytest.mark.django_db

MOMENT = timedelta(milliseconds=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, "a", "b")
    create(world)
    return world


def create(world: World) -> None:
    create_endpoint(name="digits", actor="ada", queue=world, print_config=print_config)


def remove(world: World) -> datetime:
    """Takes the endpoint away for good; returns when it let go."""
    delete_endpoint(name="digits", actor="ada", queue=world, clock=world.clock)
    world.settle()
    assert not Endpoint.objects.exists()
    return RetiredRevision.objects.latest("served_until").served_until


def serve(world: World, *percents: float) -> datetime:
    """Brings a policy to every server; returns when they had it."""
    world.policy(*percents)
    world.settle(1)
    return began()


def began() -> datetime:
    served = Revision.objects.order_by("-number").first()
    assert served is not None
    assert served.served_from is not None
    return served.served_from


def at(world: World, moment: datetime) -> list[int]:
    return [r.number for r in served_at("digits", moment, world.clock.now())]


def test_each_revision_served_until_the_next_did(world: World) -> None:
    first = serve(world, 100)
    second = serve(world, 90, 10)
    assert at(world, first - timedelta(days=1)) == []
    assert at(world, second - MOMENT) == [1]
    assert at(world, second) == at(world, world.clock.now()) == [2]
    ends = {r.number: r.served_until for r in with_end(Revision.objects.all())}
    assert ends == {1: second, 2: None}


def test_a_rollback_and_a_kill_are_revisions_of_their_own(world: World) -> None:
    serve(world, 100)
    serve(world, 90, 10)
    rollback(name="digits", actor="ada", queue=world, print_config=print_config)
    world.settle(1)
    back = began()
    serve(world, 50, 50)
    kill(name="digits", actor="ada", queue=world, print_config=print_config)
    world.settle(1)
    killed = began()
    assert at(world, back) == [3]
    assert at(world, killed - MOMENT) == [4]
    assert at(world, killed) == [5]
    (then,) = served_at("digits", killed, world.clock.now())
    assert [arm["weight"] for arm in then.policy["arms"]] == [100, 0]


def test_while_a_change_is_half_way_two_serve(world: World) -> None:
    serve(world, 100)
    world.policy(90, 10)
    held_back = []
    while world.messages:
        world.clock.pass_time(milliseconds=10)
        message = world.messages.pop(0)
        if message.verb == "switch" and message.kwargs["server"] == "b":
            held_back.append(message)
        else:
            world.deliver(message)
    half = world.clock.now()
    assert Revision.objects.get(number=2).served_from is None
    assert at(world, half) == [2, 1]
    world.clock.pass_time(seconds=1)
    for message in held_back:
        world.deliver(message)
    world.settle(1)
    assert at(world, half) == [2, 1]
    assert at(world, began()) == [2]


def test_one_that_came_half_way_ends_with_the_next(world: World) -> None:
    serve(world, 100)
    world.policy(90, 10)
    while world.messages:
        world.clock.pass_time(milliseconds=10)
        message = world.messages.pop(0)
        if not (message.verb == "switch" and message.kwargs["server"] == "b"):
            world.deliver(message)
    half = world.clock.now()
    serve(world, 50, 50)
    assert at(world, half) == [2, 1]
    assert at(world, began()) == [3]


def test_a_policy_that_never_served_is_no_answer(world: World) -> None:
    first = serve(world, 100)
    world.policy(90, 10)
    world.messages.clear()
    assert at(world, world.clock.now()) == [1]
    assert at(world, first) == [1]


def test_an_endpoint_that_is_gone_is_still_known(world: World) -> None:
    first = serve(world, 100)
    second = serve(world, 90, 10)
    gone = remove(world)
    assert at(world, first) == [1]
    assert at(world, gone - MOMENT) == [2]
    assert at(world, gone) == []
    (then,) = served_at("digits", second, world.clock.now())
    assert then.policy["arms"][1]["weight"] == 10
    assert then.created_by == "ada"


def test_why_it_was_made_outlives_the_endpoint(world: World) -> None:
    serve(world, 100)
    serve(world, 90, 10)
    rollback(
        name="digits", actor="ada", queue=world, print_config=print_config, reason="v2 times out"
    )
    world.settle(1)
    then = began()
    remove(world)
    (kept,) = served_at("digits", then, world.clock.now())
    assert isinstance(kept, RetiredRevision)
    assert kept.reason == "v2 times out"


def test_a_second_endpoint_of_the_name_is_another_one(world: World) -> None:
    first = serve(world, 100)
    gone = remove(world)
    create(world)
    assert at(world, first) == [1]
    assert at(world, gone) == []
    again = serve(world, 20, 80)
    assert at(world, again - MOMENT) == []
    (then,) = served_at("digits", again, world.clock.now())
    assert (then.number, then.policy["arms"][0]["weight"]) == (1, 20)
    assert at(world, first) == [1]
    remove(world)
    assert at(world, first) == at(world, again) == [1]


def test_an_endpoint_that_is_being_removed_serves_until_it_let_go(world: World) -> None:
    serve(world, 100)
    delete_endpoint(name="digits", actor="ada", queue=world, clock=world.clock)
    assert at(world, world.clock.now()) == [1]


def test_nobody_knows_the_future(world: World) -> None:
    serve(world, 100)
    now = world.clock.now()
    assert at(world, now + timedelta(seconds=30)) == [1]  # their clock is ahead of ours
    with pytest.raises(InvalidInputError, match="future"):
        served_at("digits", now + timedelta(minutes=2), now)


def test_a_name_that_never_was_is_not_found(world: World) -> None:
    now = world.clock.now()
    assert at(world, now) == []
    with pytest.raises(NotFoundError, match="never was"):
        served_at("cats", now, now)
