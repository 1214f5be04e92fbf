"""Making, changing and ending webhooks, each with its audit event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from control_plane.audit.services import record
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    Violation,
)
from control_plane.domain.webhooks.addresses import Allowed, check_url
from control_plane.domain.webhooks.matching import check_names, check_patterns
from control_plane.domain.webhooks.signing import secret_text
from control_plane.webhooks.models import Delivery, State, Webhook
from control_plane.webhooks.outbox import wake
from control_plane.webhooks.secrets import new_key, seal

LONGEST_OVERLAP = timedelta(days=7)

ITSELF = "nereid"
"""Who did what nobody did by hand."""


@dataclass(frozen=True)
class Wish:
    """What people say of a webhook; None where a change leaves it as it is."""

    url: str | None = None
    events: Sequence[str] | None = None
    names: Sequence[str] | None = None
    enabled: bool | None = None


def create_webhook(*, name: str, wish: Wish, actor: str, allowed: Allowed) -> tuple[Webhook, str]:
    """Makes a webhook; the second value is its secret, seen in clear this once.

    Raises:
        InvalidInputError: a name, URL, event or filter that cannot be.
        ConflictError: the name is taken.
    """
    if not is_public_name(name):
        detail = f"{name[:80]!r}: a name has {PUBLIC_NAME_RULE}"
        raise InvalidInputError([Violation("/name", "invalid_name", detail)])
    _check(wish, allowed)
    webhook = Webhook(name=name, created_by=actor)
    key = new_key()
    webhook.secret = seal(webhook.id, key)
    _apply(webhook, wish)
    try:
        with transaction.atomic():
            webhook.save(force_insert=True)
            _note(webhook, "webhook.create", actor, after=described(webhook))
    except IntegrityError:
        raise ConflictError(f"there is a webhook named {name!r} already") from None
    return webhook, secret_text(key)


def update_webhook(
    *, name: str, wish: Wish, actor: str, now: datetime, allowed: Allowed
) -> Webhook:
    """Changes a webhook. Switched off, what is on its way is abandoned; switched on, it begins
    anew with what happens from then on.

    Raises:
        NotFoundError: there is none of that name.
        InvalidInputError: a URL, event or filter that cannot be.
    """
    _check(wish, allowed)
    with transaction.atomic():
        webhook = locked(name)
        before = described(webhook)
        _apply(webhook, wish)
        if described(webhook) == before:
            return webhook
        if webhook.enabled:
            webhook.disabled_reason = webhook.disabled_by = ""
        elif before["enabled"]:
            webhook.disabled_by, webhook.disabled_reason = actor, f"switched off by {actor}"
            abandon(webhook, webhook.disabled_reason, now)
        if webhook.enabled and (not before["enabled"] or webhook.url != before["url"]):
            # Another receiver, or a mended one: what the old one did is not held against it.
            webhook.failures, webhook.failing_since, webhook.rests_until = 0, None, None
        webhook.save()
        _note(webhook, "webhook.update", actor, before=before, after=described(webhook))
        wake([webhook.id])
    return webhook


def delete_webhook(*, name: str, actor: str) -> None:
    """Removes a webhook with its deliveries and their log.

    Raises:
        NotFoundError: there is none of that name.
    """
    with transaction.atomic():
        webhook = locked(name)
        _note(webhook, "webhook.delete", actor, before=described(webhook))
        webhook.delete()


def rotate_secret(
    *, name: str, actor: str, now: datetime, overlap: timedelta
) -> tuple[Webhook, str]:
    """Gives a webhook a new secret, seen in clear this once; for `overlap` the old one signs too.

    Raises:
        NotFoundError: there is none of that name.
        InvalidInputError: the overlap is longer than a week.
    """
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        detail = f"from 0s to {LONGEST_OVERLAP.days * 24}h"
        raise InvalidInputError([Violation("/overlap", "range", detail)])
    key = new_key()
    with transaction.atomic():
        webhook = locked(name)
        old, until = (webhook.secret, now + overlap) if overlap else (None, None)
        webhook.old_secret, webhook.old_secret_until = old, until
        webhook.secret = seal(webhook.id, key)
        webhook.save(update_fields=["secret", "old_secret", "old_secret_until"])
        said = {"old_secret_until": until.isoformat() if until else None}
        _note(webhook, "webhook.rotate", actor, after=said)
    return webhook, secret_text(key)


def disable(webhook: Webhook, reason: str, now: datetime) -> None:
    """Switches a webhook off because of what its receiver does; what is on its way is abandoned."""
    with transaction.atomic():
        row = (
            Webhook.objects.select_for_update(no_key=True)
            .filter(pk=webhook.pk, enabled=True)
            .first()
        )
        if row is None:
            return
        before = described(row)
        row.enabled, row.disabled_by, row.disabled_reason = False, ITSELF, reason
        row.save(update_fields=["enabled", "disabled_by", "disabled_reason"])
        abandon(row, reason, now)
        after = described(row)
        _note(row, "webhook.disable", ITSELF, before=before, after=after, reason=reason)


def abandon(webhook: Webhook, reason: str, now: datetime) -> int:
    """Ends what is on its way to a webhook, undelivered; returns how many."""
    pending = webhook.deliveries.filter(state=State.PENDING)
    return pending.update(state=State.ABANDONED, reason=reason, due_at=None, ended_at=now)


def redeliver(*, delivery: Delivery, actor: str, now: datetime) -> Delivery:
    """Sends an ended delivery once more, under the id it had, with all its tries again.

    Raises:
        ConflictError: the webhook is disabled, or it is on its way.
        NotFoundError: it was forgotten just now.
    """
    with transaction.atomic():
        webhook = locked(delivery.webhook.name)
        row = Delivery.objects.select_for_update().filter(pk=delivery.pk).first()
        if row is None:
            raise NotFoundError("this delivery was forgotten just now")
        if not webhook.enabled:
            raise ConflictError(f"webhook {webhook.name!r} is disabled: enable it first")
        if row.state == State.PENDING:
            raise ConflictError(f"it is on its way: the next attempt is at {row.due_at:%H:%M:%S}")
        row.state, row.reason, row.tries = State.PENDING, "", 0
        row.due_at, row.ended_at = now, None
        row.save()
        said = {"delivery": str(row.id), "event": row.event, "webhook_id": row.event_id}
        _note(webhook, "webhook.redeliver", actor, after=said)
        wake([webhook.id])
    return row


def locked(name: str) -> Webhook:
    """The webhook, held until the transaction ends.

    Raises:
        NotFoundError: there is none of that name.
    """
    webhook = Webhook.objects.select_for_update(no_key=True).filter(name=name).first()
    if webhook is None:
        raise NotFoundError(f"there is no webhook named {name!r}")
    return webhook


def described(webhook: Webhook) -> dict[str, Any]:
    """What people say of it, as the audit record keeps it; never a secret."""
    return {
        "url": webhook.url,
        "events": list(webhook.events),
        "names": list(webhook.names),
        "enabled": webhook.enabled,
    }


def _check(wish: Wish, allowed: Allowed) -> None:
    found: list[Violation] = []
    checks = (
        (wish.url, lambda value: check_url(value, allowed)),
        (wish.events, lambda value: check_patterns(list(value))),
        (wish.names, lambda value: check_names(list(value))),
    )
    for value, check in checks:
        if value is None:
            continue
        try:
            check(value)
        except InvalidInputError as error:
            found += error.violations
    if found:
        raise InvalidInputError(found)


def _apply(webhook: Webhook, wish: Wish) -> None:
    if wish.url is not None:
        webhook.url = wish.url
    if wish.events is not None:
        webhook.events = list(dict.fromkeys(wish.events))
    if wish.names is not None:
        webhook.names = sorted(set(wish.names))
    if wish.enabled is not None:
        webhook.enabled = wish.enabled


def _note(webhook: Webhook, action: str, actor: str, **said: Any) -> None:
    record(
        actor=actor,
        action=action,
        object_type="webhook",
        object_id=webhook.id,
        object_name=webhook.name,
        **said,
    )
