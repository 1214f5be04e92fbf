"""Tunes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from control_plane.access.selectors import may_somewhere
from control_plane.console.perf_ending import cancel_tune_page
from control_plane.console.record_admin import RecordAdmin, label
from control_plane.console.tune_apply import apply_page
from control_plane.console.tune_page import goal, tune_page
from control_plane.domain.access import Kind
from control_plane.tuning.models import Tune


@admin.register(Tune)
class TuneAdmin(RecordAdmin):
    """Tunes are asked for on the page of the version that they tune."""

    audited_as = "tune"
    list_display = (
        *("title", "target_name", "server_name", "state_label", "sought", "best_found", "gain"),
        *("asked_at", "asked_by"),
    )
    list_filter = ("state", "objective", "server_name")
    search_fields = ("name", "server_name", "asked_by")
    list_defer = ("profile",)
    ordering = ("-id",)
    actions_detail = ("cancel", "apply")
    empty_icon = "tune"
    empty_title = "Nothing was tuned yet"
    empty_text = "A tune looks for the best way to serve a version: Tune, on its page, or"
    empty_command = "nereid tune digits.v1 --p99 20ms"

    @display(description="tune", ordering="id")
    def title(self, tune: Tune) -> str:
        return f"#{tune.pk}"

    @display(description="version", ordering="name")
    def target_name(self, tune: Tune) -> str:
        return str(tune.target)

    @display(description="state", ordering="state")
    def state_label(self, tune: Tune) -> SafeString:
        return label(tune.state)

    @display(description="for")
    def sought(self, tune: Tune) -> str:
        return goal(tune.asked)

    @display(description="chosen")
    def best_found(self, tune: Tune) -> str:
        chosen = (tune.result or {}).get("chosen")
        return f"{chosen['said']}: {chosen['throughput']:,.0f}/s" if chosen else "–"  # noqa: RUF001

    @display(description="gain")
    def gain(self, tune: Tune) -> str:
        gain = (tune.result or {}).get("gain")
        changes = (tune.result or {}).get("changes")
        return f"{gain:+.0f}\N{NO-BREAK SPACE}%" if gain is not None and changes else ""

    @display(description="asked", ordering="created_at")
    def asked_at(self, tune: Tune) -> SafeString | str:
        return self.created(tune)

    @action(description="Cancel", url_path="cancel", icon="stop_circle", permissions=["end"])
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return cancel_tune_page(self, request, self.found(request, object_id, "end"))

    @action(description="Apply", url_path="apply", icon="done_all", permissions=["apply"])
    def apply(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return apply_page(self, request, self.found(request, object_id, "apply"))

    def has_end_permission(self, request: HttpRequest, tune: Any = None) -> bool:
        return self.may(request, "change", tune)

    def has_apply_permission(self, request: HttpRequest, tune: Any = None) -> bool:
        """It is the endpoint that changes: the page offers those that the person may change."""
        changes = may_somewhere(request.user, "endpoints.change_endpoint", Kind.ENDPOINT)
        return changes and self.may(request, "view", tune)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A page of its own: there is nothing to fill in, and something to look at."""
        if self.get_object(request, object_id) is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if request.method == "POST":
            raise PermissionDenied
        return tune_page(self, request, self.found(request, object_id, "view"))
