"""Models, versions and artifacts."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
)

from control_plane.console import words
from control_plane.console.overview import endpoints_with
from control_plane.console.record_admin import (
    DeletableAdmin,
    RecordAdmin,
    change_url,
    link,
    mono,
)
from control_plane.domain.registry.metrics import labelled
from control_plane.endpoints.models import Endpoint
from control_plane.registry.models import Artifact, Model, ModelVersion, VersionState
from control_plane.registry.services import (
    create_model,
    delete_model,
    update_model,
)


class ModelForm(forms.ModelForm):
    """A model's own words; the name is for good."""

    tags = forms.JSONField(
        required=False,
        initial=dict,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text='Words to find it by: {"team": "vision", "stage": "trial"}',
    )

    class Meta:
        model = Model
        fields = ("name", "description", "owner", "tags")
        widgets = {"description": UnfoldAdminTextareaWidget({"rows": 3})}  # noqa: RUF012

    def clean_tags(self) -> dict[str, str]:
        tags = self.cleaned_data["tags"] or {}
        if not isinstance(tags, dict) or not all(isinstance(v, str) for v in tags.values()):
            raise forms.ValidationError('tags are an object of words: {"team": "vision"}')
        return tags


@admin.register(Model)
class ModelAdmin(DeletableAdmin):
    """Models: the names that versions are uploaded to."""

    form = ModelForm
    audited_as = "model"
    list_display = ("name", "latest", "version_count", "owner", "tag_list", "created")
    search_fields = ("name", "description", "owner")
    list_filter = ("owner",)
    ordering = ("name",)
    change_form_outer_before_template = "console/parts/model_versions.html"
    actions_detail = ("upload_version",)
    empty_icon = "deployed_code"
    empty_title = "No models yet"
    empty_text = "A model is a name with numbered versions. Push the first one from a terminal:"
    empty_command = "nereid push digits model.onnx --create"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        # Subqueries, so that a page of a long list counts its own rows only.
        versions = ModelVersion.objects.filter(model=OuterRef("pk"))
        counted = versions.order_by().values("model").annotate(held=Count("*")).values("held")
        return (
            super()
            .get_queryset(request)
            .annotate(
                highest=Subquery(versions.order_by("-number").values("number")[:1]),
                versions_held=Coalesce(Subquery(counted), 0),
            )
        )

    @display(description="latest", ordering="highest")
    def latest(self, model: Any) -> str:
        return f"v{model.highest}" if model.highest else "no version yet"

    @display(description="versions", ordering="versions_held")
    def version_count(self, model: Any) -> int:
        return int(model.versions_held)

    @display(description="tags")
    def tag_list(self, model: Model) -> SafeString | str:
        return format_html_join(
            " ", '<span class="n-tag">{}: {}</span>', sorted(model.tags.items())
        )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        shown = ("name", "description", "owner", "tags")
        return (*shown, "created_at", "created_by") if obj else shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "created_at", "created_by") if obj else ()

    def write(self, request: HttpRequest, form: forms.ModelForm, change: bool) -> Model:
        values = dict(form.cleaned_data)
        actor = request.user.get_username()
        if not change:
            return create_model(actor=actor, **values)
        changes = {name: values[name] for name in form.changed_data if name in values}
        if "tags" in changes:  # the form has all of them: what is missing there goes
            gone = dict.fromkeys(form.initial["tags"].keys() - values["tags"].keys())
            changes["tags"] = {**gone, **values["tags"]}
        if not changes:
            return form.instance
        return update_model(name=form.instance.name, actor=actor, changes=changes)

    def remove(self, request: HttpRequest, record: Model) -> str:
        delete_model(name=record.name, actor=request.user.get_username())
        return f"Model {record.name} was deleted."

    def consequences(self, record: Model) -> list[str]:
        return ["The name becomes free. Only a model without versions can be deleted."]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        model = self.get_object(request, object_id)
        context = {**_version_table(model), **(extra_context or {})} if model else extra_context
        return super().change_view(request, object_id, form_url, context)

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
        rows = artifact.versions.select_related("model")
        return format_html_join(", ", "{}", ((link(row),) for row in rows)) or "none"


def _version_table(model: Any) -> dict[str, Any]:
    """The versions side by side, one column for each metric that any of them has."""
    versions = list(model.versions.select_related("artifact").order_by("-number")[:50])
    for version in versions:
        version.model = model  # spares a query per row
        version.url = change_url(version)
        version.metrics = labelled(version.metrics)
    serving: dict[int, list[Endpoint]] = {}
    for endpoint in endpoints_with(model.name):
        for arm in (endpoint.policy or {})["arms"]:
            if arm["model"] == model.name:
                serving.setdefault(arm["version"], []).append(endpoint)
    return {
        "versions": versions,
        "metric_names": sorted({name for version in versions for name in version.metrics}),
        "serving": serving,
        "ready_state": VersionState.READY,
    }
