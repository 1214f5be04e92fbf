"""Reconcile one endpoint: look, decide, act, say what was found.

Read as a list of steps. Nothing here waits for a node: nodes record what they observe and
ask for the next look.
"""

from __future__ import annotations

import logging
import uuid
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from control_plane.audit.subject import about
from control_plane.domain.placement.placing import Placing
from control_plane.domain.planning.reconcile import Action, Decision, Verb, decide
from control_plane.domain.routing.document import parse_policy
from control_plane.domain.violations import InvalidInputError
from control_plane.endpoints import observations
from control_plane.endpoints.generations import retire_name
from control_plane.endpoints.intent import compile_for
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.placing import leave, place_anew, stay
from control_plane.endpoints.revisions import register, register_failure
from control_plane.endpoints.selectors import (
    LEASE,
    due_endpoints,
    free,
    latest_plan,
    present_revision,
    snapshot,
)
from control_plane.endpoints.telling import tell_condition
from control_plane.endpoints.touching import judge_changes, next_in_turn
from control_plane.fleet.models import Server
from control_plane.ports.clock import Clock
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.ports.queue import Queue

logger = logging.getLogger(__name__)

PLACED_NOWHERE = Placing((), ())


def reconcile(
    *, endpoint_id: UUID, clock: Clock, queue: Queue, print_config: ConfigPrinter
) -> Decision | None:
    """Brings one endpoint a step nearer to its intent.

    Returns:
        The last decision; None when there is no such endpoint, or somebody else holds its
        lease (who will look again).
    """
    owner = uuid.uuid4().hex
    decision: Decision | None = None
    while _take_lease(endpoint_id, owner, clock):
        wanted_again = False
        try:
            decision = _look(endpoint_id, clock, queue, print_config)
        finally:
            wanted_again = _release_lease(endpoint_id, owner)
        compiled = any(action.verb == Verb.COMPILE for action in decision.actions)
        if not wanted_again and not compiled:
            return decision
    return decision


def sweep(*, clock: Clock, queue: Queue) -> int:
    """Asks for a look at every endpoint that is due and that nobody looks at; returns how many.

    And at a few of those that a change of servers does not touch, as it seems.
    """
    judge_changes()
    now = clock.now()
    due = set(due_endpoints(now).values_list("id", flat=True))
    due |= set(next_in_turn(now).values_list("id", flat=True))
    for endpoint_id in due:
        queue.reconcile(endpoint_id=endpoint_id)
    return len(due)


def _look(endpoint_id: UUID, clock: Clock, queue: Queue, print_config: ConfigPrinter) -> Decision:
    endpoint = Endpoint.objects.get(id=endpoint_id)
    with about(endpoint=endpoint.name, generation=endpoint.generation):
        return _look_at(endpoint, clock, queue, print_config)


def _look_at(
    endpoint: Endpoint, clock: Clock, queue: Queue, print_config: ConfigPrinter
) -> Decision:
    revision, now = present_revision(endpoint), clock.now()
    plan = revision.compiled if revision else None
    goes = endpoint.deleted_at is not None or not endpoint.generation
    placing = PLACED_NOWHERE if goes else place_anew(endpoint, plan, now)
    decision = decide(snapshot(endpoint, revision, plan, placing, now))
    # Said first: a node may be done, and have asked for the next look, before this returns.
    _persist(endpoint, decision, clock)
    _act(endpoint, decision, clock, queue, print_config)
    return decision


def _take_lease(endpoint_id: UUID, owner: str, clock: Clock) -> bool:
    """True when the lease is ours; else its holder is told to look again."""
    now = clock.now()
    rows = Endpoint.objects.filter(id=endpoint_id)
    mine = free(now) | Q(lease_owner=owner)
    lease = {"lease_owner": owner, "lease_expires_at": now + LEASE, "look_again": False}
    if rows.filter(mine).update(**lease):
        return True
    rows.update(look_again=True)
    # The holder may have let go between the two statements, without seeing the wish.
    return bool(rows.filter(mine).update(**lease))


def _release_lease(endpoint_id: UUID, owner: str) -> bool:
    """Lets go; True when somebody asked meanwhile for another look."""
    rows = Endpoint.objects.filter(id=endpoint_id, lease_owner=owner)
    rows.update(lease_owner="", lease_expires_at=None)
    return Endpoint.objects.filter(id=endpoint_id, look_again=True).exists()


def _act(
    endpoint: Endpoint,
    decision: Decision,
    clock: Clock,
    queue: Queue,
    print_config: ConfigPrinter,
) -> None:
    """Carries out the decision's actions."""
    for action in decision.actions:
        if action.verb == Verb.COMPILE:
            _register_revision(endpoint, print_config)
        elif action.verb == Verb.FORGET:
            retire_name(endpoint, clock.now())
            logger.info("%s: removed", endpoint.name)
        elif action.verb == Verb.LEAVE:
            leave(endpoint, action.server, clock.now())
            logger.info("%s: leaving %s", endpoint.name, action.server)
        elif action.verb == Verb.STAY:
            stay(endpoint, action.server)
            logger.info("%s: staying on %s: the others do not serve", endpoint.name, action.server)
        else:
            _command(endpoint, action, clock, queue)


def _command(endpoint: Endpoint, action: Action, clock: Clock, queue: Queue) -> None:
    logger.info(
        "%s: %s generation %s on %s",
        endpoint.name,
        action.verb,
        endpoint.generation,
        action.server,
    )
    # Noted before it is sent: a worker killed in between leaves a command that counts as
    # lost after a while and is sent again, never one that nobody knows of.
    observations.sent(
        endpoint_id=endpoint.id,
        server=Server.objects.get(name=action.server),
        verb=action.verb,
        generation=endpoint.generation,
        now=clock.now(),
    )
    queue.command(
        server=action.server,
        verb=action.verb,
        endpoint_id=endpoint.id,
        generation=endpoint.generation,
    )


def _register_revision(endpoint: Endpoint, print_config: ConfigPrinter) -> None:
    """Compiles an intent that has no revision yet, or records why it cannot be.

    A change brings its revision along; this is for a generation that was lifted
    (`endpoints.generations`).
    """
    try:
        with transaction.atomic():
            policy = parse_policy(endpoint.policy)
            before = latest_plan(endpoint)
            urgent = before is not None and before.urgent and before.policy == endpoint.policy
            plan = compile_for(endpoint, policy, endpoint.generation, before, urgent=urgent)
            register(endpoint, plan, print_config)
    except InvalidInputError as invalid:
        register_failure(endpoint, f"the policy cannot be compiled: {invalid}")
    except IntegrityError:
        logger.info("%s: another reconcile compiled this generation", endpoint.name)


def _persist(endpoint: Endpoint, decision: Decision, clock: Clock) -> None:
    """Writes what was found, unless the intent moved on meanwhile."""
    now = clock.now()
    rows = Endpoint.objects.filter(id=endpoint.id, generation=endpoint.generation)
    found: dict[str, object] = {
        "status": decision.status,
        "reason": decision.reason,
        "look_at": now + decision.look_again_in if decision.look_again_in else None,
    }
    if decision.converged:
        found["observed_generation"] = endpoint.generation
    with transaction.atomic():
        rows.update(updated_at=now, **found)
        if decision.status == "Healthy":
            endpoint.revisions.filter(generation=endpoint.generation, served_from=None).update(
                served_from=now
            )
        tell_condition(endpoint, decision, now)
