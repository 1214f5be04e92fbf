"""A webhook's page: how its receiver is doing, and what was sent lately."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from control_plane.webhooks.models import State, Webhook
from control_plane.webhooks.selectors import deliveries_of

NEWEST = 15


def webhook_context(user: Any, webhook: Webhook) -> dict[str, Any]:
    """What the live part of the page shows."""
    rows = deliveries_of(webhook)
    return {
        "webhook": webhook,
        "state": webhook.state(),
        "deliveries": rows.order_by("-created_at")[:NEWEST],
        "pending": rows.filter(state=State.PENDING).count(),
        "last": rows.filter(state=State.DELIVERED).order_by("-ended_at").first(),
        "may_test": user.has_perm("webhooks.change_webhook"),
    }


def live_webhook(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    """The live part of a webhook's page."""
    if not admin.site.has_permission(request):
        return HttpResponse(headers={"HX-Redirect": reverse("admin:login")})
    if not request.user.has_perm("webhooks.view_webhook"):
        raise PermissionDenied
    webhook = Webhook.objects.filter(pk=webhook_id).first()
    if webhook is None:  # removed meanwhile: the list says so
        return HttpResponse(headers={"HX-Redirect": reverse("admin:webhooks_webhook_changelist")})
    context = webhook_context(request.user, webhook)
    response = render(request, "console/parts/webhook_log.html", context)
    response["Cache-Control"] = "no-store"
    return response
