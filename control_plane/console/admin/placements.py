"""Where endpoints are placed, as it was observed."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from control_plane import wiring
from control_plane.console.record_admin import RecordAdmin, label, link, mono
from control_plane.console.templatetags.console import ago
from control_plane.endpoints.models import Placement
from control_plane.endpoints.selectors import placement_status


@admin.register(Placement)
class PlacementAdmin(RecordAdmin):
    """Placements: what was observed, and so nobody's to edit."""

    list_display = ("title", "state", "switched", "prepared", "sent", "observed")
    list_filter = ("server", "endpoint")
    search_fields = ("server__name", "endpoint__name", "failure")
    list_select_related = ("server", "endpoint")
    ordering = ("endpoint__name", "server__name")
    fieldsets = (
        (None, {"fields": ("endpoint_link", "server_link", "state", "why")}),
        ("Generations", {"fields": ("wanted", "prepared", "switched", "retired", "failed")}),
        ("Models", {"fields": ("ready_list",)}),
        ("Last command", {"fields": ("sent", "failed_at", "observed_at")}),
    )
    readonly_fields = (
        "endpoint_link",
        "server_link",
        "state",
        "why",
        "wanted",
        "prepared",
        "switched",
        "retired",
        "failed",
        "ready_list",
        "sent",
        "failed_at",
        "observed_at",
    )
    empty_icon = "lan"
    empty_title = "Nothing is placed yet"
    empty_text = "Where an endpoint is served, its placement says what that server holds of it."
    empty_command = "nereid deploy digits digits:1=100"

    @display(description="placement", ordering="endpoint__name")
    def title(self, placement: Placement) -> str:
        return str(placement)

    @display(description="state")
    def state(self, placement: Placement) -> SafeString:
        return label(_status(placement)[0])

    @display(description="reason")
    def why(self, placement: Placement) -> str:
        return _status(placement)[1]

    @display(description="wanted")
    def wanted(self, placement: Placement) -> int:
        return placement.endpoint.generation

    @display(description="last command", ordering="sent_at")
    def sent(self, placement: Placement) -> SafeString | str:
        if not placement.sent_verb:
            return "none"
        words = f"{placement.sent_verb} generation {placement.sent_generation}"
        return format_html("{}, {}", words, ago(placement.sent_at))

    @display(description="observed", ordering="observed_at")
    def observed(self, placement: Placement) -> SafeString | str:
        return ago(placement.observed_at)

    @display(description="ready models")
    def ready_list(self, placement: Placement) -> SafeString | str:
        return format_html_join(" ", "{}", ((mono(name),) for name in placement.ready_models))

    @display(description="endpoint")
    def endpoint_link(self, placement: Placement) -> SafeString | str:
        return link(placement.endpoint)

    @display(description="server")
    def server_link(self, placement: Placement) -> SafeString | str:
        return link(placement.server)


def _status(placement: Placement) -> tuple[str, str]:
    return placement_status(placement, placement.endpoint.generation, wiring.clock().now())
