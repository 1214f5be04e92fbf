"""Models, versions and artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Count, Max, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
)

from control_plane.console import words
from control_plane.console.alias_form import change_alias
from control_plane.console.edit_page import edit_page
from control_plane.console.model_edit import ModelDraft
from control_plane.console.model_page import page_context
from control_plane.console.record_admin import (
    DeletableAdmin,
    RecordAdmin,
    link,
    mono,
    show,
)
from control_plane.console.rights import GrantedAdmin
from control_plane.console.rows_field import RowsField
from control_plane.console.word_rows import TAG, tags_in
from control_plane.domain.registry.service_level import LIMITS, merged_service_level
from control_plane.domain.violations import InvalidInputError
from control_plane.registry.models import Artifact, Model, ModelVersion
from control_plane.registry.services import (
    create_model,
    delete_model,
    why_model_kept,
)

_VERSIONS_LISTED = 20

SLA = tuple(f"sla_{name}" for name in LIMITS)
POINTERS = {f"/sla/{name}": f"sla_{name}" for name in LIMITS}


def service_level(values: Mapping[str, Any]) -> dict[str, Any]:
    """The form's values as the service takes them."""
    return {name: values.get(f"sla_{name}") for name in LIMITS}


class ModelForm(forms.ModelForm):
    """A model's own words; the name is for good."""

    tags = RowsField(
        TAG, tags_in, "Add a tag", help_text="Words to find it by, with a value or without."
    )

    class Meta:
        model = Model
        fields = ("name", "description", "owner", "tags", *SLA)
        labels: ClassVar = {
            "sla_p99_ms": "p99 at most, ms",
            "sla_availability_percent": "Availability, percent",
            "sla_required_qps": "Requests per second",
        }
        widgets = {"description": UnfoldAdminTextareaWidget({"rows": 3})}  # noqa: RUF012

    def clean(self) -> dict[str, Any]:
        """The service level in the domain's words, before the database says it in its own."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        try:
            merged_service_level({}, service_level(values))
        except InvalidInputError as refusal:
            show(self, refusal, POINTERS)
        return values


@admin.register(Model)
class ModelAdmin(DeletableAdmin):
    """Models: the names that versions are uploaded to."""

    form = ModelForm
    audited_as = "model"
    pointers: ClassVar = POINTERS
    list_display = ("name", "latest", "version_count", "owner", "tag_list", "created")
    search_fields = ("name", "description", "owner")
    ordering = ("name",)
    change_form_outer_before_template = "console/parts/model_page.html"
    actions_detail = ("edit", "upload_version")
    empty_icon = "deployed_code"
    empty_title = "No models yet"
    empty_text = "A model is a name with numbered versions. Push the first one from a terminal:"
    empty_command = "nereid push digits model.onnx --create"

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The page of the list, each row with its newest version and how many it has.

        Asked for the rows of this page alone: as a part of the list's query it would be worked
        out for every row before them too.
        """
        listed = super().get_changelist_instance(request)
        rows = list(listed.result_list)
        versions = ModelVersion.objects.filter(model__in=rows).order_by().values("model")
        counted = versions.annotate(highest=Max("number"), held=Count("*"))
        figures = {row["model"]: (row["highest"], row["held"]) for row in counted}
        for row in rows:
            row.highest, row.versions_held = figures.get(row.pk, (None, 0))
        listed.result_list = rows
        return listed

    @display(description="latest")
    def latest(self, model: Any) -> str:
        return f"v{model.highest}" if model.highest else "no version yet"

    @display(description="versions")
    def version_count(self, model: Any) -> int:
        return int(model.versions_held)

    @display(description="tags")
    def tag_list(self, model: Model) -> SafeString | str:
        return format_html_join(
            " ", '<span class="n-tag">{}: {}</span>', sorted(model.tags.items())
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # on a page of its own

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj:  # its words stand above, in the page's own parts
            return ("name", "created_at", "created_by")
        return ("name", "description", "owner", "tags", *SLA)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "created_at", "created_by") if obj else ()

    def write(self, request: HttpRequest, form: forms.ModelForm, change: bool) -> Model:
        values = dict(form.cleaned_data)
        level = service_level(values)
        values = {name: value for name, value in values.items() if name not in SLA}
        return create_model(actor=request.user.get_username(), sla=level, **values)

    def remove(self, request: HttpRequest, record: Model) -> str:
        delete_model(name=record.name, actor=request.user.get_username())
        return f"Model {record.name} was deleted."

    def obstacle(self, record: Model) -> str:
        return why_model_kept(record.name)

    def consequences(self, record: Model) -> list[str]:
        return ["The name becomes free. Its description, owner and tags are gone."]

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        return page_context(request, record)

    def get_urls(self) -> list[Any]:
        there = "<path:object_id>/aliases/"
        view = self.admin_site.admin_view(self.aliases)
        return [path(there, view, name="registry_model_aliases"), *super().get_urls()]

    def aliases(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return change_alias(self, request, self.found(request, object_id, "view"))

    @action(description="Edit", url_path="edit", icon="edit", permissions=["words"])
    def edit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return edit_page(self, request, ModelDraft, self.found(request, object_id, "words"))

    def has_words_permission(self, request: HttpRequest, model: Any = None) -> bool:
        return GrantedAdmin.has_change_permission(self, request, model)

    @action(
        description="Upload version",
        url_path="upload",
        icon="upload",
        variant=ActionVariant.PRIMARY,
        # A method, no permission's name: Unfold would look that up in the database, in a check
        # that runs before the first migration.
        permissions=["upload"],
    )
    def upload_version(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.found(request, object_id, "view")
        form = reverse("admin:registry_modelversion_add")
        return HttpResponseRedirect(f"{form}?model={object_id}")

    def has_upload_permission(self, request: HttpRequest, object_id: str = "") -> bool:
        if request.user.has_perm("registry.add_modelversion"):
            return True
        model = self.get_object(request, str(object_id))
        return request.user.has_perm("registry.add_modelversion", model)


@admin.register(Artifact)
class ArtifactAdmin(RecordAdmin):
    """Artifacts: files by their content; nobody edits them."""

    list_display = ("digest", "file_size", "used_by", "created")
    search_fields = ("sha256", "versions__model__name")
    ordering = ("-created_at",)
    fields = ("sha256", "file_size", "version_links", "created_at")
    readonly_fields = fields
    empty_icon = "inventory_2"
    empty_title = "No artifacts yet"
    empty_text = "Every uploaded model file is kept once, under its sha256. Push one:"
    empty_command = "nereid push digits model.onnx --create"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Artifact]:
        return super().get_queryset(request).annotate(uses=Count("versions"))

    @display(description="sha256", ordering="sha256")
    def digest(self, artifact: Artifact) -> SafeString:
        return mono(f"{artifact.sha256[:16]}…")

    @display(description="size", ordering="size")
    def file_size(self, artifact: Artifact) -> str:
        return words.size(artifact.size)

    @display(description="versions", ordering="uses")
    def used_by(self, artifact: Any) -> int:
        return int(artifact.uses)

    @display(description="versions")
    def version_links(self, artifact: Artifact) -> SafeString | str:
        rows = artifact.versions.select_related("model").order_by("-created_at")
        shown = format_html_join(", ", "{}", ((link(row),) for row in rows[:_VERSIONS_LISTED]))
        more = rows.count() - _VERSIONS_LISTED
        return format_html("{} and {} more", shown, more) if more > 0 else shown or "none"
