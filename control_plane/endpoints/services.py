"""Making, changing and removing endpoints: intent and audit in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from control_plane.audit.services import record
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.violations import ConflictError, InvalidInputError, Violation
from control_plane.endpoints.generations import floor_of
from control_plane.endpoints.intent import announce, locked, next_generation, set_policy
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
