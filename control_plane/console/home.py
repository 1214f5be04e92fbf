"""The home page, and the part of it that refreshes itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from control_plane import wiring
from control_plane.audit.selectors import events_for
from control_plane.console.attention import concerns
from control_plane.console.endpoint_charts import SPANS, endpoint_charts, known_budget, span_of
from control_plane.console.live_parts import part, to_login
from control_plane.console.overview import (
    EndpointCard,
    endpoint_cards,
    quantiles,
    recent_traffic,
    server_rows,
)
from control_plane.console.rights import sees, visible
from control_plane.console.rollouts_under_way import active, under_way
from control_plane.console.server_page import server_context
from control_plane.endpoints.models import Endpoint
from control_plane.fleet.models import Server
from control_plane.registry.models import ModelVersion, VersionState

CARDS = 24
EVENTS = 8


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK."""
    return {**context, **overview(request)}


def live(request: HttpRequest) -> HttpResponse:
    """The part of the home page that the browser asks for every few seconds."""
    if not admin.site.has_permission(request):
        return to_login(reverse("admin:index"))
    return part(request, "console/parts/live.html", overview(request))


def live_endpoint(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    """The live part of an endpoint's page; the policy in words goes along to its own place."""
    return _of_endpoint(
        request,
        endpoint_id,
        "console/parts/endpoint_card.html",
        lambda card: {
            "heading": False,
            "words_elsewhere": True,
            "rolling": under_way(active(request.user, card.endpoint.name)),
        },
    )


def live_charts(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    """An endpoint's charts over `?span=`."""
    span = span_of(request.GET.get("span"))
    return _of_endpoint(
        request,
        endpoint_id,
        "console/parts/charts.html",
        lambda card: {
            "endpoint": card.endpoint,
            "drawn": endpoint_charts(card, span, wiring.clock().now()),
            "spans": SPANS,
            "budget": known_budget(card.endpoint),
        },
    )


def live_server(request: HttpRequest, server_id: UUID) -> HttpResponse:
    """The live part of a server's page."""
    if not admin.site.has_permission(request):
        return to_login(reverse("admin:fleet_server_change", args=[server_id]))
    if not request.user.has_perm("fleet.view_server"):
        raise PermissionDenied
    server = Server.objects.filter(pk=server_id).first()
    if server is None:  # removed meanwhile: the list says so
        return HttpResponse(headers={"HX-Redirect": reverse("admin:fleet_server_changelist")})
    context = server_context(request.user, server, wiring.clock().now())
    return part(request, "console/parts/server_holds.html", context)


def _of_endpoint(
    request: HttpRequest,
    endpoint_id: UUID,
    template: str,
    more: Callable[[EndpointCard], dict[str, Any]],
) -> HttpResponse:
    page = reverse("admin:endpoints_endpoint_change", args=[endpoint_id])
    if not admin.site.has_permission(request):
        return to_login(page)
    if not sees(request.user, "endpoints.Endpoint"):
        raise PermissionDenied
    traffic = recent_traffic(wiring.clock().now())
    rows = visible(request.user, Endpoint.objects.filter(pk=endpoint_id))
    cards = endpoint_cards(rows, traffic)
    if not cards:  # deleted meanwhile, or no longer theirs to see: the list says so
        listed = reverse("admin:endpoints_endpoint_changelist")
        return HttpResponse(headers={"HX-Redirect": listed})
    return part(request, template, {"card": cards[0], **more(cards[0])})


def overview(request: HttpRequest) -> dict[str, Any]:
    """What the person may see of endpoints, servers and events."""
    now = wiring.clock().now()
    may = request.user.has_perm
    context: dict[str, Any] = {
        "now": now,
        "sees_endpoints": sees(request.user, "endpoints.Endpoint"),
        "sees_servers": may("fleet.view_server"),
        "sees_audit": may("audit.view_auditevent"),
    }
    if context["sees_endpoints"]:
        context |= _endpoints(request)
    if context["sees_servers"]:
        servers = server_rows(now)
        context["servers"] = servers
        context["servers_ready"] = sum(1 for row in servers if row.status == "Ready")
    rollouts = active(request.user) if sees(request.user, "rollouts.Rollout") else []
    context["rolling"] = under_way(rollouts)
    context["concerns"] = concerns(
        request.user, now, servers=context["sees_servers"], rollouts=rollouts
    )
    if context["sees_audit"]:
        context["events"] = events_for(request.user).defer("before", "after")[:EVENTS]
    return context


def _endpoints(request: HttpRequest) -> dict[str, Any]:
    may = request.user.has_perm
    traffic = recent_traffic(wiring.clock().now())
    wanted = visible(request.user, Endpoint.objects.all())
    statuses = list(wanted.values_list("status", flat=True))
    cards = endpoint_cards(wanted, traffic, CARDS)
    found: dict[str, Any] = {
        "traffic": traffic,
        "cards": cards,
        "latency": quantiles(card.sketch for card in cards),
        "more": max(0, len(statuses) - len(cards)),
        "endpoints_total": len(statuses),
        "endpoints_healthy": statuses.count("Healthy"),
        "changeable": {
            card.endpoint.name for card in cards if may("endpoints.change_endpoint", card.endpoint)
        },
        "adds_endpoints": may("endpoints.add_endpoint"),
    }
    if not cards:
        found["first_version"] = (
            ModelVersion.objects.filter(state=VersionState.READY)
            .select_related("model")
            .order_by("created_at")
            .first()
        )
    return found
