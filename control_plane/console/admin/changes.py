"""Changes of traffic that a second person approves."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from control_plane.console import words
from control_plane.console.change_page import change_page
from control_plane.console.record_admin import RecordAdmin, label
from control_plane.domain.four_eyes import stale
from control_plane.endpoints.models import ChangeRequest
from control_plane.endpoints.selectors import listed_changes


@admin.register(ChangeRequest)
class ChangeRequestAdmin(RecordAdmin):
    """What was asked for, what waits, and how it ended."""

    list_display = ("title", "state_label", "arms", "reason", "asked_by", "created", "decided_by")
    list_filter = ("state", "endpoint")
    search_fields = ("endpoint__name", "asked_by", "decided_by", "reason")
    list_select_related = ("endpoint",)
    ordering = ("-created_at",)
    empty_icon = "rule"
    empty_title = "No changes were asked for"
    empty_text = (
        "Where an endpoint has the four-eyes rule, a change of its traffic waits here until a "
        "second person approves it."
    )
    empty_command = "nereid four-eyes digits on"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChangeRequest]:
        return listed_changes(super().get_queryset(request))

    @display(description="change", ordering="number")
    def title(self, change: ChangeRequest) -> str:
        return f"{change.endpoint.name} #{change.number}"

    @display(description="state", ordering="state")
    def state_label(self, change: ChangeRequest) -> SafeString:
        late = stale(change.as_value(), change.endpoint.generation)
        return label("stale" if late else change.state)

    @display(description="arms")
    def arms(self, change: ChangeRequest) -> SafeString | str:
        parts = ((words.served(arm), arm["weight"]) for arm in _arms(change))
        return format_html_join(" ", '<span class="n-tag">{} <b>{} %</b></span>', parts)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A page of its own: there is nothing to fill in, and something to decide."""
        if self.get_object(request, object_id) is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return change_page(self, request, self.found(request, object_id, "view"))


def _arms(change: ChangeRequest) -> list[dict[str, Any]]:
    return list(change.policy.get("arms", []))
