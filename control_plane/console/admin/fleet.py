"""Servers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from control_plane import wiring
from control_plane.console.record_admin import DeletableAdmin, label
from control_plane.console.server_page import server_context
from control_plane.console.server_scheduling import cordon_page, drain_page, uncordon_page
from control_plane.console.templatetags.console import ago
from control_plane.domain.placement.labels import in_words
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import Scheduling, labels_of, scheduling_of, server_status
from control_plane.fleet.services import delete_server, why_kept


@admin.register(Server)
class ServerAdmin(DeletableAdmin):
    """Servers register themselves: a server made by hand would count as one that is away."""

    audited_as = "server"
    list_display = (
        "name",
        "status",
        "scheduling",
        "reason",
        "held_count",
        "triton_version",
        "http_address",
        "seen",
    )
    list_filter = ("accelerator", "ready", "draining")
    search_fields = ("name", "http", "grpc")
    fieldsets = (
        (None, {"fields": ("name",)}),  # how it is stands above, and follows
        (
            "Addresses",
            {
                "fields": (
                    "http_address",
                    "grpc_address",
                    "metrics",
                    "accelerator",
                    "laboratory",
                    "hardware",
                    "labels",
                    "keeps_answers",
                    "limits_rates",
                    "cores",
                    "triton_version",
                    "created_at",
                )
            },
        ),
    )
    readonly_fields = (
        "name",
        "status",
        "reason",
        "seen",
        "http_address",
        "grpc_address",
        "metrics",
        "accelerator",
        "laboratory",
        "hardware",
        "labels",
        "keeps_answers",
        "limits_rates",
        "cores",
        "triton_version",
        "created_at",
    )
    change_form_outer_before_template = "console/parts/server_holds.html"
    actions_detail = ("cordon", "drain", "uncordon")
    empty_icon = "dns"
    empty_title = "No servers yet"
    empty_text = "A Triton's node worker registers it when it starts. One of your own, right here:"
    empty_command = "make serve"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @action(description="Cordon", url_path="cordon", icon="block", permissions=["schedule"])
    def cordon(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return cordon_page(self, request, self.found(request, object_id, "schedule"))

    @action(description="Drain", url_path="drain", icon="output", permissions=["schedule"])
    def drain(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return drain_page(self, request, self.found(request, object_id, "schedule"))

    @action(description="Uncordon", url_path="uncordon", icon="input", permissions=["schedule"])
    def uncordon(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return uncordon_page(self, request, self.found(request, object_id, "schedule"))

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Those that would change something: none to close what is closed, or open what is open."""
        server = self.get_object(request, str(object_id))
        if server is None:
            return []
        pointless = {"drain"} if server.draining else {"cordon"} if server.cordoned_at else set()
        pointless |= set() if server.cordoned_at else {"uncordon"}
        offered = super().get_actions_detail(request, object_id)
        return [one for one in offered if one.action_name.rsplit("_", 1)[-1] not in pointless]

    def has_schedule_permission(self, request: HttpRequest, server: Any = None) -> bool:
        return self.may(request, "change", server)

    def remove(self, request: HttpRequest, record: Server) -> str:
        actor = request.user.get_username()
        delete_server(
            name=record.name, actor=actor, now=wiring.clock().now(), duties=wiring.duties()
        )
        return f"Server {record.name} was removed."

    def obstacle(self, record: Server) -> str:
        return why_kept(record, wiring.clock().now(), wiring.duties())

    def consequences(self, record: Server) -> list[str]:
        placed = [row.endpoint.name for row in record.placements.select_related("endpoint")]
        said = [f"Changes of {', '.join(placed)} wait for it no longer."] if placed else []
        return [
            *said,
            "What was noted of it is forgotten; the audit record stays.",
            "Its Triton is not stopped. If its node starts again, it registers again.",
        ]

    @display(description="status")
    def status(self, server: Server) -> SafeString:
        return label(server_status(server, wiring.clock().now())[0])

    @display(description="reason")
    def reason(self, server: Server) -> str:
        return server_status(server, wiring.clock().now())[1]

    @display(description="scheduling")
    def scheduling(self, server: Server) -> SafeString | str:
        held = server.draining and server.placements.exists()
        state = scheduling_of(server, [server] if held else [])
        return "" if state == Scheduling.OPEN else label(state)

    @display(description="labels")
    def labels(self, server: Server) -> str:
        return in_words({key: value for key, value in labels_of(server).items() if value})

    @display(description="HTTP", ordering="http")
    def http_address(self, server: Server) -> str:
        return server.http

    @display(description="response cache")
    def keeps_answers(self, server: Server) -> str:
        return _known(server.response_cache)

    @display(description="rate limiter")
    def limits_rates(self, server: Server) -> str:
        return _known(server.rate_limiter)

    @display(description="lab")
    def laboratory(self, server: Server) -> str:
        return "yes: perf runs may put it under load" if server.lab else "no"

    @display(description="gRPC", ordering="grpc")
    def grpc_address(self, server: Server) -> str:
        return server.grpc

    @display(description="models held")
    def held_count(self, server: Server) -> str:
        ready = sum(1 for held in server.held if held.get("state") == "READY")
        return f"{ready} of {len(server.held)} ready" if server.held else "none"

    @display(description="last seen", ordering="last_seen_at")
    def seen(self, server: Server) -> str:
        return ago(server.last_seen_at)

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        return server_context(request.user, record, wiring.clock().now())


def _known(said: bool | None) -> str:
    return {True: "on", False: "off", None: "not known"}[said]
