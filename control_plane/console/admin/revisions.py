"""Revisions of endpoints."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from control_plane.console import words
from control_plane.console.record_admin import RecordAdmin, label, link, mono
from control_plane.console.served_page import served_page
from control_plane.console.templatetags.console import moment
from control_plane.domain.four_eyes import Ruling
from control_plane.endpoints.history import with_end
from control_plane.endpoints.intent import way_back
from control_plane.endpoints.models import ChangeRequest, Revision


@admin.register(Revision)
class RevisionAdmin(RecordAdmin):
    """Revisions: immutable, so that a way back leads to the very same files."""

    list_display = ("title", "state", "arms", "short_digest", "created", "created_by")
    list_filter = ("endpoint", "created_at")
    search_fields = ("endpoint__name", "digest", "created_by")
    list_select_related = ("endpoint",)
    ordering = ("-created_at",)
    actions_detail = ("go_back",)
    actions_list = ("what_served",)
    fieldsets = (
        (None, {"fields": ("endpoint_link", "number", "state", "error")}),
        ("Who and why", {"fields": ("created_by", "second", "created_at", "why", "leads_back")}),
        ("Served", {"fields": ("served", "ended", "going_there")}),
        ("Traffic", {"fields": ("arms", "version_links")}),
        ("Record", {"fields": ("generation", "whole_digest")}),
    )
    readonly_fields = (
        "endpoint_link",
        "number",
        "state",
        "error",
        "second",
        "why",
        "leads_back",
        "served",
        "ended",
        "going_there",
        "arms",
        "version_links",
        "generation",
        "digest",
        "created_at",
        "created_by",
    )
    change_form_outer_after_template = "console/parts/revision_diff.html"
    empty_icon = "history_edu"
    empty_title = "No revisions yet"
    empty_text = "Each policy that is applied to an endpoint is compiled into a revision."
    empty_command = "nereid deploy digits digits:1=100"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Revision]:
        newer = Revision.objects.filter(
            endpoint=OuterRef("endpoint"), number__gt=OuterRef("number"), served_from__isnull=False
        )
        rows = super().get_queryset(request).defer("plan", "diff")
        return with_end(rows).annotate(
            newer_serves=Subquery(newer.values("number")[:1]),
            wanted_generation=F("endpoint__generation"),
        )

    @action(description="What served when", url_path="at", icon="history", permissions=["view"])
    def what_served(self, request: HttpRequest) -> HttpResponse:
        return served_page(self, request)

    @display(description="revision", ordering="number")
    def title(self, revision: Revision) -> str:
        return f"{revision.endpoint.name} #{revision.number}"

    @display(description="state")
    def state(self, revision: Any) -> SafeString:
        return label(revision_state(revision))

    @display(description="why")
    def why(self, revision: Revision) -> str:
        return revision.reason or "nobody said"

    @display(description="approved by")
    def second(self, revision: Revision) -> SafeString | str:
        if not revision.approved_by:
            return "nobody had to"
        change = ChangeRequest.objects.filter(revision=revision).first()
        return link(change, revision.approved_by) or revision.approved_by

    @display(description="way back")
    def leads_back(self, revision: Revision) -> SafeString | str:
        if revision.restores is None:
            return "no: it is a step forward"
        origin = revision.endpoint.revisions.filter(number=revision.restores).first()
        if origin is None:
            return f"to revision {revision.restores}, which is no longer there"
        return format_html("to {}", link(origin, f"revision {origin.number}"))

    @display(description="served from")
    def served(self, revision: Any) -> SafeString | str:
        return moment(revision.began) if revision.began else "it has not served"

    @display(description="served until")
    def ended(self, revision: Any) -> SafeString | str:
        if not revision.began:
            return ""
        return moment(revision.served_until) if revision.served_until else "it serves now"

    @display(description="going back here")
    def going_there(self, revision: Any) -> str:
        if revision.error:
            return "not possible: it was never compiled"
        if revision_state(revision) == "Serving":
            return "not needed: it serves"
        verdict = way_back(revision.endpoint, revision)
        return "possible" if verdict.ruling is Ruling.GO else f"not offered: {verdict.reason}"

    def has_go_back_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """For a revision that can be gone back to, where the person may change its endpoint."""
        revision = self.get_object(request, str(object_id)) if object_id else None
        return (
            revision is not None
            and not revision.error
            and revision_state(revision) != "Serving"
            and not revision.endpoint.deleted_at
            and way_back(revision.endpoint, revision).ruling is Ruling.GO
            and request.user.has_perm("endpoints.change_endpoint", revision.endpoint)
        )

    @action(
        description="Go back to this",
        url_path="go-back",
        icon="undo",
        variant=ActionVariant.PRIMARY,
        permissions=["go_back"],
    )
    def go_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """On to the page that says what it would do, and asks."""
        revision = self.found(request, object_id, "view")
        ask = reverse("admin:endpoints_endpoint_roll_back", args=[revision.endpoint_id])
        return HttpResponseRedirect(f"{ask}?revision={revision.number}")

    @display(description="arms")
    def arms(self, revision: Revision) -> SafeString | str:
        parts = ((arm["name"], words.served(arm), arm["weight"]) for arm in revision.policy["arms"])
        return format_html_join(" ", '<span class="n-tag">{}: {} <b>{} %</b></span>', parts)

    @display(description="digest")
    def short_digest(self, revision: Revision) -> SafeString | str:
        return mono(revision.digest[:12]) if revision.digest else ""

    @display(description="digest")
    def whole_digest(self, revision: Revision) -> SafeString | str:
        return mono(revision.digest) if revision.digest else ""

    @display(description="endpoint")
    def endpoint_link(self, revision: Revision) -> SafeString | str:
        return link(revision.endpoint)

    @display(description="versions")
    def version_links(self, revision: Revision) -> SafeString | str:
        used = revision.revisionversion_set.select_related("version__model")
        rows = ((link(use.version), mono(use.physical)) for use in used)
        return format_html_join(SafeString("<br>"), "{} as {}", rows) or "none"


def revision_state(revision: Any) -> str:
    """Where a revision stands; `newer_serves` and `wanted_generation` come from the query."""
    if revision.error:
        return "not compiled"
    if revision.served_from and not revision.newer_serves:
        return "Serving"
    if revision.served_from or revision.generation != revision.wanted_generation:
        return "superseded"
    return "Progressing"
