"""Versions of models."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from control_plane import wiring
from control_plane.console import words
from control_plane.console.archive_page import archive_page, unarchive_page
from control_plane.console.edit_page import edit_page
from control_plane.console.perf_start import measure_page, version_target
from control_plane.console.record_admin import (
    DeletableAdmin,
    change_url,
    label,
    link,
)
from control_plane.console.rights import GrantedAdmin
from control_plane.console.tune_start import tune_start_page
from control_plane.console.version_edit import VersionDraft
from control_plane.console.version_form import POINTERS, VersionForm
from control_plane.console.version_page import page_context
from control_plane.domain.access import PUBLISH_CODE
from control_plane.domain.registry.frameworks import FRAMEWORKS
from control_plane.domain.registry.metrics import labelled
from control_plane.registry.lifecycle import delete_version, why_kept
from control_plane.registry.models import Artifact, Model, ModelVersion, VersionState
from control_plane.registry.profiles import profile_names
from control_plane.registry.services import add_version

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


@admin.register(ModelVersion)
class ModelVersionAdmin(DeletableAdmin):
    """Versions: immutable once they are uploaded."""

    form = VersionForm
    audited_as = "version"
    pointers: ClassVar = POINTERS
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
    list_select_related = ("model", "artifact")
    list_defer = (
        "model__description",
        "model__tags",
        "pending",
        "overrides",
        "signature",
        "code",
        "parameters",
        "model_config",
        "golden_shapes",
        "description",
        "tags",
        "provenance",
    )
    autocomplete_fields = ("model",)
    ordering = ("model__name", "-number")
    readonly_fields = ("model_link", "created_at", "created_by")
    fieldsets = ((None, {"fields": readonly_fields}),)  # the rest stands above, in its own parts
    add_fieldsets = VersionForm.fieldsets
    change_form_outer_before_template = "console/parts/version_page.html"
    actions_detail = ("measure", "tune", "edit", "archive", "unarchive")
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

    def write(self, request: HttpRequest, form: Any, change: bool) -> ModelVersion:
        values = form.cleaned_data
        upload = values["file"]
        return add_version(
            model_name=values["model"].name,
            stream=upload,
            filename=upload.name or "",
            metadata=form.metadata(),
            actor=request.user.get_username(),
            store=wiring.artifact_store(),
            inspector=wiring.inspector(),
            queue=wiring.queue(),
            may_publish_code=request.user.has_perm(PUBLISH_CODE, values["model"]),
        )

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """On to its page, which says how its validation goes."""
        self.message_user(request, f"{obj} is here, and is being validated.", messages.SUCCESS)
        return HttpResponseRedirect(change_url(obj))

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        return page_context(request, record)

    @action(description="Measure", url_path="measure", icon="speed", permissions=["measure"])
    def measure(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = self.found(request, object_id, "measure")
        return measure_page(self, request, version, version_target(version))

    @action(description="Tune", url_path="tune", icon="tune", permissions=["tune"])
    def tune(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return tune_start_page(self, request, self.found(request, object_id, "tune"))

    def has_tune_permission(self, request: HttpRequest, version: Any = None) -> bool:
        """As with `measure`."""
        return request.user.has_perm("tuning.add_tune")

    def has_measure_permission(self, request: HttpRequest, version: Any = None) -> bool:
        """The load is the whole server's: a right of its own, and none of the version's."""
        return request.user.has_perm("tuning.add_perfrun")

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
        offered = {
            "measure": state == VersionState.READY,
            "tune": state == VersionState.READY,
            "archive": state in _ARCHIVED_FROM,
            "unarchive": state == VersionState.ARCHIVED,
        }
        found = super().get_actions_detail(request, object_id)
        return [one for one in found if offered.get(one.action_name.rpartition("_")[2], True)]

    def remove(self, request: HttpRequest, record: ModelVersion) -> str:
        name = str(record)
        actor = request.user.get_username()
        delete_version(version_id=record.id, actor=actor, serving=wiring.serving())
        return f"{name} was deleted."

    def obstacle(self, record: ModelVersion) -> str:
        return why_kept(record, wiring.serving())

    def consequences(self, record: ModelVersion) -> list[str]:
        return [
            "Its number is free again, and its metrics and provenance are gone.",
            "No endpoint uses it: nothing that answers changes, and no way back is lost.",
        ]
