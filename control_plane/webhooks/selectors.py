"""Reading webhooks and their deliveries."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet

from control_plane.domain.violations import NotFoundError
from control_plane.webhooks.models import Delivery, Webhook
from control_plane.webhooks.services import ITSELF


def get_webhook(name: str) -> Webhook:
    """The webhook of that name.

    Raises:
        NotFoundError: there is none.
    """
    webhook = Webhook.objects.filter(name=name).first()
    if webhook is None:
        raise NotFoundError(f"there is no webhook named {name!r}")
    return webhook


def deliveries_of(webhook: Webhook) -> QuerySet[Delivery]:
    """Its deliveries for a list, which does not show what was sent: that can be large."""
    return webhook.deliveries.select_related("webhook").defer("body")


def get_delivery(webhook: Webhook, delivery_id: UUID) -> Delivery:
    """One delivery with its attempts.

    Raises:
        NotFoundError: the webhook has none of that id, or it was forgotten.
    """
    rows = webhook.deliveries.select_related("webhook").prefetch_related("attempts")
    delivery = rows.filter(pk=delivery_id).first()
    if delivery is None:
        raise NotFoundError(f"webhook {webhook.name!r} has no delivery {delivery_id} (any more)")
    return delivery


def in_trouble() -> QuerySet[Webhook]:
    """Webhooks that were switched off by what their receiver did, and those that fail now."""
    by_itself = Q(enabled=False, disabled_by=ITSELF)
    failing = Q(enabled=True, failures__gte=3)
    return Webhook.objects.filter(by_itself | failing).order_by("name")
