"""The outbox: an event is written down for whoever wants it, in the transaction that made it so.

What is not committed is told to nobody, and what is committed is told: a message to the workers
goes out afterwards, and where it is lost the sweep finds the row.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.dispatch import Signal

from control_plane.audit.models import AuditEvent
from control_plane.audit.request import request_id
from control_plane.domain.webhooks import payload
from control_plane.domain.webhooks.catalogue import BY_ACTION, BY_NAME, EventType
from control_plane.domain.webhooks.matching import concerns, wants
from control_plane.webhooks.models import Delivery, Webhook

written = Signal()
"""Sent after the commit with `webhook_ids`: a room above hands them to the workers."""


def tell_of_deed(*, event: AuditEvent, **_: Any) -> None:
    """Receives every audit event as it is recorded, and tells those that are in the catalogue."""
    kind = BY_ACTION.get(event.action)
    webhooks = _wanting(kind.name) if kind else []
    if kind is None or not webhooks:
        return
    subject = payload.subject_of(kind, event.object_name, event.before, event.after)
    said = payload.data(
        subject,
        actor=event.actor,
        reason=event.reason,
        request_id=event.request_id,
        before=event.before,
        after=event.after,
    )
    _write(webhooks, kind, event.at, said)


def tell(event: str, *, at: datetime, subject: Mapping[str, Any], reason: str) -> None:
    """Tells a change of state that nobody made by hand; call it in the change's transaction."""
    if webhooks := _wanting(event):
        said = payload.data(subject, actor="nereid", reason=reason, request_id=request_id())
        _write(webhooks, BY_NAME[event], at, said)


def write_for(webhook: Webhook, kind: EventType, at: datetime, said: Mapping[str, Any]) -> Delivery:
    """One delivery to one webhook, whatever it wants; call it in a transaction."""
    identity = f"evt_{uuid.uuid4().hex}"
    delivery = _delivery(webhook, kind, identity, at, payload.document(kind, identity, at, said))
    delivery.save(force_insert=True)
    wake([webhook.id])
    return delivery


def wake(webhook_ids: list[uuid.UUID]) -> None:
    """Asks, after the commit, that the webhooks' deliveries are looked at."""
    # Robust: the rows stand, and the sweep finds them when the broker is back.
    transaction.on_commit(
        lambda: written.send(sender=Delivery, webhook_ids=webhook_ids), robust=True
    )


def _wanting(event: str) -> list[Webhook]:
    rows = Webhook.objects.filter(enabled=True).only("id", "events", "names").order_by("id")
    return [row for row in rows if wants(row.events, event)]


def _write(webhooks: list[Webhook], kind: EventType, at: datetime, said: Mapping[str, Any]) -> None:
    name = payload.name_of(said)
    chosen = [row for row in webhooks if concerns(row.names, name)]
    if not chosen:
        return
    # One that is deleted at this moment must not fail the deed by its missing row.
    standing = _kept([row.id for row in chosen])
    identity = f"evt_{uuid.uuid4().hex}"
    body = payload.document(kind, identity, at, said)
    told = [row for row in chosen if row.id in standing]
    Delivery.objects.bulk_create(_delivery(row, kind, identity, at, body) for row in told)
    if told:
        wake([row.id for row in told])


def _kept(ids: list[uuid.UUID]) -> set[uuid.UUID]:
    """Of these webhooks the ones that are there, which nobody deletes until the commit."""
    # KEY SHARE, which Django has no word for: writers of events do not wait for each other.
    sql = "SELECT id FROM webhooks_webhook WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE"
    return {row.id for row in Webhook.objects.raw(sql, [ids])}


def _delivery(
    webhook: Webhook, kind: EventType, identity: str, at: datetime, body: str
) -> Delivery:
    return Delivery(
        webhook=webhook,
        event_id=identity,
        event=kind.name,
        body=body,
        created_at=at,
        due_at=at,
    )
