"""The kill switch: one call, and everything goes to the primary.

It begins at what the servers hold, not at what somebody wanted last: a change that hangs or
failed is called off by it, and its primary is loaded already.
"""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction
from django.db.models import Max
from django.dispatch import Signal

from control_plane.domain.planning.plan import Plan
from control_plane.domain.routing.document import to_document
from control_plane.domain.routing.policy import (
    OVERFLOW_TO_PRIMARY,
    SLOTS,
    Arm,
    OnChange,
    RoutingPolicy,
)
from control_plane.domain.violations import ConflictError
from control_plane.endpoints.intent import (
    announce,
    compile_for,
    locked,
    make_intent,
    next_generation,
)
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.selectors import latest_plan
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.ports.queue import Queue
from control_plane.registry.selectors import ready_versions

pressed = Signal()
"""Sent with `endpoint`, `actor` and `reason` in the transaction of every kill.

Also of one that finds nothing to change: whoever was about to move the traffic is to leave it.
"""


def kill(
    *, name: str, actor: str, queue: Queue, print_config: ConfigPrinter, reason: str = ""
) -> Endpoint:
    """Returns everything to the primary, without waiting for any other arm.

    The other arms stay in the policy without weight, loaded for the way back; a rollback leads
    there. Where this is the intent already, nothing is written; a rollout that was about to change
    it ends all the same.

    Raises:
        NotFoundError: there is no such endpoint.
        ConflictError: it has no policy.
    """
    with transaction.atomic():
        endpoint = locked(name)
        held = held_plan(endpoint)
        if held is None:
            raise ConflictError(f"endpoint {name!r} has no policy: there is nothing to kill")
        pressed.send(sender=Endpoint, endpoint=endpoint, actor=actor, reason=reason)
        policy = everything_to_the_primary(_without_lost_arms(held))
        latest = latest_plan(endpoint)
        arrived = endpoint.observed_generation == endpoint.generation
        if (
            latest
            and latest.generation == endpoint.generation
            and endpoint.policy == to_document(policy)
            and (latest.urgent or arrived)
        ):
            announce(endpoint, queue)
            return endpoint
        generation = next_generation(endpoint)
        plan = compile_for(endpoint, policy, generation, held, profiles_of=held, urgent=True)
        make_intent(
            endpoint,
            plan,
            actor=actor,
            action="endpoint.kill",
            reason=reason,
            queue=queue,
            print_config=print_config,
        )
    return endpoint


def everything_to_the_primary(policy: RoutingPolicy) -> RoutingPolicy:
    """The same policy with one arm in use: no rules, no shadows, nothing adaptive.

    Live sequences on other arms are cut: they would stay there for as long as they live. Sticky
    keys and limits stay.
    """
    arms = tuple(
        replace(arm, weight=SLOTS, overflow=OVERFLOW_TO_PRIMARY)
        if arm.primary
        else replace(arm, weight=0)
        for arm in policy.arms
    )
    sequences = replace(policy.sequences, on_change=OnChange.CUT)
    return replace(policy, arms=arms, rules=(), shadows=(), objective=None, sequences=sequences)


def held_plan(endpoint: Endpoint) -> Plan | None:
    """The newest plan that a server's router was switched to; before that, the newest at all.

    Not the serving one, which every server has: with one server away none of late would be.
    """
    switched = endpoint.placements.aggregate(newest=Max("switched"))["newest"] or 0
    revision = endpoint.revisions.filter(generation=switched, plan__isnull=False).first()
    return revision.compiled if revision else latest_plan(endpoint)


def _without_lost_arms(held: Plan) -> RoutingPolicy:
    """Without arms that cannot be compiled any more: they must not be in the way."""
    policy = held.routing
    ready = ready_versions(held.versions).keys()
    physical = {planned.arm.name: planned.physical for planned in held.arms}

    def compiles(arm: Arm) -> bool:
        steps = held.pipelines.get(physical[arm.name], ())
        needed = {(step.model, step.version) for step in steps} or {arm.key}
        return needed <= ready

    kept = [arm for arm in policy.arms if arm.primary or compiles(arm)]
    names = {arm.name for arm in kept}
    arms = tuple(
        arm if not arm.overflow or arm.overflow in names else replace(arm, overflow=None)
        for arm in kept
    )
    return replace(policy, arms=arms)
