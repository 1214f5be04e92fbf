"""Writing the audit record."""

from __future__ import annotations

from typing import Any

from django.dispatch import Signal

from control_plane.audit.models import AuditEvent
from control_plane.audit.request import request_id

recorded = Signal()
"""Sent with each `event` in the transaction of its deed, for rooms above that tell of it."""


def record(
    *,
    actor: str,
    action: str,
    object_type: str,
    object_id: object,
    object_name: str,
    before: Any = None,
    after: Any = None,
    reason: str = "",
) -> AuditEvent:
    """Adds one event; call it in the transaction of the deed, so that both stand or fall.

    It carries the id of the request that is being answered, if one is.
    """
    event = AuditEvent.objects.create(
        actor=actor,
        action=action,
        object_type=object_type,
        object_id=str(object_id),
        object_name=object_name,
        before=before,
        after=after,
        reason=reason,
        request_id=request_id(),
    )
    recorded.send(sender=AuditEvent, event=event)
    return event
