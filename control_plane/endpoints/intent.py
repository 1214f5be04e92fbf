"""Making a policy the intent: compiled, registered and audited in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from control_plane.audit.services import record
from control_plane.domain.four_eyes import Move, Ruling, Verdict, course
from control_plane.domain.planning.backends import check_backends
from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.plan import Plan
from control_plane.domain.routing.policy import RoutingPolicy
from control_plane.domain.violations import ConflictError, StaleEditError
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.endpoints.placing import equipped_for
from control_plane.endpoints.policies import read_policy
from control_plane.endpoints.revisions import register
from control_plane.endpoints.selectors import endpoints, get_endpoint, latest_plan
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.ports.queue import Queue
from control_plane.registry.pipelines import parts_for


@dataclass(frozen=True)
class Approval:
    """A change that another person let through, and the digest of the plan that was shown."""

    change: int
    asked_by: str
    approved_by: str
    digest: str


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
    approval: Approval | None = None,
) -> Endpoint:
    """Makes a policy the intent of the endpoint, and asks for it to be carried out.

    The revision is registered with it: from that moment on the database protects every
    version it uses. Where the four-eyes rule may hold, `changes.put_policy` is what to call.

    Args:
        expected_generation: the generation the caller has seen; None skips the check.
        restores: the revision that this goes back to, if it does.
        approval: of a change that was asked for, who let it through.

    Raises:
        NotFoundError: there is no such endpoint.
        InvalidInputError: the policy breaks a rule; the endpoint goes on as before.
        StaleEditError: somebody changed the policy since the caller saw it.
        ConflictError: the four-eyes rule forbids it, or what was approved would not be what was
            shown.
    """
    with transaction.atomic():
        endpoint = locked(name)
        check_seen(endpoint, expected_generation)
        _check_rule(endpoint, restores, approval)
        plan = draft(endpoint, document, restores=restores)
        if approval and plan.digest != approval.digest:
            raise ConflictError(
                f"change {approval.change} of {name} would be compiled into something else than "
                "was shown: a version or its serving profile is another one by now. Reject or "
                "withdraw it, and ask anew"
            )
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
            approval=approval,
        )
    return endpoint


def check_seen(endpoint: Endpoint, generation: int | None) -> None:
    """Holds the generation that a caller has seen against the present one.

    Raises:
        StaleEditError: the policy was changed since.
    """
    if generation is not None and generation != endpoint.generation:
        raise StaleEditError(
            f"the policy of {endpoint.name!r} is at generation {endpoint.generation}, not "
            f"{generation}: read it again and decide anew"
        )


def draft(endpoint: Endpoint, document: object, *, restores: Revision | None = None) -> Plan:
    """The plan that a document would become as the endpoint's next generation.

    Raises:
        InvalidInputError: the policy breaks a rule, or cannot be compiled.
    """
    # What is gone back to was accepted once; whether its headers still come is not the
    # moment's question.
    headers = None if restores else settings.NEREID_FORWARDED_HEADERS
    policy = read_policy(document, headers)
    latest = latest_plan(endpoint)
    return compile_for(
        endpoint,
        policy,
        next_generation(endpoint),
        latest,
        slots_of=_slots_of(restores, latest),
        profiles_of=restores.compiled if restores else None,
    )


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
    approval: Approval | None = None,
    approved_by: str = "",
    passing: bool = False,
) -> None:
    """Makes a compiled plan the intent: revision, audit, and the worker is told.

    Call it in a transaction that holds the endpoint. A revision is made by whoever asked for it;
    the deed is that of whoever let it through.
    """
    before, endpoint.policy = endpoint.policy, dict(plan.policy)
    endpoint.generation = plan.generation
    endpoint.changed_by = approval.asked_by if approval else actor
    endpoint.status = "Progressing"
    endpoint.reason = "waiting for a worker"
    endpoint.save()
    register(
        endpoint,
        plan,
        print_config,
        restores=restores,
        reason=reason,
        approved_by=approval.approved_by if approval else approved_by,
        passing=passing,
    )
    record(
        actor=actor,
        action=action,
        object_type="endpoint",
        object_id=endpoint.id,
        object_name=endpoint.name,
        before=before,
        after=endpoint.policy,
        reason=_with_both(reason, approval),
    )
    announce(endpoint, queue)


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
    profiles_of: Plan | None = None,
    urgent: bool = False,
    keep: bool = False,
) -> Plan:
    """Compiles the policy with the registry's versions, after the plan before (`compile_plan`).

    Args:
        profiles_of: a plan whose versions are to have the revisions of their serving profiles
            that they have there; all others have the newest.

    Raises:
        InvalidInputError: a version is missing or not ready, the arms differ, or a server cannot
            run one of them.
    """
    parts = parts_for(
        [arm.key for arm in policy.arms if not arm.pipeline],
        [arm.key for arm in policy.arms if arm.pipeline],
        profiles_of.profile_revisions if profiles_of else {},
    )
    plan = compile_plan(
        endpoint=endpoint.name,
        generation=generation,
        policy=policy,
        versions=parts.versions,
        pipelines=parts.pipelines,
        previous=previous,
        slots_of=slots_of,
        urgent=urgent,
        keep=keep,
    )
    if not urgent:  # which serves with what is loaded
        check_backends(plan, equipped_for(endpoint))
    return plan


def locked(name: str) -> Endpoint:
    """The endpoint, locked; one that is being deleted is gone for whoever waited for it."""
    endpoint = endpoints().select_for_update().filter(name=name).first()
    return endpoint or get_endpoint(name)


def announce(endpoint: Endpoint, queue: Queue) -> None:
    """Asks for a look at the endpoint, once what was written is there to be seen."""
    endpoint_id = endpoint.id
    # Robust: the change stands, and the sweep finds it when the broker is back.
    transaction.on_commit(lambda: queue.reconcile(endpoint_id=endpoint_id), robust=True)


def _check_rule(endpoint: Endpoint, restores: Revision | None, approval: Approval | None) -> None:
    """What one person may do to the endpoint's traffic alone, or with another's approval."""
    if approval:
        return
    if restores:
        verdict = way_back(endpoint, restores)
    else:
        verdict = course(Move.POLICY, four_eyes=endpoint.four_eyes)
    if verdict.ruling is not Ruling.GO:
        raise ConflictError(f"{endpoint.name}: {verdict.reason}")


def way_back(endpoint: Endpoint, revision: Revision) -> Verdict:
    """Whether one person may take the endpoint to that revision of it."""
    served = bool(revision.switched_from or revision.served_from)
    return course(Move.ROLLBACK, four_eyes=endpoint.four_eyes, served=served)


def _with_both(reason: str, approval: Approval | None) -> str:
    if approval is None:
        return reason
    both = f"change {approval.change}, asked for by {approval.asked_by}"
    both += f" and approved by {approval.approved_by}"
    return f"{both}: {reason}" if reason else both


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
