"""Analysis templates, made and changed like serving profiles, and the runs that went by them."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from control_plane.analysis.models import AnalysisRun, AnalysisTemplate
from control_plane.analysis.selectors import BUILT_IN, all_templates, get_template
from control_plane.analysis.templates import delete_template, locked_template, put_template
from control_plane.console.record_admin import DeletableAdmin, RecordAdmin, label, mono, placed
from control_plane.console.run_evidence import run_view
from control_plane.console.template_page import revisions_of, template_context, template_text
from control_plane.console.templatetags.console import ago
from control_plane.domain.analysis.template import DEFAULT_DOCUMENT
from control_plane.domain.violations import ConflictError, InvalidInputError, Violation


class TemplateForm(forms.ModelForm):
    """A template's name and its document."""

    document = forms.CharField(
        widget=UnfoldAdminTextareaWidget({"rows": 22, "class": "n-mono", "spellcheck": "false"}),
        help_text="JSON: metrics, how they are compared, and how sure one has to be. Runs that are "
        "under way go on by what they began with.",
    )
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = AnalysisTemplate
        fields = ("name",)
        help_texts = {"name": "What steps call it, such as strict."}  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = self.instance
        if row.pk and row.newest:
            self.initial["document"] = template_text(row.revisions.get(number=row.newest).document)
            self.initial["seen"] = row.newest
        elif "document" not in self.initial:
            self.initial["document"] = template_text(DEFAULT_DOCUMENT)

    def clean_document(self) -> Any:
        try:
            return json.loads(self.cleaned_data["document"])
        except ValueError as error:
            raise forms.ValidationError(f"this is no JSON: {error}") from error


@admin.register(AnalysisTemplate)
class AnalysisTemplateAdmin(DeletableAdmin):
    """What is compared, how, and how sure one has to be."""

    form = TemplateForm
    audited_as = "analysis_template"
    list_display = ("name", "revision", "run_count", "created", "created_by")
    search_fields = ("name",)
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
    empty_command = "nereid analysis templates show default > strict.json"

    def get_urls(self) -> list[URLPattern]:
        shown = self.admin_site.admin_view(self.built_in_view)
        name = "analysis_analysistemplate_built_in"
        return [path("built-in/<slug:name>/", shown, name=name), *super().get_urls()]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        writes = self.has_change_permission(request, obj) if obj else True
        return ("name", "document", "seen") if writes else ("name",)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """`?like=default` begins with what that one says."""
        like = {known.name: known for known in all_templates()}.get(request.GET.get("like", ""))
        return {"document": template_text(like.document)} if like else {}

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        given = [known for known in all_templates() if known.built_in]
        return super().changelist_view(
            request, {"built_in_templates": given, **(extra_context or {})}
        )

    def built_in_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """The page of one that comes with Nereid."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if name not in BUILT_IN:
            raise Http404(f"no analysis template {name!r} comes with Nereid")
        context = {
            **template_context(request.user, get_template(name)),
            "may_add": self.has_add_permission(request),
        }
        return self.page(request, "console/built_in_template.html", name, context)

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        known = get_template(record.name)
        return {**template_context(request.user, known), "revisions": revisions_of(record.name)}

    def write(self, request: HttpRequest, form: forms.ModelForm, change: bool) -> AnalysisTemplate:
        values, actor = form.cleaned_data, request.user.get_username()
        name = form.instance.name if change else values["name"]
        row = locked_template(name)
        if not change and row is not None:
            raise InvalidInputError([Violation("/name", "taken", f"there is a template {name!r}")])
        if change and row is not None and values.get("seen") != row.newest:
            raise ConflictError(
                f"somebody saved revision {row.newest} meanwhile: nothing was saved. Open the page "
                "anew, and put what you changed into that"
            )
        try:
            put_template(name=name, document=values["document"], actor=actor)
        except InvalidInputError as error:
            raise InvalidInputError([placed(one) for one in error.violations]) from error
        return AnalysisTemplate.objects.get(name=name)

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

    @display(description="revision", ordering="newest")
    def revision(self, template: AnalysisTemplate) -> int:
        return template.newest

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
