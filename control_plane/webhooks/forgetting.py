"""Forgetting: the log has an end."""

from __future__ import annotations

from datetime import datetime, timedelta

from control_plane.webhooks.models import Delivery, Webhook

KEPT_FOR = timedelta(days=30)
"""How long an ended delivery, its payload and its attempts can be looked at and sent again."""

AT_ONCE = 1000
"""Rows of one DELETE: it holds no lock for long, however many there are."""


def forget_old_deliveries(now: datetime) -> int:
    """Removes deliveries that ended a month ago, and secrets that sign no more; returns how many
    deliveries."""
    Webhook.objects.filter(old_secret_until__lte=now).update(old_secret=None, old_secret_until=None)
    old = Delivery.objects.filter(ended_at__lte=now - KEPT_FOR).order_by("ended_at")
    forgotten = 0
    while ids := list(old.values_list("id", flat=True)[:AT_ONCE]):
        # Their payloads, which can be large, are not read for it.
        Delivery.objects.filter(id__in=ids).only("id").delete()
        forgotten += len(ids)
    return forgotten
