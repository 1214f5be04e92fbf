"""Endpoints: their pages, and what is done there."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from control_plane import wiring
from control_plane.audit.models import AuditEvent
from control_plane.console import words
from control_plane.console.admin.revisions import revision_state
from control_plane.console.endpoint_charts import SPANS, endpoint_charts, known_budget, span_of
from control_plane.console.finding_try import try_page as finding_try_page
from control_plane.console.four_eyes_page import four_eyes_page
from control_plane.console.kill_page import kill_page
from control_plane.console.kpis_page import kpis_page
from control_plane.console.overview import endpoint_cards, recent_traffic
from control_plane.console.perf_start import endpoint_target, measure_page
from control_plane.console.placement_page import placement_page
from control_plane.console.policy_page import policy_page
from control_plane.console.record_admin import DeletableAdmin, label
from control_plane.console.recording_start import record_page
from control_plane.console.rollback_page import rollback_page
from control_plane.console.rollout_start import start_page
from control_plane.console.rollouts_under_way import active, under_way
from control_plane.console.templatetags.console import ago
from control_plane.console.try_page import try_context, try_page
from control_plane.domain.access import RECORD
from control_plane.domain.four_eyes import stale
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.endpoints.selectors import waiting_change
from control_plane.endpoints.services import create_endpoint, delete_endpoint, update_endpoint

SHOWN_REVISIONS = 10
SHOWN_EVENTS = 8
ON_THE_PAGE = (
    *("try_it", "four_eyes_rule", "figures", "try_finding", "record_requests", "place_servers"),
)


class EndpointForm(forms.ModelForm):
    """An endpoint's own words; its traffic has a page of its own."""

    class Meta:
        model = Endpoint
        fields = ("name", "description", "four_eyes")
        widgets = {"description": UnfoldAdminTextareaWidget({"rows": 3})}  # noqa: RUF012


@admin.register(Endpoint)
class EndpointAdmin(DeletableAdmin):
    """Endpoints: public names and the traffic behind them."""

    form = EndpointForm
    audited_as = "endpoint"
    list_display = ("name", "status_label", "traffic", "revision", "reason", "changed")
    list_filter = ("status", "four_eyes")
    search_fields = ("name", "description")
    ordering = ("name",)
    change_form_outer_before_template = "console/parts/endpoint_page.html"
    actions_detail = (
        "edit_policy",
        "start_rollout",
        "try_it",
        "measure",
        "roll_back",
        "kill_switch",
        "four_eyes_rule",
        "figures",
        "try_finding",
        "record_requests",
        "place_servers",
    )
    empty_icon = "alt_route"
    empty_title = "No endpoints yet"
    empty_text = "An endpoint is the name that callers use; it outlives every version behind it."
    empty_command = "nereid deploy digits digits:1=100 --create"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        served = Revision.objects.filter(endpoint=OuterRef("pk"), served_from__isnull=False)
        newest = served.order_by("-number").values("number")[:1]
        return super().get_queryset(request).annotate(serving=Subquery(newest))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if isinstance(obj, Endpoint) and obj.deleted_at:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if isinstance(obj, Endpoint) and obj.deleted_at:
            return False
        return super().has_delete_permission(request, obj)

    @display(description="status", ordering="status")
    def status_label(self, endpoint: Endpoint) -> SafeString:
        return label("Removing" if endpoint.deleted_at else endpoint.status)

    @display(description="traffic")
    def traffic(self, endpoint: Endpoint) -> SafeString | str:
        arms = (endpoint.policy or {}).get("arms", [])
        parts = ((words.served(arm), arm["weight"]) for arm in arms)
        return format_html_join(" ", '<span class="n-tag">{} <b>{} %</b></span>', parts)

    @display(description="revision", ordering="serving")
    def revision(self, endpoint: Any) -> str:
        return str(endpoint.serving) if endpoint.serving else "none serves yet"

    @display(description="changed", ordering="updated_at")
    def changed(self, endpoint: Endpoint) -> SafeString | str:
        return ago(endpoint.updated_at)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (
            ("description", "created_at", "created_by")
            if obj
            else ("name", "description", "four_eyes")
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("created_at", "created_by") if obj else ()

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        if obj and not self.has_change_permission(request, obj):
            kwargs["form"] = forms.ModelForm
        return super().get_form(request, obj, change=change, **kwargs)

    def write(self, request: HttpRequest, form: forms.ModelForm, change: bool) -> Endpoint:
        actor = request.user.get_username()
        values = form.cleaned_data
        if not change:
            return create_endpoint(
                actor=actor, queue=wiring.queue(), print_config=wiring.print_config, **values
            )
        if "description" not in form.changed_data:
            return form.instance
        return update_endpoint(
            name=form.instance.name, actor=actor, description=values["description"]
        )

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """A new endpoint has no traffic yet: on to its policy."""
        self.message_user(request, f"Endpoint {obj.name} was made. Now say where requests go.")
        return HttpResponseRedirect(reverse("admin:endpoints_endpoint_edit_policy", args=[obj.pk]))

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        return _page_context(request, record, self.has_change_permission(request, record))

    @action(
        description="Edit policy",
        url_path="policy",
        icon="alt_route",
        variant=ActionVariant.PRIMARY,
        permissions=["change"],
    )
    def edit_policy(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return policy_page(self, request, self.found(request, object_id, "change"))

    @action(
        description="Start a rollout",
        url_path="rollout",
        icon="rocket_launch",
        permissions=["rollout"],
    )
    def start_rollout(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return start_page(self, request, self.found(request, object_id, "rollout"))

    def has_rollout_permission(self, request: HttpRequest, endpoint: Any = None) -> bool:
        """Whether the person may start a rollout on that endpoint."""
        if endpoint is not None and not isinstance(endpoint, Endpoint):  # Unfold asks with the key
            endpoint = self.get_object(request, str(endpoint))
        if endpoint is not None and endpoint.deleted_at:
            return False
        return request.user.has_perm("rollouts.add_rollout", endpoint)

    @action(
        description="Roll back",
        url_path="rollback",
        icon="undo",
        permissions=["change"],
    )
    def roll_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return rollback_page(self, request, self.found(request, object_id, "change"))

    @action(
        description="Try it",
        url_path="try",
        icon="play_arrow",
        permissions=["change"],
    )
    def try_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return try_page(self, request, self.found(request, object_id, "change"))

    @action(description="Measure", url_path="measure", icon="speed", permissions=["measure"])
    def measure(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self.found(request, object_id, "measure")
        return measure_page(self, request, endpoint, endpoint_target(endpoint))

    def has_measure_permission(self, request: HttpRequest, endpoint: Any = None) -> bool:
        """The load is the whole server's: a right of its own, and none of the endpoint's."""
        return request.user.has_perm("tuning.add_perfrun")

    @action(
        description="Everything to the primary",
        url_path="kill",
        icon="emergency_home",
        permissions=["change"],
    )
    def kill_switch(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return kill_page(self, request, self.found(request, object_id, "change"))

    @action(
        description="Four eyes",
        url_path="four-eyes",
        icon="group",
        permissions=["change"],
    )
    def four_eyes_rule(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return four_eyes_page(self, request, self.found(request, object_id, "change"))

    @action(description="Figures", url_path="kpis", icon="monitoring", permissions=["view"])
    def figures(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return kpis_page(self, request, self.found(request, object_id, "view"))

    @action(
        description="Record requests",
        url_path="record",
        icon="fiber_manual_record",
        permissions=["record"],
    )
    def record_requests(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return record_page(self, request, self.found(request, object_id, "record"))

    def has_record_permission(self, request: HttpRequest, endpoint: Any = None) -> bool:
        """What callers send may be private: a right of its own, on this endpoint."""
        if endpoint is not None and not isinstance(endpoint, Endpoint):  # Unfold asks with the key
            endpoint = self.get_object(request, str(endpoint))
        return request.user.has_perm(RECORD, endpoint)

    @action(description="Try", url_path="measure-finding", icon="speed", permissions=["measure"])
    def try_finding(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return finding_try_page(self, request, self.found(request, object_id, "measure"))

    @action(description="Placement", url_path="placement", icon="lan", permissions=["change"])
    def place_servers(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return placement_page(self, request, self.found(request, object_id, "change"))

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Those of the header: what has a place on the page itself is offered there."""
        found = super().get_actions_detail(request, object_id)
        return [one for one in found if not one.action_name.endswith(ON_THE_PAGE)]

    def remove(self, request: HttpRequest, record: Endpoint) -> str:
        delete_endpoint(
            name=record.name,
            actor=request.user.get_username(),
            queue=wiring.queue(),
            clock=wiring.clock(),
        )
        return f"{record.name} is being taken off every server; then its record goes."

    def consequences(self, record: Endpoint) -> list[str]:
        if record.four_eyes:
            return [
                "It has the four-eyes rule: an admin switches that off first, or it is refused."
            ]
        servers = [p.server.name for p in record.placements.select_related("server")]
        where = f" on {', '.join(servers)}" if servers else ""
        return [
            f"Callers of “{record.name}” get errors from then on{where}.",
            "Its router and the models that nothing else uses are unloaded.",
            "Its revisions go with it: there is no rollback. What served when stays known.",
            "What was recorded of its requests is deleted at once.",
        ]


def _page_context(request: HttpRequest, endpoint: Any, changes: bool) -> dict[str, Any]:
    """What an endpoint's page shows around its form."""
    now = wiring.clock().now()
    traffic = recent_traffic(now)
    cards = endpoint_cards(Endpoint.objects.filter(pk=endpoint.pk), traffic)
    revisions = list(endpoint.revisions.defer("plan", "diff").order_by("-number")[:SHOWN_REVISIONS])
    for revision in revisions:
        revision.newer_serves = revision.number < (endpoint.serving or 0)
        revision.wanted_generation = endpoint.generation
        revision.state = revision_state(revision)
    waiting = waiting_change(endpoint)
    late = waiting and stale(waiting.as_value(), endpoint.generation)
    context: dict[str, Any] = {
        "card": cards[0] if cards else None,
        "waiting": waiting,
        "waiting_state": "stale" if late else "pending",
        "revisions": revisions,
        "serving": endpoint.serving,
        "may_change": changes,
        "may_record": request.user.has_perm(RECORD, endpoint) and not endpoint.deleted_at,
        "rolling": under_way(active(request.user, endpoint.name)),
    }
    if cards:
        span = span_of(request.GET.get("span"))
        drawn = endpoint_charts(cards[0], span, now)
        context |= {"drawn": drawn, "spans": SPANS, "budget": known_budget(endpoint)}
    if changes:
        context["trial"] = try_context(endpoint)
    if request.user.has_perm("audit.view_auditevent", endpoint):
        context["events"] = AuditEvent.objects.filter(
            object_type="endpoint", object_id=str(endpoint.pk)
        ).defer("before", "after")[:SHOWN_EVENTS]
    return context
