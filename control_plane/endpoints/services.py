"""Changing endpoints: intent and audit in one transaction, then the worker is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from control_plane.audit.services import record
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.planning.changes import Change, changes, loads, unified_diff, unloads
from control_plane.domain.planning.plan import Plan, compile_plan
from control_plane.domain.routing.policy import RoutingPolicy, parse_policy
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    StaleEditError,
    Violation,
)
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.endpoints.selectors import get_endpoint, serving_plan, serving_revision
from control_plane.ports.clock import Clock
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.ports.queue import Queue
from control_plane.registry.selectors import ready_versions, version_spec


@dataclass(frozen=True)
class Finding:
    """Something worth knowing before a policy is applied; `severity` is error or warning."""

    severity: str
    code: str
    detail: str
    pointer: str = ""


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
                name=name, description=description, created_by=actor, changed_by=actor
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
                    endpoint = set_policy(name=name, document=policy, actor=actor, queue=queue)
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
        endpoint = _locked(name)
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
    expected_generation: int | None = None,
    reason: str = "",
) -> Endpoint:
    """Makes a policy the intent of the endpoint, and asks for it to be carried out.

    Args:
        expected_generation: the generation the caller has seen; None skips the check.

    Raises:
        NotFoundError: there is no such endpoint.
        InvalidInputError: the policy breaks a rule; the endpoint goes on as before.
        StaleEditError: somebody changed the policy since the caller saw it.
    """
    with transaction.atomic():
        endpoint = _locked(name)
        if expected_generation is not None and expected_generation != endpoint.generation:
            raise StaleEditError(
                f"the policy of {name!r} is at generation {endpoint.generation}, not "
                f"{expected_generation}: read it again and decide anew"
            )
        policy = parse_policy(document)
        compile_for(endpoint, policy, endpoint.generation + 1)
        before = endpoint.policy
        endpoint.policy = policy.to_document()
        endpoint.generation += 1
        endpoint.changed_by = actor
        endpoint.status = "Progressing"
        endpoint.reason = "waiting for a worker"
        endpoint.save()
        record(
            actor=actor,
            action="endpoint.policy",
            object_type="endpoint",
            object_id=endpoint.id,
            object_name=name,
            before=before,
            after=endpoint.policy,
            reason=reason,
        )
        _announce(endpoint, queue)
    return endpoint


def rollback(
    *, name: str, actor: str, queue: Queue, revision: int | None = None, reason: str = ""
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
        reason=reason or f"rollback to revision {target.number}",
    )


def rollback_target(endpoint: Endpoint, number: int | None) -> Revision:
    """Where a rollback leads: that revision, or the one before the present intent.

    Raises:
        NotFoundError: the endpoint has no such revision.
        ConflictError: there is nothing to go back to.
    """
    served = endpoint.revisions.exclude(served_from=None)
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
    if serving.generation != endpoint.generation:
        return serving  # the change under way has not arrived: back to what serves
    # Going back to the same policy would look as if nothing had happened.
    earlier = served.filter(number__lt=serving.number).exclude(policy=serving.policy)
    before = earlier.order_by("-number").first()
    if before is None:
        raise ConflictError(
            f"no revision before {serving.number} had another policy: nothing to go back to"
        )
    return before


def delete_endpoint(*, name: str, actor: str, queue: Queue, clock: Clock) -> Endpoint:
    """Takes an endpoint off every server; its record goes when the last one has let go."""
    with transaction.atomic():
        endpoint = _locked(name)
        endpoint.deleted_at = clock.now()
        endpoint.generation += 1 if endpoint.policy else 0
        endpoint.save()
        record(
            actor=actor,
            action="endpoint.delete",
            object_type="endpoint",
            object_id=endpoint.id,
            object_name=name,
            before=endpoint.policy,
        )
        _announce(endpoint, queue)
    return endpoint


def preview(*, name: str, document: object, print_config: ConfigPrinter) -> Preview:
    """What the policy would change against what serves now: the dry run.

    Raises:
        NotFoundError: there is no such endpoint.
        InvalidInputError: the policy breaks a rule.
    """
    endpoint = get_endpoint(name)
    before = serving_plan(endpoint)
    after = compile_for(endpoint, parse_policy(document), endpoint.generation + 1)
    return Preview(
        changes=changes(before, after),
        diff=unified_diff(before, after, print_config),
        findings=_findings(before, after),
        loads=loads(before, after),
        unloads=unloads(before, after),
    )


def compile_for(endpoint: Endpoint, policy: RoutingPolicy, generation: int) -> Plan:
    """Compiles the policy with the registry's versions.

    Raises:
        InvalidInputError: a version is missing or not ready, or the arms differ.
    """
    found = ready_versions((arm.model, arm.version) for arm in policy.arms)
    return compile_plan(
        endpoint=endpoint.name,
        generation=generation,
        policy=policy,
        versions={key: version_spec(version) for key, version in found.items()},
    )


def _locked(name: str) -> Endpoint:
    return Endpoint.objects.select_for_update().get(id=get_endpoint(name).id)


def _announce(endpoint: Endpoint, queue: Queue) -> None:
    endpoint_id = endpoint.id
    transaction.on_commit(lambda: queue.reconcile(endpoint_id=endpoint_id))


def _findings(before: Plan | None, after: Plan) -> list[Finding]:
    found = []
    if before and not changes(before, after):
        found.append(Finding("warning", "no_change", "this policy is the one that serves"))
    for i, planned in enumerate(after.arms):
        if planned.arm.weight == 0 and not planned.arm.primary:
            detail = f"arm {planned.arm.name} is loaded and gets no requests"
            found.append(Finding("warning", "idle_arm", detail, f"/arms/{i}/weight"))
        if planned.arm.primary and planned.arm.weight < 5000 and len(after.arms) == 2:
            detail = "the primary gets less than half of the requests"
            found.append(Finding("warning", "small_primary", detail, f"/arms/{i}/weight"))
    return found
