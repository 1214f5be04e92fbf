"""Making, changing and removing endpoints: intent and audit in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from control_plane.audit.services import record
from control_plane.domain.access import in_words, roles_with
from control_plane.domain.four_eyes import LIFT, ChangeState, Move, Ruling, course
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    Violation,
)
from control_plane.endpoints.changes import put_policy, supersede
from control_plane.endpoints.generations import floor_of
from control_plane.endpoints.intent import announce, locked, next_generation
from control_plane.endpoints.models import Endpoint
from control_plane.ports.clock import Clock
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.ports.queue import Queue


def create_endpoint(
    *,
    name: str,
    actor: str,
    queue: Queue,
    print_config: ConfigPrinter,
    description: str = "",
    policy: Mapping[str, Any] | None = None,
    four_eyes: bool = False,
) -> Endpoint:
    """Adds an endpoint, with a policy at once where one is given.

    With the four-eyes rule the first policy, too, waits for a second person.

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
                four_eyes=four_eyes,
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
                after={"description": description, "four_eyes": four_eyes},
            )
            if policy is not None:
                _first_policy(name, policy, actor, queue, print_config)
                endpoint.refresh_from_db()
    except IntegrityError:
        raise ConflictError(f"there is an endpoint named {name!r} already") from None
    return endpoint


def update_endpoint(
    *,
    name: str,
    actor: str,
    description: str | None = None,
    four_eyes: bool | None = None,
    may_lift: bool = False,
) -> Endpoint:
    """Changes the description, and switches the four-eyes rule; None leaves a thing as it is.

    Where nothing differs nothing is written. What waits for a second person when the rule goes
    has nobody to wait for: it is superseded.

    Args:
        may_lift: whether the actor may switch the rule off.

    Raises:
        NotFoundError: there is no such endpoint.
        NotAllowedError: the rule is on, and the actor may not switch it off.
    """
    with transaction.atomic():
        endpoint = locked(name)
        wanted = {"description": description, "four_eyes": four_eyes}
        after = {
            field: value
            for field, value in wanted.items()
            if value is not None and value != getattr(endpoint, field)
        }
        if after.get("four_eyes") is False and not may_lift:
            raise NotAllowedError(
                f"{name} has the four-eyes rule, and switching it off needs {LIFT} on endpoint "
                f"{name}: ask for the role {in_words(roles_with(LIFT))}"
            )
        if not after:
            return endpoint
        before = {field: getattr(endpoint, field) for field in after}
        for field, value in after.items():
            setattr(endpoint, field, value)
        endpoint.save(update_fields=[*after, "updated_at"])
        if after.get("four_eyes") is False:
            for change in endpoint.changes.filter(state=ChangeState.PENDING):
                supersede(change, actor, "the four-eyes rule was switched off")
        record(
            actor=actor,
            action="endpoint.four_eyes" if "four_eyes" in after else "endpoint.update",
            object_type="endpoint",
            object_id=endpoint.id,
            object_name=name,
            before=before,
            after=after,
        )
    return endpoint


def delete_endpoint(*, name: str, actor: str, queue: Queue, clock: Clock) -> Endpoint:
    """Takes an endpoint off every server; its record goes when the last one has let go.

    Raises:
        NotFoundError: there is no such endpoint.
        ConflictError: it has the four-eyes rule.
    """
    with transaction.atomic():
        endpoint = locked(name)
        verdict = course(Move.REMOVAL, four_eyes=endpoint.four_eyes)
        if verdict.ruling is not Ruling.GO:
            raise ConflictError(f"{name}: {verdict.reason}")
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


def _first_policy(
    name: str,
    document: Mapping[str, Any],
    actor: str,
    queue: Queue,
    print_config: ConfigPrinter,
) -> None:
    """Puts the policy that came with a new endpoint; what is wrong is at `/policy` there."""
    try:
        put_policy(
            name=name, document=document, actor=actor, queue=queue, print_config=print_config
        )
    except InvalidInputError as error:
        raise InvalidInputError(
            [Violation(f"/policy{v.pointer}", v.code, v.detail) for v in error.violations]
        ) from error
