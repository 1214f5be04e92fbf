"""Pipelines: their steps drawn, what runs them, and where they serve."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display

from control_plane.console.perf_start import measure_page, pipeline_target
from control_plane.console.pipeline_page import pipeline_context, revision_asked
from control_plane.console.record_admin import RecordAdmin
from control_plane.registry.models import Pipeline, PipelineRevision


@admin.register(Pipeline)
class PipelineAdmin(RecordAdmin):
    """Pipelines; they are written with the command or the API, which check them first."""

    list_display = ("name", "steps", "revision", "description", "created", "created_by")
    search_fields = ("name",)
    ordering = ("name",)
    fieldsets = ((None, {"fields": ("created", "created_by")}),)
    readonly_fields = ("created", "created_by")
    audited_as = "pipeline"
    change_form_outer_before_template = "console/parts/pipeline_page.html"
    actions_detail = ("measure",)
    empty_icon = "account_tree"
    empty_title = "No pipelines yet"
    empty_text = "A pipeline hands tensors from step to step inside Triton, and is called as one."
    empty_command = "nereid pipelines apply digits-png.yaml"

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        return pipeline_context(request, record)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pipeline]:
        newest = PipelineRevision.objects.filter(pipeline=OuterRef("pk"), number=OuterRef("newest"))
        rows = super().get_queryset(request)
        return rows.annotate(document=Subquery(newest.values("document")[:1]))

    @display(description="newest", ordering="newest")
    def revision(self, pipeline: Pipeline) -> str:
        return f"revision {pipeline.newest}"

    @display(description="steps")
    def steps(self, pipeline: Any) -> str:
        return " → ".join(step["name"] for step in pipeline.document["steps"])

    @display(description="for")
    def description(self, pipeline: Any) -> str:
        return str(pipeline.document.get("description", ""))

    @action(description="Measure", url_path="measure", icon="speed", permissions=["measure"])
    def measure(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The newest revision, or the one that the address asks for."""
        pipeline = self.found(request, object_id, "measure")
        revision = revision_asked(request, pipeline)
        return measure_page(self, request, pipeline, pipeline_target(revision), str(revision))

    def has_measure_permission(self, request: HttpRequest, pipeline: Any = None) -> bool:
        """The load is the whole server's: a right of its own, and none of the pipeline's."""
        return request.user.has_perm("tuning.add_perfrun")
