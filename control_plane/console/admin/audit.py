"""The audit record."""

from __future__ import annotations

import json
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from control_plane.audit.models import AuditEvent
from control_plane.console.record_admin import RecordAdmin, label, link
from control_plane.console.templatetags.console import ago

KINDS = {
    "model": "registry.Model",
    "version": "registry.ModelVersion",
    "endpoint": "endpoints.Endpoint",
    "server": "fleet.Server",
    "token": "access.ApiToken",
    "user": "auth.User",
    "group": "auth.Group",
}
"""`object_type` -> the record that `object_id` names."""

COLOURS = {
    "create": "success",
    "ready": "success",
    "policy": "info",
    "update": "info",
    "revoke": "warning",
    "delete": "danger",
    "rejected": "danger",
}
"""The last word of an action -> the colour of its label."""


@admin.register(AuditEvent)
class AuditEventAdmin(RecordAdmin):
    """Events; the database itself refuses to change one."""

    list_display = ("when", "actor", "action_label", "object_name", "reason")
    list_display_links = ("when", "action_label")
    list_filter = ("at", "action", "object_type", "actor")
    search_fields = ("actor", "action", "object_name", "object_id", "reason")
    date_hierarchy = "at"
    fieldsets = (
        (None, {"fields": ("at", "actor", "action_label", "object_link", "reason")}),
        ("What changed", {"fields": ("difference",)}),
        ("The whole record", {"fields": ("before", "after"), "classes": ("collapse",)}),
    )
    readonly_fields = (
        "at",
        "actor",
        "action_label",
        "object_link",
        "reason",
        "difference",
        "before",
        "after",
    )
    empty_icon = "history"
    empty_title = "Nothing was done yet"
    empty_text = "Every write lands here, from the console, the API and the command, for good."

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)
        match = request.resolver_match
        listed = match is not None and match.url_name == "audit_auditevent_changelist"
        return rows.defer("before", "after") if listed else rows

    @display(description="when", ordering="id")
    def when(self, event: AuditEvent) -> str:
        return ago(event.at)

    @display(description="action", ordering="action")
    def action_label(self, event: AuditEvent) -> SafeString:
        return label(event.action, COLOURS.get(event.action.rpartition(".")[2], "default"))

    @display(description="object")
    def object_link(self, event: AuditEvent) -> SafeString | str:
        shown = f"{event.object_type} {event.object_name}"
        record = _record(event)
        return link(record, shown) if record else f"{shown} (no longer there)"

    @display(description="fields")
    def difference(self, event: AuditEvent) -> SafeString | str:
        rows = _changed(event.before, event.after)
        if not rows:
            return "No field differs."
        body = format_html_join(
            "", "<tr><th>{}</th><td><del>{}</del></td><td><ins>{}</ins></td></tr>", rows
        )
        head = "<tr><th>field</th><td>before</td><td>after</td></tr>"
        return format_html('<table class="n-changes">' + head + "{}</table>", body)


def _record(event: AuditEvent) -> Model | None:
    if event.object_type not in KINDS:
        return None
    return apps.get_model(KINDS[event.object_type]).objects.filter(pk=event.object_id).first()


def _changed(before: Any, after: Any) -> list[tuple[str, str, str]]:
    old = before if isinstance(before, dict) else {}
    new = after if isinstance(after, dict) else {}
    return [
        (name, _words(old.get(name)), _words(new.get(name)))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _words(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)
