"""Perf runs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from control_plane import wiring
from control_plane.console import words
from control_plane.console.perf_curve import level_name
from control_plane.console.perf_ending import accept_page, cancel_page
from control_plane.console.perf_page import perf_page
from control_plane.console.record_admin import RecordAdmin, label
from control_plane.console.record_list import RecordList
from control_plane.telemetry.perf import PerfLevel
from control_plane.tuning.models import PerfRun
from control_plane.tuning.results import peak_of, with_levels


class PerfRunList(RecordList):
    """The list, with what its runs measured: one question for the whole page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: Any = self.result_list  # type: ignore[has-type]
        self.result_list = with_levels(rows, wiring.telemetry())


@admin.register(PerfRun)
class PerfRunAdmin(RecordAdmin):
    """Runs are asked for on the page of what they measure."""

    audited_as = "perf_run"
    list_display = (
        *("title", "target_name", "server_name", "state_label", "throughput", "p99", "at_level"),
        *("asked", "asked_by"),
    )
    list_filter = ("state", "kind", "server_name")
    search_fields = ("name", "server_name", "asked_by")
    list_defer = ("plan",)
    ordering = ("-id",)
    actions_detail = ("accept", "cancel")
    empty_icon = "speed"
    empty_title = "Nothing was measured yet"
    empty_text = "A perf run puts a version or an endpoint under load: Measure, on its page, or"
    empty_command = "nereid perf run digits.v1"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RecordList]:
        return PerfRunList

    @display(description="run", ordering="id")
    def title(self, run: PerfRun) -> str:
        return f"#{run.pk}"

    @display(description="target", ordering="name")
    def target_name(self, run: PerfRun) -> str:
        return words.served(run.target.to_document())

    @display(description="state", ordering="state")
    def state_label(self, run: PerfRun) -> SafeString:
        return label(run.state)

    @display(description="peak")
    def throughput(self, run: PerfRun) -> str:
        best = _best(run)
        return f"{best.measurement.throughput:,.0f}/s" if best else "–"  # noqa: RUF001

    @display(description="latency p99")
    def p99(self, run: PerfRun) -> str:
        best = _best(run)
        return _unbroken(words.microseconds(best.measurement.p99_us if best else None))

    @display(description="at")
    def at_level(self, run: PerfRun) -> str:
        best = _best(run)
        return _unbroken(level_name(run.asked.load.kind, best.value)) if best else "–"  # noqa: RUF001

    @display(description="asked", ordering="created_at")
    def asked(self, run: PerfRun) -> SafeString | str:
        return self.created(run)

    @action(description="Accept", url_path="accept", icon="check_circle", permissions=["end"])
    def accept(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return accept_page(self, request, self.found(request, object_id, "end"))

    @action(description="Cancel", url_path="cancel", icon="stop_circle", permissions=["end"])
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return cancel_page(self, request, self.found(request, object_id, "end"))

    def has_end_permission(self, request: HttpRequest, run: Any = None) -> bool:
        return self.may(request, "change", run)

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
        return perf_page(self, request, self.found(request, object_id, "view"))


def _unbroken(text: str) -> str:
    """A figure stays beside its unit, however narrow the column."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _best(run: PerfRun) -> PerfLevel | None:
    return peak_of(run)
