"""What a rollout does to an endpoint's traffic: a step on the way, and the way back.

A step compiles nothing anew that serves already, so of all the models only the one that comes
is loaded. The way back is as urgent as the kill switch: it waits for nothing that may be broken.
"""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.domain.planning.plan import Plan
from control_plane.domain.routing.policy import RoutingPolicy
from control_plane.endpoints.intent import compile_for, make_intent, next_generation
from control_plane.endpoints.kill import held_plan
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.selectors import latest_plan
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.ports.queue import Queue

ACTION = "endpoint.rollout"
"""The audit record's word for what a rollout did to an endpoint's policy."""


@dataclass(frozen=True)
class Mover:
    """Who moves: the rollout in words, why, and the second person where there was one."""

    actor: str
    reason: str
    approved_by: str = ""


def planned_move(endpoint: Endpoint, policy: RoutingPolicy) -> Plan:
    """The plan that a step would be; nothing is written.

    Raises:
        InvalidInputError: a version is missing or not ready, the arms differ, or a server cannot
            run one of them.
    """
    latest = latest_plan(endpoint)
    return compile_for(
        endpoint,
        policy,
        next_generation(endpoint),
        latest,
        slots_of=None,
        profiles_of=latest,
        keep=True,
    )


def move(
    *,
    endpoint: Endpoint,
    policy: RoutingPolicy,
    by: Mover,
    passing: bool,
    queue: Queue,
    print_config: ConfigPrinter,
) -> None:
    """Makes a step's policy the intent; call it in a transaction that holds the endpoint.

    Args:
        passing: whether it is a step on the way, to which no rollback leads by itself.

    Raises:
        InvalidInputError: as `planned_move`.
    """
    make_intent(
        endpoint,
        planned_move(endpoint, policy),
        actor=by.actor,
        action=ACTION,
        reason=by.reason,
        queue=queue,
        print_config=print_config,
        approved_by=by.approved_by,
        passing=passing,
    )


def move_back(
    *,
    endpoint: Endpoint,
    policy: RoutingPolicy,
    revision: int | None,
    by: Mover,
    passing: bool,
    queue: Queue,
    print_config: ConfigPrinter,
) -> None:
    """Makes the policy of before the intent, by the routers alone; call it as `move`.

    Args:
        revision: the one that had it, whose table of slots is taken up: everyone is where they
            were. None where it is not known any more.
    """
    held = held_plan(endpoint)
    found = endpoint.revisions.filter(number=revision).first() if revision else None
    plan = compile_for(
        endpoint,
        policy,
        next_generation(endpoint),
        held,
        slots_of=found.compiled if found else None,
        profiles_of=held,
        urgent=True,
    )
    make_intent(
        endpoint,
        plan,
        actor=by.actor,
        action=ACTION,
        reason=by.reason,
        queue=queue,
        print_config=print_config,
        restores=found.number if found else None,
        passing=passing,
    )
