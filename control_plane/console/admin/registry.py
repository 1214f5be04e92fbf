"""Models, versions and artifacts."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from control_plane import wiring
from control_plane.adapters.profiles import DEFAULT_PROFILE, load_profile, profile_names
from control_plane.console import words
from control_plane.console.record_admin import (
    DeletableAdmin,
    RecordAdmin,
    change_url,
    label,
    link,
    mono,
)
from control_plane.endpoints.models import Endpoint
from control_plane.registry.models import Artifact, Model, ModelVersion, VersionState
from control_plane.registry.services import (
    FRAMEWORKS,
    VersionMetadata,
    add_version,
    create_model,
    delete_model,
    delete_version,
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
    list_display = ("name", "latest", "version_count", "owner", "tag_list", "created_at")
    search_fields = ("name", "description", "owner")
    list_filter = ("owner",)
    ordering = ("name",)
    change_form_outer_after_template = "console/parts/model_versions.html"
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
        return request.user.has_perm("registry.add_modelversion")


class VersionForm(forms.ModelForm):
    """What an uploader says of a version."""

    file = forms.FileField(
        label="model file",
        widget=UnfoldAdminFileFieldWidget,
        help_text="An ONNX file. It is checked before anything of it is stored.",
    )
    framework = forms.ChoiceField(
        choices=[(name, name) for name in FRAMEWORKS], widget=UnfoldAdminSelectWidget
    )
    profile = forms.ChoiceField(
        label="serving profile", initial=DEFAULT_PROFILE, widget=UnfoldAdminSelectWidget
    )
    number = forms.IntegerField(
        label="version",
        required=False,
        widget=UnfoldAdminIntegerFieldWidget({"placeholder": "the next one"}),
        help_text="Leave it empty for the next number.",
    )
    sha256 = forms.CharField(
        label="sha256",
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="If you know it: an upload that differs is refused.",
    )
    metrics = forms.JSONField(
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text='Numbers from your evaluation: {"accuracy": 0.971}',
    )
    provenance = forms.JSONField(
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text='Where it comes from: {"git_commit": "…", "run": "…"}',
    )

    class Meta:
        model = ModelVersion
        fields = ("model",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "profile" in self.fields:
            self.fields["profile"].choices = [
                (name, f"{name}: {load_profile(name).description}") for name in profile_names()
            ]

    def clean_metrics(self) -> dict[str, float]:
        metrics = self.cleaned_data["metrics"] or {}
        if not isinstance(metrics, dict) or not all(_is_number(v) for v in metrics.values()):
            raise forms.ValidationError('metrics are an object of numbers: {"accuracy": 0.971}')
        return metrics

    def clean_provenance(self) -> dict[str, Any]:
        provenance = self.cleaned_data["provenance"] or {}
        if not isinstance(provenance, dict):
            raise forms.ValidationError("provenance is a JSON object")
        return provenance


@admin.register(ModelVersion)
class ModelVersionAdmin(DeletableAdmin):
    """Versions: immutable once they are uploaded."""

    form = VersionForm
    audited_as = "version"
    pointers: ClassVar = {"/artifact": "file", "/version": "number"}
    list_display = (
        "title",
        "state_label",
        "framework",
        "profile",
        "file_size",
        "metric_list",
        "created_at",
        "created_by",
    )
    list_filter = ("state", "framework", "profile", "created_at")
    search_fields = ("model__name", "filename", "artifact__sha256", "created_by")
    list_select_related = ("model", "artifact")
    autocomplete_fields = ("model",)
    ordering = ("model__name", "-number")
    readonly_fields = (
        "model_link",
        "state_label",
        "state_reason",
        "serves",
        "framework",
        "profile",
        "artifact_link",
        "filename",
        "file_size",
        "download",
        "signature",
        "metrics",
        "provenance",
        "created_at",
        "created_by",
    )
    fieldsets = (
        (None, {"fields": ("model_link", "state_label", "state_reason", "serves")}),
        ("Signature and metrics", {"fields": ("signature", "metrics", "provenance")}),
        (
            "Artifact",
            {"fields": ("filename", "file_size", "artifact_link", "download", "framework")},
        ),
        ("Record", {"fields": ("profile", "created_at", "created_by")}),
    )
    add_fieldsets = (
        (None, {"fields": ("model", "file", "framework", "profile")}),
        ("More", {"fields": ("number", "sha256", "metrics", "provenance")}),
    )
    empty_icon = "layers"
    empty_title = "No versions yet"
    empty_text = "A version is a model file with what it takes and gives. Push one:"
    empty_command = "nereid push digits model.onnx --create"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return tuple(self.readonly_fields) if obj else ()

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        if obj:  # looked at, never edited: a form without the fields of an upload
            kwargs["form"] = forms.ModelForm
        return super().get_form(request, obj, change=change, **kwargs)

    @display(description="version", ordering="model__name")
    def title(self, version: ModelVersion) -> str:
        return str(version)

    @display(description="state", ordering="state")
    def state_label(self, version: ModelVersion) -> SafeString:
        return label(version.state)

    @display(description="size", ordering="artifact__size")
    def file_size(self, version: ModelVersion) -> str:
        return words.size(version.artifact.size)

    @display(description="metrics")
    def metric_list(self, version: ModelVersion) -> SafeString | str:
        pairs = [(name, f"{value:.4g}") for name, value in sorted(version.metrics.items())]
        return format_html_join(" ", '<span class="n-tag">{} {}</span>', pairs)

    @display(description="model")
    def model_link(self, version: ModelVersion) -> SafeString | str:
        return link(version.model)

    @display(description="artifact")
    def artifact_link(self, version: ModelVersion) -> SafeString | str:
        return link(version.artifact, f"sha256:{version.artifact_id}")

    @display(description="serves in")
    def serves(self, version: ModelVersion) -> SafeString | str:
        rows = endpoints_with(version.model.name, version.number)
        links = format_html_join(", ", "{}", ((link(row),) for row in rows))
        return links or "no endpoint's present policy"

    @display(description="file")
    def download(self, version: ModelVersion) -> SafeString:
        url = reverse("api:download", args=[version.model.name, version.number])
        return format_html('<a class="n-link" href="{}">Download</a>', url)

    def write(self, request: HttpRequest, form: forms.ModelForm, change: bool) -> ModelVersion:
        values = form.cleaned_data
        upload = values["file"]
        return add_version(
            model_name=values["model"].name,
            stream=upload,
            filename=upload.name or "",
            metadata=VersionMetadata(
                framework=values["framework"],
                number=values["number"],
                sha256=values["sha256"] or None,
                profile=values["profile"],
                metrics=values["metrics"],
                provenance=values["provenance"],
            ),
            actor=request.user.get_username(),
            store=wiring.artifact_store(),
            inspector=wiring.inspector(),
            queue=wiring.queue(),
        )

    def remove(self, request: HttpRequest, record: ModelVersion) -> str:
        name = str(record)
        delete_version(version=record, actor=request.user.get_username())
        return f"{name} was deleted."

    def consequences(self, record: ModelVersion) -> list[str]:
        return [
            "Its number is free again, and its metrics and provenance are gone.",
            "A version that a revision uses cannot be deleted: the way back would be lost.",
        ]


@admin.register(Artifact)
class ArtifactAdmin(RecordAdmin):
    """Artifacts: files by their content; nobody edits them."""

    list_display = ("digest", "file_size", "used_by", "created_at")
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


def endpoints_with(model: str, number: int | None = None) -> QuerySet[Endpoint]:
    """Endpoints whose present policy has an arm with this model, or this very version."""
    arm: dict[str, Any] = {"model": model}
    if number is not None:
        arm["version"] = number
    return Endpoint.objects.filter(policy__arms__contains=[arm])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _version_table(model: Any) -> dict[str, Any]:
    """The versions side by side, one column for each metric that any of them has."""
    versions = list(model.versions.select_related("artifact").order_by("-number")[:50])
    for version in versions:
        version.model = model  # spares a query per row
        version.url = change_url(version)
    serving: dict[int, list[Endpoint]] = {}
    for endpoint in endpoints_with(model.name):
        for arm in endpoint.policy["arms"]:
            if arm["model"] == model.name:
                serving.setdefault(arm["version"], []).append(endpoint)
    return {
        "versions": versions,
        "metric_names": sorted({name for version in versions for name in version.metrics}),
        "serving": serving,
        "ready_state": VersionState.READY,
    }
