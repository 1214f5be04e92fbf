"""Analysis templates, made and changed like serving profiles, and the runs that went by them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display

from control_plane.analysis.models import AnalysisRun, AnalysisTemplate
from control_plane.analysis.selectors import (
    BUILT_IN,
    KnownTemplate,
    all_templates,
    get_template,
)
from control_plane.analysis.templates import delete_template, locked_template, put_template
from control_plane.console.record_admin import RecordAdmin, label, mono
from control_plane.console.revised_admin import DocumentForm, RevisedAdmin
from control_plane.console.run_evidence import run_view
from control_plane.console.template_page import (
    Shown,
    revisions_of,
    template_context,
    template_text,
)
from control_plane.console.templatetags.console import ago
from control_plane.domain.analysis.template import DEFAULT_DOCUMENT


class TemplateForm(DocumentForm):
    """A template's name and its document."""

    begins_with = DEFAULT_DOCUMENT
    text = staticmethod(template_text)

    class Meta:
        model = AnalysisTemplate
        fields = ("name",)
        help_texts = {"name": "What steps call it, such as strict."}  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["document"].help_text = (
            "JSON: metrics, how they are compared, and how sure one has to be. Runs that are "
            "under way go on by what they began with."
        )


@admin.register(AnalysisTemplate)
class AnalysisTemplateAdmin(RevisedAdmin):
    """What is compared, how, and how sure one has to be."""

    form = TemplateForm
    noun = "template"
    audited_as = "analysis_template"
    built_in_address = "analysis_analysistemplate_built_in"
    built_in_template = "console/built_in_template.html"
    list_display = ("name", "revision", "run_count", "created", "created_by")
    ordering = ("name",)
    change_form_outer_before_template = "console/parts/template_page.html"
    change_form_outer_after_template = "console/parts/profile_revisions.html"
    list_after_template = "console/parts/built_in_templates.html"
    empty_icon = "query_stats"
    empty_title = "No templates of your own yet"
    empty_text = (
        "An analysis template says which figures of a new version are held against the old one's, "
        "and how sure one has to be. The one below comes with Nereid; yours begins as it:"
    )
    empty_command = "nereid analysis template get default > strict.json"
    known = staticmethod(all_templates)
    locked = staticmethod(locked_template)
    put = staticmethod(put_template)

    def comes_with_nereid(self, name: str) -> bool:
        return name in BUILT_IN

    def document_of(self, known: KnownTemplate) -> Any:
        return known.document

    def context(self, request: HttpRequest, name: str) -> dict[str, Any]:
        return template_context(request.user, get_template(name))

    def revisions(self, record: AnalysisTemplate) -> list[Shown]:
        return revisions_of(record.name)

    def remove(self, request: HttpRequest, record: AnalysisTemplate) -> str:
        delete_template(name=record.name, actor=request.user.get_username())
        return f"Analysis template {record.name} was deleted."

    def consequences(self, record: AnalysisTemplate) -> list[str]:
        said = [
            "Its revisions go with it; the audit record stays.",
            "Runs keep what they began with, and their evidence.",
            "A rollout that names it and has not come to it yet waits there for a person.",
        ]
        if record.name in BUILT_IN:
            said.append("The one of that name that comes with Nereid is there again.")
        return said

    def get_queryset(self, request: HttpRequest) -> QuerySet[AnalysisTemplate]:
        """With what the list shows of each, in one query whatever its length."""
        named = AnalysisRun.objects.filter(template_name=OuterRef("name")).order_by()
        counted = named.values("template_name").annotate(count=Count("pk")).values("count")
        rows: QuerySet[AnalysisTemplate] = super().get_queryset(request)
        return rows.annotate(runs_count=Coalesce(Subquery(counted), 0))

    @display(description="runs", ordering="runs_count")
    def run_count(self, template: Any) -> int:
        count: int = template.runs_count
        return count


@admin.register(AnalysisRun)
class AnalysisRunAdmin(RecordAdmin):
    """What was measured, look by look, and what followed."""

    list_display = ("title", "phase_label", "template_name", "candidate_name", "looks", "began")
    list_filter = ("phase", "dry_run", "template_name")
    search_fields = ("endpoint", "template_name", "candidate", "reason")
    list_defer = ("state", "cursors", "template")
    ordering = ("-began_at",)
    fieldsets = (
        (None, {"fields": ("endpoint", "template_name", "candidate_name", "baseline_name")}),
    )
    readonly_fields = ("endpoint", "template_name", "candidate_name", "baseline_name")
    change_form_outer_before_template = "console/parts/run_page.html"
    empty_icon = "monitoring"
    empty_title = "Nothing was analysed yet"
    empty_text = (
        "A run holds a new version against the one that serves, look by look, until it is sure. "
        "An analysis step of a rollout begins one:"
    )
    empty_command = "nereid rollout start digits 2"

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        links = getattr(record, "link", None)
        return {"view": run_view(record), "of_rollout": links and links.rollout}

    @display(description="run", ordering="endpoint")
    def title(self, run: AnalysisRun) -> str:
        return f"{run.template_name} on {run.endpoint}"

    @display(description="phase", ordering="phase")
    def phase_label(self, run: AnalysisRun) -> SafeString:
        return label(run.phase)

    @display(description="candidate", ordering="candidate")
    def candidate_name(self, run: AnalysisRun) -> SafeString:
        return mono(run.candidate)

    @display(description="baseline", ordering="baseline")
    def baseline_name(self, run: AnalysisRun) -> SafeString | str:
        return mono(run.baseline) if run.baseline else "none"

    @display(description="looks", ordering="looks_taken")
    def looks(self, run: AnalysisRun) -> int:
        return run.looks_taken

    @display(description="began", ordering="began_at")
    def began(self, run: AnalysisRun) -> SafeString | str:
        return ago(run.began_at)
