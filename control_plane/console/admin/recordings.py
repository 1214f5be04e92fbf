"""Recordings of what callers sent."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from control_plane import wiring
from control_plane.console import words
from control_plane.console.confirming import Question, ask
from control_plane.console.record_admin import DeletableAdmin, label, mono
from control_plane.console.templatetags.console import ago
from control_plane.tuning.models import Recording
from control_plane.tuning.recordings import KEPT, delete_recording, stop_recording


@admin.register(Recording)
class RecordingAdmin(DeletableAdmin):
    """Recordings are asked for on the page of their endpoint. Nobody is shown what was sent."""

    audited_as = "recording"
    list_display = (
        *("title", "endpoint", "state_label", "recorded", "tensors", "server_name", "created"),
        "asked_by",
    )
    list_filter = ("state", "endpoint", "server_name")
    search_fields = ("name", "endpoint", "asked_by")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("state_label", "reason", "endpoint", "server_name", "use")}),
        ("Recorded", {"fields": ("recorded", "rows", "span", "tensors")}),
        ("Asked for", {"fields": ("bounds", "asked_by", "created", "ends", "goes")}),
    )
    readonly_fields = (
        *("state_label", "reason", "endpoint", "server_name", "use", "recorded", "rows", "span"),
        *("tensors", "bounds", "asked_by", "created", "ends", "goes"),
    )
    actions_detail = ("stop",)
    empty_icon = "fiber_manual_record"
    empty_title = "Nothing was recorded yet"
    empty_text = "A recording keeps what callers send, for perf runs: Record, on an endpoint, or"
    empty_command = "nereid record start digits"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="recording", ordering="name")
    def title(self, row: Recording) -> str:
        return row.name

    @display(description="state", ordering="state")
    def state_label(self, row: Recording) -> SafeString:
        return label(row.state)

    @display(description="recorded")
    def recorded(self, row: Recording) -> str:
        return f"{row.requests:,} requests, {words.size(row.size)}"

    @display(description="rows of a request")
    def rows(self, row: Recording) -> str:
        found = row.facts.get("rows")
        return f"{found['mean']:g} in the mean, {found['most']} at most" if found else "–"  # noqa: RUF001

    @display(description="from the first to the last")
    def span(self, row: Recording) -> str:
        return f"{row.facts['seconds']:g} s" if row.facts else "–"  # noqa: RUF001

    @display(description="tensors")
    def tensors(self, row: Recording) -> SafeString | str:
        shown = [(mono(_tensor(one)),) for one in row.facts.get("inputs", ())]
        return format_html_join(" ", "{}", shown) or "–"  # noqa: RUF001

    @display(description="at most")
    def bounds(self, row: Recording) -> str:
        asked = row.asked.to_document()
        return (
            f"{asked['requests']:,} requests, {words.size(asked['bytes'])}, {asked['length']}; "
            f"{asked['percent']:g} % of the requests"
        )

    @display(description="ends")
    def ends(self, row: Recording) -> SafeString | str:
        if row.over:
            return ago(row.finished_at)
        return f"{row.ends_at:%Y-%m-%d %H:%M:%S} UTC at the latest" if row.ends_at else "–"  # noqa: RUF001

    @display(description="is deleted")
    def goes(self, row: Recording) -> str:
        return f"{row.created_at + KEPT:%Y-%m-%d}"

    @display(description="to send it")
    def use(self, row: Recording) -> SafeString | str:
        if row.state != "ready":
            return "once it is ready"
        command = f"nereid perf run {row.endpoint} --input recording:{row.name}"
        return format_html("{}", mono(command))

    @action(description="Stop", url_path="stop", icon="stop_circle", permissions=["end"])
    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.found(request, object_id, "end")
        question = Question(
            title="Stop",
            heading=f"Stop recording {row.name}?",
            consequences=["What it has by now is kept.", "Callers notice nothing."],
            confirm="Stop",
            harmless=True,
            obstacle=f"It is over: {row.reason}." if row.over else "",
        )

        def act() -> str:
            actor = request.user.get_username()
            stop_recording(name=row.name, endpoint=row.endpoint, actor=actor, queue=wiring.queue())
            return f"Recording {row.name} is being ended."

        return ask(self, request, row, question, act)

    def has_end_permission(self, request: HttpRequest, row: Any = None) -> bool:
        return self.may(request, "change", row)

    def remove(self, request: HttpRequest, record: Recording) -> str:
        delete_recording(
            name=record.name,
            endpoint=record.endpoint,
            actor=request.user.get_username(),
            queue=wiring.queue(),
            store=wiring.recording_store(),
        )
        return f"Recording {record.name} was deleted."

    def consequences(self, record: Recording) -> list[str]:
        return [
            "What callers sent is gone from the control plane and from the server.",
            "Perf runs that wait to send it fail; what runs measured with it stays.",
        ]


def _tensor(one: dict[str, Any]) -> str:
    sizes = ",".join(
        str(low) if low == high else f"{low}-{high}"
        for low, high in zip(one["least"], one["most"], strict=True)
    )
    return f"{one['name']} {one['datatype']}[{sizes}]"
