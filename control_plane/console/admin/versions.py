"""Versions of models."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display
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
from control_plane.console.archive_page import archive_page, unarchive_page
from control_plane.console.edit_page import edit_page
from control_plane.console.record_admin import (
    DeletableAdmin,
    label,
    link,
)
from control_plane.console.rights import GrantedAdmin
from control_plane.console.version_edit import VersionDraft
from control_plane.console.version_page import page_context
from control_plane.domain.access import PUBLISH_CODE
from control_plane.domain.registry.frameworks import FRAMEWORKS
from control_plane.domain.registry.metrics import check_metrics, labelled
from control_plane.domain.violations import InvalidInputError
from control_plane.registry.lifecycle import delete_version
from control_plane.registry.models import Artifact, Model, ModelVersion, VersionState
from control_plane.registry.services import VersionMetadata, add_version

_METRICS_LISTED = 3
_ARCHIVED_FROM = (VersionState.READY, VersionState.REJECTED)


_DIGEST = re.compile(r"[0-9a-fA-F]{6,64}")


class FrameworkFilter(admin.SimpleListFilter):
    """The frameworks there can be; which there are, only a look at every version would tell."""

    title = "framework"
    parameter_name = "framework__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in FRAMEWORKS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(framework=self.value()) if self.value() else queryset


class ProfileFilter(admin.SimpleListFilter):
    """The serving profiles there are."""

    title = "profile"
    parameter_name = "profile__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in profile_names()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(profile=self.value()) if self.value() else queryset


class VersionForm(forms.ModelForm):
    """What an uploader says of a version."""

    file = forms.FileField(
        label="Model file",
        widget=UnfoldAdminFileFieldWidget,
        help_text="An ONNX file, or a zip or tar of model.onnx and its data. It is checked "
        "before anything of it is stored.",
    )
    framework = forms.ChoiceField(
        choices=[(name, name) for name in FRAMEWORKS], widget=UnfoldAdminSelectWidget
    )
    profile = forms.ChoiceField(
        label="Serving profile",
        initial=DEFAULT_PROFILE,
        choices=lambda: [(n, f"{n}: {load_profile(n).description}") for n in profile_names()],
        widget=UnfoldAdminSelectWidget,
    )
    number = forms.IntegerField(
        label="Version",
        required=False,
        min_value=1,
        max_value=999_999_999,
        widget=UnfoldAdminIntegerFieldWidget({"placeholder": "the next one"}),
        help_text="Leave it empty for the next number.",
    )
    sha256 = forms.CharField(
        label="SHA-256",
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="If you know it: an upload that differs is refused.",
    )
    metrics = forms.JSONField(
        required=False,
        initial=dict,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text='Numbers from your evaluation: {"accuracy": 0.971}',
    )
    provenance = forms.JSONField(
        required=False,
        initial=dict,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text='Where it comes from: {"git_commit": "…", "run": "…"}',
    )

    class Meta:
        model = ModelVersion
        fields = ("model",)

    def _post_clean(self) -> None:
        """Fills in no record: the service makes it, and its refusals are in its own words."""

    def clean_metrics(self) -> dict[str, Any]:
        metrics = self.cleaned_data["metrics"]
        metrics = {} if metrics is None else metrics
        try:
            check_metrics(metrics)
        except InvalidInputError as refusal:
            raise forms.ValidationError([v.detail for v in refusal.violations]) from refusal
        return metrics

    def clean_provenance(self) -> dict[str, Any]:
        provenance = self.cleaned_data["provenance"]
        provenance = {} if provenance is None else provenance
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
        "created",
        "created_by",
    )
    list_filter = ("state", FrameworkFilter, ProfileFilter, "created_at")
    search_fields = ("model__name",)
    search_help_text = "a model's name, or the beginning of a file's sha256"
    show_full_result_count = False  # one count of a long list is enough
    list_select_related = ("model", "artifact")
    autocomplete_fields = ("model",)
    ordering = ("model__name", "-number")
    readonly_fields = ("model_link", "created_at", "created_by")
    fieldsets = ((None, {"fields": readonly_fields}),)  # the rest stands above, in its own parts
    add_fieldsets = (
        (None, {"fields": ("model", "file", "framework", "profile")}),
        ("More", {"fields": ("number", "sha256", "metrics", "provenance")}),
    )
    change_form_outer_before_template = "console/parts/version_page.html"
    actions_detail = ("edit", "archive", "unarchive")
    empty_icon = "layers"
    empty_title = "No versions yet"
    empty_text = "A version is a model file with what it takes and gives. Push one:"
    empty_command = "nereid push digits model.onnx --create"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By model or by file, each through an index: asked for both at once, the database would
        look at every version there is."""
        for term in search_term.split():
            files = Artifact.objects.filter(sha256__startswith=term.lower())
            if _DIGEST.fullmatch(term) and files.exists():
                queryset = queryset.filter(artifact__in=files)
            else:
                models = Model.objects.filter(name__icontains=term)
                queryset = queryset.filter(model__in=models)
        return queryset, False

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
        return words.size(version.artifact.size) if version.artifact else "on its way"

    @display(description="metrics")
    def metric_list(self, version: ModelVersion) -> SafeString | str:
        pairs = [(name, f"{value:.4g}") for name, value in labelled(version.metrics).items()]
        shown = format_html_join(" ", '<span class="n-tag">{} {}</span>', pairs[:_METRICS_LISTED])
        more = len(pairs) - _METRICS_LISTED
        return (
            format_html('{} <span class="n-quiet">and {} more</span>', shown, more)
            if more > 0
            else shown
        )

    @display(description="model")
    def model_link(self, version: ModelVersion) -> SafeString | str:
        return link(version.model)

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
            may_publish_code=request.user.has_perm(PUBLISH_CODE, values["model"]),
        )

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        return page_context(request, record)

    @action(description="Edit", url_path="edit", icon="edit", permissions=["life"])
    def edit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = self.found(request, object_id, "life")
        return edit_page(self, request, VersionDraft, version)

    @action(description="Archive", url_path="archive", icon="archive", permissions=["life"])
    def archive(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return archive_page(self, request, self.found(request, object_id, "life"))

    @action(description="Bring back", url_path="unarchive", icon="unarchive", permissions=["life"])
    def unarchive(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return unarchive_page(self, request, self.found(request, object_id, "life"))

    def has_life_permission(self, request: HttpRequest, version: Any = None) -> bool:
        """A version's file is never changed; what is said of it, and its state, are."""
        return GrantedAdmin.has_change_permission(self, request, version)

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Of the two ways, the one that the version's state leaves open."""
        version = self.get_object(request, str(object_id))
        state = version.state if version else ""
        offered = {"archive": state in _ARCHIVED_FROM, "unarchive": state == VersionState.ARCHIVED}
        found = super().get_actions_detail(request, object_id)
        return [one for one in found if offered.get(one.action_name.rpartition("_")[2], True)]

    def remove(self, request: HttpRequest, record: ModelVersion) -> str:
        name = str(record)
        actor = request.user.get_username()
        delete_version(version_id=record.id, actor=actor, serving=wiring.serving())
        return f"{name} was deleted."

    def consequences(self, record: ModelVersion) -> list[str]:
        return [
            "Its number is free again, and its metrics and provenance are gone.",
            "A version that a revision uses cannot be deleted: the way back would be lost.",
        ]
