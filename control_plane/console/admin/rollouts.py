"""Rollouts: the list, the page of each, and a page for each control."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from control_plane import wiring
from control_plane.console import words
from control_plane.console.record_admin import RecordAdmin, label
from control_plane.console.rights import GrantedAdmin
from control_plane.console.rollout_control import control_page
from control_plane.console.rollout_page import brought, rollout_context
from control_plane.domain.rollout.states import Event
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.selectors import document_of


class UnderWayFilter(admin.SimpleListFilter):
    """Those that move traffic or watch it, or those that have ended."""

    title = "under way"
    parameter_name = "active"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Under way"), ("no", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(finished_at__isnull=self.value() == "yes")


def _together(text: str) -> SafeString:
    """Short words that a narrow column does not break."""
    return format_html('<span class="n-nowrap">{}</span>', text)


@admin.register(Rollout)
class RolloutAdmin(RecordAdmin):
    """From what an endpoint serves to something new, in steps that decide by evidence."""

    audited_as = "rollout"
    list_display = (
        "title",
        "state_label",
        "brings",
        "where",
        "harm",
        "short_reason",
        "started_by",
        "created",
        "took",
    )
    list_filter = (UnderWayFilter, "state", "dry_run", "endpoint")
    search_fields = ("endpoint_name", "model", "started_by", "reason", "why")
    search_help_text = "an endpoint, a model, who started it, or words of its reason"
    list_defer = ("found", "written", "harm_cursors")
    ordering = ("-created_at",)
    fieldsets = ((None, {"fields": ("wanted",)}),)
    readonly_fields = ("wanted",)
    change_form_outer_before_template = "console/parts/rollout_page.html"
    actions_detail = ("approve", "resume", "retry", "pause", "skip", "promote", "abort")
    empty_icon = "rocket_launch"
    empty_title = "No rollouts yet"
    empty_text = (
        "A rollout brings a new version in step by step, measures it against the one that serves, "
        "and takes it back by itself where it is worse. Start one on an endpoint's page, or:"
    )
    empty_command = "nereid rollout start digits 2"

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        return rollout_context(request.user, record, wiring.clock().now())

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """None in the header: those that the state allows stand in the part that is live."""
        return []

    def has_control_permission(self, request: HttpRequest, rollout: Any = None) -> bool:
        """A rollout is edited by nobody; what people do to it takes the right to change it."""
        return GrantedAdmin.has_change_permission(self, request, rollout)

    @display(description="rollout", ordering="endpoint_name")
    def title(self, rollout: Rollout) -> str:
        return f"{rollout.endpoint_name} #{rollout.number}"

    @display(description="state", ordering="state")
    def state_label(self, rollout: Rollout) -> SafeString:
        return label(rollout.state)

    @display(description="brings")
    def brings(self, rollout: Rollout) -> SafeString:
        return _together(words.served(brought(rollout)))

    @display(description="step")
    def where(self, rollout: Rollout) -> SafeString:
        count = len(rollout.steps)
        return _together(f"{min(rollout.step + 1, count)} of {count}" if count else "none")

    @display(description="harm", ordering="harm_spent")
    def harm(self, rollout: Rollout) -> SafeString:
        return _together(f"{rollout.harm_spent} of {rollout.harm_budget}")

    @display(description="reason")
    def short_reason(self, rollout: Rollout) -> str:
        return rollout.reason if len(rollout.reason) < 120 else f"{rollout.reason[:117]}…"

    @display(description="took")
    def took(self, rollout: Rollout) -> SafeString:
        ended = rollout.finished_at or wiring.clock().now()
        return _together(words.lasting(ended - rollout.created_at))

    @display(description="as asked for")
    def wanted(self, rollout: Rollout) -> SafeString | str:
        text = json.dumps(document_of(rollout), indent=2, ensure_ascii=False)
        return format_html(
            '<details><summary>the document, to send again</summary><pre class="n-diff n-json" '
            'tabindex="0">{}</pre></details>',
            text,
        )

    @action(description="Approve", url_path="approve", permissions=["control"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._control(request, object_id, Event.APPROVE)

    @action(description="Resume", url_path="resume", permissions=["control"])
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._control(request, object_id, Event.RESUME)

    @action(description="Try again", url_path="retry", permissions=["control"])
    def retry(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._control(request, object_id, Event.RETRY)

    @action(description="Pause", url_path="pause", permissions=["control"])
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._control(request, object_id, Event.PAUSE)

    @action(description="Skip step", url_path="skip", permissions=["control"])
    def skip(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._control(request, object_id, Event.SKIP)

    @action(description="Promote now", url_path="promote", permissions=["control"])
    def promote(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._control(request, object_id, Event.PROMOTE)

    @action(description="Abort", url_path="abort", permissions=["control"])
    def abort(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._control(request, object_id, Event.ABORT)

    def _control(self, request: HttpRequest, object_id: str, event: Event) -> HttpResponse:
        return control_page(self, request, self.found(request, object_id, "control"), event)
