"""The audit record."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter, TextFilter
from unfold.decorators import display

from control_plane.audit.models import AuditEvent
from control_plane.audit.selectors import events_for
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
    "grant": "access.Grant",
    "webhook": "webhooks.Webhook",
}
"""`object_type` -> the record that `object_id` names."""

COLOURS = {
    "create": "success",
    "ready": "success",
    "policy": "info",
    "change_request": "info",
    "change_approve": "success",
    "change_reject": "danger",
    "four_eyes": "warning",
    "update": "info",
    "revoke": "warning",
    "disable": "warning",
    "delete": "danger",
    "rejected": "danger",
    "login": "info",
    "login_failed": "warning",
}
"""The last word of an action -> the colour of its label."""


def exactly(field: str) -> type[TextFilter]:
    """A filter that takes one value of a field, as the API's does."""

    class Exactly(TextFilter):
        title = parameter_name = field

        def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
            return rows.filter(**{field: self.value().strip()}) if self.value() else rows

    Exactly.title = field.replace("_", " ")
    return Exactly


class Between(RangeDateTimeFilter):
    """From a time on, and before another, in UTC; a day without a time begins at midnight."""

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        for edge, lookup in (("from", "gte"), ("to", "lt")):
            moment = self._moment(edge)
            if moment is not None:
                rows = rows.filter(**{f"{self.parameter_name}__{lookup}": moment})
        return rows

    def _moment(self, edge: str) -> datetime | None:
        day, time = (self.used_parameters.get(f"{self.parameter_name}_{edge}_{i}") for i in "01")
        try:
            moment = datetime.fromisoformat(f"{day} {time or '00:00'}")
        except ValueError:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class OfType(admin.SimpleListFilter):
    """The kinds of objects that events are about."""

    title = "object type"
    parameter_name = "object_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in KINDS]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(object_type=self.value()) if self.value() else rows


@admin.register(AuditEvent)
class AuditEventAdmin(RecordAdmin):
    """Events; the database itself refuses to change one."""

    list_display = ("when", "actor", "action_label", "object_name", "reason")
    list_display_links = ("when", "action_label")
    # Typed in, not chosen: to list all the actors there are, the whole record would be read.
    list_filter = (
        ("at", Between),
        OfType,
        *(exactly(name) for name in ("actor", "action", "object_name", "object_id", "request_id")),
    )
    list_filter_submit = True
    search_fields = ("actor", "action", "object_name", "object_id", "reason")
    date_hierarchy = "at"
    fieldsets = (
        (None, {"fields": ("at", "actor", "action_label", "object_link", "reason", "asked_by")}),
        ("What changed", {"fields": ("difference",)}),
        ("The whole record", {"fields": ("before", "after"), "classes": ("collapse",)}),
    )
    readonly_fields = (
        "at",
        "actor",
        "action_label",
        "object_link",
        "reason",
        "asked_by",
        "difference",
        "before",
        "after",
    )
    empty_icon = "history"
    empty_title = "Nothing was done yet"
    empty_text = "Every write lands here, from the console, the API and the command, for good."

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = events_for(request.user).order_by("-id")
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

    @display(description="request")
    def asked_by(self, event: AuditEvent) -> SafeString | str:
        """What else the same request did is one click away."""
        if not event.request_id:
            return "none: a worker's deed"
        listed = reverse("admin:audit_auditevent_changelist")
        query = urlencode({"request_id": event.request_id})
        return format_html(
            '<a class="n-link" href="{}?{}"><code class="n-code">{}</code></a>',
            listed,
            query,
            event.request_id,
        )

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
    if event.object_type not in KINDS or not event.object_id:
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
