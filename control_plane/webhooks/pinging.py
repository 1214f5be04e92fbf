"""A test of a webhook: an event of its own, sent the way every other is."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from control_plane.audit.request import request_id
from control_plane.audit.services import record
from control_plane.domain.violations import ConflictError
from control_plane.domain.webhooks import payload
from control_plane.domain.webhooks.catalogue import BY_NAME, PING
from control_plane.webhooks.models import Delivery
from control_plane.webhooks.outbox import write_for
from control_plane.webhooks.services import locked


def ping(*, name: str, actor: str, now: datetime) -> Delivery:
    """Sends `webhook.ping`, whatever the webhook wants to be told.

    Raises:
        NotFoundError: there is no webhook of that name.
        ConflictError: it is disabled.
    """
    with transaction.atomic():
        webhook = locked(name)
        if not webhook.enabled:
            raise ConflictError(f"webhook {name!r} is disabled: enable it, then test it")
        said = payload.data({"webhook": name}, actor=actor, request_id=request_id())
        delivery = write_for(webhook, BY_NAME[PING], now, said)
        record(
            actor=actor,
            action="webhook.test",
            object_type="webhook",
            object_id=webhook.id,
            object_name=name,
            after={"delivery": str(delivery.id)},
        )
    return delivery
