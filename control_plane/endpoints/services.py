"""Changing endpoints: intent and audit in one transaction, then the worker is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from control_plane.audit.services import record
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.planning.changes import Change, changes, loads, unified_diff, unloads
from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.plan import Plan
from control_plane.domain.routing.policy import RoutingPolicy
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    StaleEditError,
    Violation,
)
from control_plane.endpoints.findings import Finding, findings
from control_plane.endpoints.generations import floor_of
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.endpoints.policies import read_policy
from control_plane.endpoints.revisions import register
from control_plane.endpoints.selectors import (
    endpoints,
    get_endpoint,
    latest_plan,
    serving_plan,
    serving_revision,
)
from control_plane.ports.clock import Clock
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.ports.queue import Queue
from control_plane.registry.selectors import ready_versions, version_spec


@dataclass(frozen=True)
class Preview:
    """What a policy would change; nothing is written."""

    changes: list[Change]
    diff: str
    findings: list[Finding]
    loads: list[str]
    unloads: list[str]


def create_endpoint(
    *,
    name: str,
    actor: str,
    queue: Queue,
    print_config: ConfigPrinter,
    description: str = "",
    policy: Mapping[str, Any] | None = None,
) -> Endpoint:
    """Adds an endpoint, with a policy at once where one is given.

    Raises:
        InvalidInputError: the name or the policy breaks a rule; nothing is added.
        ConflictError: there is an endpoint of that name.
    """
    if not is_public_name(name):
        raise InvalidInputError(
            [Violation("/name", "invalid_name", f"{name!r}: a name has {PUBLIC_NAME_RULE}")]
        )
    try:
        with transaction.atomic():
            endpoint = Endpoint.objects.create(
                name=name,
                description=description,
                generation_floor=floor_of(name),
                created_by=actor,
                changed_by=actor,
            )
            record(
                actor=actor,
                action="endpoint.create",
                object_type="endpoint",
                object_id=endpoint.id,
                object_name=name,
                after={"description": description},
            )
            if policy is not None:
                try:
                    endpoint = set_policy(
                        name=name,
                        document=policy,
                        actor=actor,
                        queue=queue,
                        print_config=print_config,
                    )
                except InvalidInputError as error:
                    raise InvalidInputError(
                        [
                            Violation(f"/policy{v.pointer}", v.code, v.detail)
                            for v in error.violations
                        ]
                    ) from error
    except IntegrityError:
        raise ConflictError(f"there is an endpoint named {name!r} already") from None
    return endpoint


def update_endpoint(*, name: str, actor: str, description: str) -> Endpoint:
    """Changes the description."""
    with transaction.atomic():
        endpoint = locked(name)
        before, endpoint.description = endpoint.description, description
        endpoint.save(update_fields=["description", "updated_at"])
        record(
            actor=actor,
            action="endpoint.update",
            object_type="endpoint",
            object_id=endpoint.id,
            object_name=name,
            before={"description": before},
            after={"description": description},
        )
    return endpoint


def set_policy(
    *,
    name: str,
    document: object,
    actor: str,
    queue: Queue,
    print_config: ConfigPrinter,
    expected_generation: int | None = None,
    reason: str = "",
    restores: Revision | None = None,
) -> Endpoint:
    """Makes a policy the intent of the endpoint, and asks for it to be carried out.

    The revision is registered with it: from that moment on the database protects every
    version it uses.

    Args:
        expected_generation: the generation the caller has seen; None skips the check.
        restores: the revision that this goes back to, if it does.

    Raises:
        NotFoundError: there is no such endpoint.
        InvalidInputError: the policy breaks a rule; the endpoint goes on as before.
        StaleEditError: somebody changed the policy since the caller saw it.
    """
    with transaction.atomic():
        endpoint = locked(name)
        if expected_generation is not None and expected_generation != endpoint.generation:
            raise StaleEditError(
                f"the policy of {name!r} is at generation {endpoint.generation}, not "
                f"{expected_generation}: read it again and decide anew"
            )
        # What is gone back to was accepted once; whether its headers still come is not the
        # moment's question.
        headers = None if restores else settings.NEREID_FORWARDED_HEADERS
        policy = read_policy(document, headers)
        latest = latest_plan(endpoint)
        slots_of = _slots_of(restores, latest)
        plan = compile_for(endpoint, policy, next_generation(endpoint), latest, slots_of=slots_of)
        origin = restores.restores or restores.number if restores else None
        if restores is None and endpoint.policy == plan.policy:
            # The same once more is no step forward: the way back stays where it was.
            origin = _restored_by(endpoint)
        make_intent(
            endpoint,
            plan,
            actor=actor,
            action="endpoint.policy",
            reason=reason,
            queue=queue,
            print_config=print_config,
            restores=origin,
        )
    return endpoint


def make_intent(
    endpoint: Endpoint,
    plan: Plan,
    *,
    actor: str,
    action: str,
    reason: str,
    queue: Queue,
    print_config: ConfigPrinter,
    restores: int | None = None,
) -> None:
    """Makes a compiled plan the intent: revision, audit, and the worker is told.

    Call it in a transaction that holds the endpoint.
    """
    before, endpoint.policy = endpoint.policy, dict(plan.policy)
    endpoint.generation = plan.generation
    endpoint.changed_by = actor
    endpoint.status = "Progressing"
    endpoint.reason = "waiting for a worker"
    endpoint.save()
    register(endpoint, plan, print_config, restores=restores, reason=reason)
    record(
        actor=actor,
        action=action,
        object_type="endpoint",
        object_id=endpoint.id,
        object_name=endpoint.name,
        before=before,
        after=endpoint.policy,
        reason=reason,
    )
    announce(endpoint, queue)


def rollback(
    *,
    name: str,
    actor: str,
    queue: Queue,
    print_config: ConfigPrinter,
    revision: int | None = None,
    reason: str = "",
) -> Endpoint:
    """Makes an earlier revision's policy the intent again; by default that of the one before.

    Raises:
        NotFoundError: there is no such endpoint or revision.
        ConflictError: there is nothing to go back to.
    """
    endpoint = get_endpoint(name)
    target = rollback_target(endpoint, revision)
    return set_policy(
        name=name,
        document=target.policy,
        actor=actor,
        queue=queue,
        print_config=print_config,
        reason=reason or f"rollback to revision {target.number}",
        restores=target,
    )


def rollback_target(endpoint: Endpoint, number: int | None) -> Revision:
    """Where a rollback leads: that revision, or the one before the present intent.

    Raises:
        NotFoundError: the endpoint has no such revision.
        ConflictError: there is nothing to go back to.
    """
    if number is not None:
        target = endpoint.revisions.filter(number=number).first()
        if target is None:
            raise NotFoundError(f"endpoint {endpoint.name!r} has no revision {number}")
        if target.plan is None:
            raise ConflictError(f"revision {number} was never compiled: {target.error}")
        return target
    serving = serving_revision(endpoint)
    if serving is None:
        raise ConflictError(f"endpoint {endpoint.name!r} has served nothing yet")
    before = _before(serving)
    if serving.generation != endpoint.generation:
        # A change under way. If it is the way back itself, asking twice asks for the same;
        # any other has not arrived, so what serves is what to go back to.
        under_way = endpoint.revisions.filter(generation=endpoint.generation).first()
        if under_way and under_way.restores and before:
            return before
        return serving
    if before is None:
        origin = f", which goes back to {serving.restores}," if serving.restores else ""
        raise ConflictError(
            f"before revision {serving.number}{origin} nothing with another policy served; to go "
            "to a certain revision, name it"
        )
    return before


def delete_endpoint(*, name: str, actor: str, queue: Queue, clock: Clock) -> Endpoint:
    """Takes an endpoint off every server; its record goes when the last one has let go."""
    with transaction.atomic():
        endpoint = locked(name)
        endpoint.deleted_at = clock.now()
        if endpoint.policy:
            endpoint.generation = next_generation(endpoint)
        endpoint.save()
        record(
            actor=actor,
            action="endpoint.delete",
            object_type="endpoint",
            object_id=endpoint.id,
            object_name=name,
            before=endpoint.policy,
        )
        announce(endpoint, queue)
    return endpoint


def preview(*, name: str, document: object, print_config: ConfigPrinter) -> Preview:
    """What the policy would change against what serves now: the dry run.

    Raises:
        NotFoundError: there is no such endpoint.
        InvalidInputError: the policy breaks a rule.
    """
    endpoint = get_endpoint(name)
    before = serving_plan(endpoint)
    policy = read_policy(document, settings.NEREID_FORWARDED_HEADERS)
    after = compile_for(endpoint, policy, next_generation(endpoint), latest_plan(endpoint))
    return Preview(
        changes=changes(before, after),
        diff=unified_diff(before, after, print_config),
        findings=findings(before, after),
        loads=loads(before, after),
        unloads=unloads(before, after),
    )


def next_generation(endpoint: Endpoint) -> int:
    """The generation of the next change: above everything any node has seen of this name."""
    return max(endpoint.generation, endpoint.generation_floor) + 1


def compile_for(
    endpoint: Endpoint,
    policy: RoutingPolicy,
    generation: int,
    previous: Plan | None,
    *,
    slots_of: Plan | None = None,
    urgent: bool = False,
) -> Plan:
    """Compiles the policy with the registry's versions, after the plan before (`compile_plan`).

    Raises:
        InvalidInputError: a version is missing or not ready, or the arms differ.
    """
    found = ready_versions((arm.model, arm.version) for arm in policy.arms)
    return compile_plan(
        endpoint=endpoint.name,
        generation=generation,
        policy=policy,
        versions={key: version_spec(version) for key, version in found.items()},
        previous=previous,
        slots_of=slots_of,
        urgent=urgent,
    )


def locked(name: str) -> Endpoint:
    """The endpoint, locked; one that is being deleted is gone for whoever waited for it."""
    endpoint = endpoints().select_for_update().filter(name=name).first()
    return endpoint or get_endpoint(name)


def announce(endpoint: Endpoint, queue: Queue) -> None:
    """Asks for a look at the endpoint, once what was written is there to be seen."""
    endpoint_id = endpoint.id
    # Robust: the change stands, and the sweep finds it when the broker is back.
    transaction.on_commit(lambda: queue.reconcile(endpoint_id=endpoint_id), robust=True)


def _slots_of(target: Revision | None, latest: Plan | None) -> Plan | None:
    """The plan whose table a way back takes up as it was, so that everyone is where they were.

    Where other versions came in between, callers are somewhere else by now: as few of them are
    moved as with any other change.
    """
    plan = target.compiled if target else None
    if plan is None or latest is None or set(plan.keys) != set(latest.keys):
        return None
    return plan


def _restored_by(endpoint: Endpoint) -> int | None:
    present = endpoint.revisions.filter(generation=endpoint.generation).first()
    return present.restores if present else None


def _before(serving: Revision) -> Revision | None:
    """The newest revision with another policy that served before this one.

    What was gone back to counts by its own place: going back twice goes back further, and
    never to what was left behind.
    """
    served = serving.endpoint.revisions.exclude(served_from=None)
    earlier = served.filter(number__lt=serving.restores or serving.number)
    return earlier.exclude(policy=serving.policy).order_by("-number").first()
