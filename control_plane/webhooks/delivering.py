"""Delivering: one worker at a time takes what is due to one webhook, and notes what came of it.

A webhook is the unit of work, so a receiver that is slow keeps one worker busy, not all. Nothing
is lost: a delivery is pending until its outcome is written down, and a worker that is killed
leaves a lease that ends. What it had sent without noting is sent again, under the same id.
"""

from __future__ import annotations

import random
import time
import uuid
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from control_plane.domain.webhooks import retrying
from control_plane.domain.webhooks.retrying import Outcome, Verdict
from control_plane.domain.webhooks.signing import headers
from control_plane.ports.clock import Clock
from control_plane.ports.queue import Queue
from control_plane.ports.receivers import NotSentError, Receivers, Reply
from control_plane.webhooks.models import Attempt, Delivery, State, Webhook
from control_plane.webhooks.secrets import SecretLostError, keys_of
from control_plane.webhooks.services import abandon, disable

LEASE = timedelta(seconds=60)
"""An attempt ends before this, a slow name server's time included; it is taken anew for each."""

TURN_S = 5.0
"""After so long, webhooks that wait for a worker come first; the rest of this one's queues up."""

AGENT = "Nereid-Webhooks/1"


def deliver(*, webhook_id: UUID, clock: Clock, queue: Queue, receivers: Receivers) -> int:
    """Attempts what is due to one webhook, the longest due first; returns how many attempts.

    Somebody else who is at it is left alone: they look again before they go.
    """
    owner, began, attempts = uuid.uuid4().hex, time.monotonic(), 0
    while _take_lease(webhook_id, owner, clock.now()):
        try:
            while time.monotonic() - began < TURN_S and (due := _next_due(webhook_id, clock.now())):
                _attempt(due, clock, receivers)
                attempts += 1
                if not _take_lease(webhook_id, owner, clock.now()):
                    return attempts  # it ended, and somebody else is at it
        finally:
            Webhook.objects.filter(id=webhook_id, lease_owner=owner).update(
                lease_owner="", lease_expires_at=None
            )
        # What was written while the lease was held found nobody free: it is ours.
        if not _next_due(webhook_id, clock.now()):
            return attempts
        if time.monotonic() - began >= TURN_S:
            queue.deliver(webhook_id=webhook_id)
            return attempts
    return attempts


def sweep(*, clock: Clock, queue: Queue) -> int:
    """Asks for a look at every webhook that something is due to; returns how many."""
    now = clock.now()
    due = _due(now).filter(webhook=OuterRef("pk"))
    rested = Q(rests_until=None) | Q(rests_until__lte=now)
    free = Q(lease_expires_at=None) | Q(lease_expires_at__lte=now)
    ids = list(Webhook.objects.filter(rested, free, Exists(due)).values_list("id", flat=True))
    for webhook_id in ids:
        queue.deliver(webhook_id=webhook_id)
    return len(ids)


def _due(now: datetime) -> QuerySet[Delivery]:
    return Delivery.objects.filter(state=State.PENDING, due_at__lte=now)


def _next_due(webhook_id: UUID, now: datetime) -> Delivery | None:
    """What is to be attempted next; None too while the receiver is left alone."""
    rested = Q(webhook__rests_until=None) | Q(webhook__rests_until__lte=now)
    rows = _due(now).filter(rested, webhook_id=webhook_id).select_related("webhook")
    return rows.order_by("due_at", "created_at").first()


def _take_lease(webhook_id: UUID, owner: str, now: datetime) -> bool:
    free = Q(lease_expires_at=None) | Q(lease_expires_at__lte=now) | Q(lease_owner=owner)
    rows = Webhook.objects.filter(free, id=webhook_id)
    return bool(rows.update(lease_owner=owner, lease_expires_at=now + LEASE))


def _attempt(delivery: Delivery, clock: Clock, receivers: Receivers) -> None:
    webhook, now = delivery.webhook, clock.now()
    if not webhook.enabled:
        # Written while the webhook was being switched off.
        abandon(webhook, webhook.disabled_reason, now)
        return
    try:
        keys = keys_of(webhook, now)
    except SecretLostError as lost:
        disable(webhook, str(lost), now)
        return
    body, began = delivery.body.encode(), time.monotonic()
    signed = headers(keys, delivery.event_id, int(now.timestamp()), body)
    named = {"Content-Type": "application/json", "User-Agent": AGENT, **signed}
    try:
        reply = receivers.post(webhook.url, named, body)
        verdict = retrying.verdict(reply.status)
    except NotSentError as refusal:
        reply, verdict = Reply(0), Verdict(Outcome.AGAIN, str(refusal), away=True)
    attempt = Attempt(
        delivery=delivery,
        at=now,
        duration_ms=round((time.monotonic() - began) * 1000),
        status=reply.status or None,
        error=verdict.reason,
        answer=reply.excerpt,
    )
    _note(delivery, attempt, verdict, reply, clock.now())


def _note(
    delivery: Delivery, attempt: Attempt, verdict: Verdict, reply: Reply, now: datetime
) -> None:
    """Writes down what came of it: the log, the delivery, and how the receiver is doing."""
    with transaction.atomic():
        webhook = (
            Webhook.objects.select_for_update(no_key=True).filter(pk=delivery.webhook_id).first()
        )
        row = Delivery.objects.select_for_update().filter(pk=delivery.pk).first()
        if webhook is None or row is None:
            return  # deleted meanwhile, and its log with it
        attempt.save(force_insert=True)
        if row.state != State.PENDING:
            return  # abandoned meanwhile: the log says what was sent all the same
        row.tries += 1
        wish = retrying.retry_after(reply.retry_after, now)
        if verdict.outcome == Outcome.DELIVERED:
            _end(row, State.DELIVERED, "", now)
            webhook.failures, webhook.failing_since, webhook.rests_until = 0, None, None
        else:
            _failed(row, webhook, verdict, wish, attempt, now)
        webhook.save(update_fields=["failures", "failing_since", "rests_until"])
        if verdict.outcome == Outcome.GONE:
            disable(webhook, verdict.reason, now)
        elif row.state == State.FAILED and _nothing_arrived_since(webhook, row):
            detail = f"nothing arrived for {row.tries} attempts of one delivery: {verdict.reason}"
            disable(webhook, detail, now)


def _failed(
    row: Delivery,
    webhook: Webhook,
    verdict: Verdict,
    wish: timedelta | None,
    attempt: Attempt,
    now: datetime,
) -> None:
    webhook.failures += 1
    webhook.failing_since = webhook.failing_since or attempt.at
    if verdict.away:
        webhook.rests_until = now + retrying.rest(webhook.failures, wish)
    if verdict.outcome == Outcome.GONE or row.tries >= retrying.ATTEMPTS:
        _end(row, State.FAILED, verdict.reason, now)
        return
    row.reason = verdict.reason
    row.due_at = now + retrying.wait(row.tries, random.random(), wish)  # noqa: S311 - jitter
    row.save(update_fields=["tries", "reason", "due_at"])


def _end(row: Delivery, state: State, reason: str, now: datetime) -> None:
    row.state, row.reason, row.due_at, row.ended_at = state, reason, None, now
    row.save(update_fields=["tries", "state", "reason", "due_at", "ended_at"])


def _nothing_arrived_since(webhook: Webhook, row: Delivery) -> bool:
    """Whether the webhook has failed ever since this delivery was first tried."""
    tried = list(row.attempts.order_by("-id").values_list("at", flat=True)[: row.tries])
    return webhook.failing_since is not None and webhook.failing_since <= tried[-1]
